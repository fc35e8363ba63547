# The warehouse and, in the same server, Meltano's states and run lock. Amazon's default parameters for Postgres 15 and
# newer require TLS.
resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = aws_subnet.private[*].id
}

resource "aws_db_instance" "this" {
  identifier                          = var.name
  engine                              = "postgres"
  engine_version                      = "17"
  instance_class                      = var.database.instance_class
  allocated_storage                   = var.database.storage_gb
  max_allocated_storage               = var.database.storage_gb * 5
  storage_type                        = "gp3"
  storage_encrypted                   = true
  kms_key_id                          = aws_kms_key.this.arn
  db_name                             = "warehouse"
  username                            = "postgres"
  manage_master_user_password         = true # in Secrets Manager, never in the state of Terraform
  master_user_secret_kms_key_id       = aws_kms_key.this.key_id
  port                                = 5432
  multi_az                            = var.database.multi_az
  db_subnet_group_name                = aws_db_subnet_group.this.name
  vpc_security_group_ids              = [aws_security_group.database.id]
  publicly_accessible                 = false
  iam_database_authentication_enabled = true
  backup_retention_period             = 14
  backup_window                       = "01:00-01:30"
  maintenance_window                  = "sun:05:00-sun:06:00"
  auto_minor_version_upgrade          = true
  copy_tags_to_snapshot               = true
  deletion_protection                 = var.protect
  skip_final_snapshot                 = !var.protect
  final_snapshot_identifier           = var.protect ? "${var.name}-final" : null
  delete_automated_backups            = !var.protect
  enabled_cloudwatch_logs_exports     = ["postgresql"]
  monitoring_interval                 = 60
  monitoring_role_arn                 = aws_iam_role.this["monitoring"].arn
  depends_on                          = [aws_cloudwatch_log_group.this]
}
