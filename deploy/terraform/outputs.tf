output "repository" {
  description = "The registry to which images are pushed."
  value       = aws_ecr_repository.this.repository_url
}

output "image_digest" {
  description = "The deployed image; the workflows keep it unless they get another one."
  value       = var.image_digest
}

output "secret" {
  description = "The secret that `new-secrets` fills."
  value       = aws_secretsmanager_secret.this.arn
}

output "database" {
  description = "Address of Postgres, within the network."
  value       = aws_db_instance.this.endpoint
}

output "buckets" {
  description = "Buckets of the states' backups and of the documents' site."
  value       = { for name, bucket in aws_s3_bucket.this : name => bucket.id }
}

output "run_task" {
  description = "The beginning of the command that runs a task by hand; the task's name follows."
  value = join(" ", [
    "aws ecs run-task --cluster ${aws_ecs_cluster.this.name} --launch-type FARGATE --network-configuration",
    "'awsvpcConfiguration={subnets=[${join(",", aws_subnet.private[*].id)}],securityGroups=[${aws_security_group.tasks.id}]}'",
    "--task-definition ${var.name}-",
  ])
}

output "logs" {
  description = "The log group of the runs."
  value       = aws_cloudwatch_log_group.this["runs"].name
}

output "github_roles" {
  description = "Roles of the workflows, for the variables AWS_PLAN_ROLE and AWS_DEPLOY_ROLE of the repository."
  value       = { for name, role in aws_iam_role.github : name => role.arn }
}
