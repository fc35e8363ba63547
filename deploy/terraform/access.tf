# The roles and their rights. A run itself has no role, so that its programs have no rights in AWS.
locals {
  services = {
    monitoring = ["monitoring.rds.amazonaws.com"]
    network    = ["vpc-flow-logs.amazonaws.com"]
    runs       = ["ecs-tasks.amazonaws.com"]
    roles      = ["ecs-tasks.amazonaws.com"]
    backup     = ["ecs-tasks.amazonaws.com"]
    schedules  = ["scheduler.amazonaws.com"]
  }
  start = [ # the steps of ECS before a task's first program starts
    { actions = ["ecr:GetAuthorizationToken"], resources = ["*"] },
    {
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = [aws_ecr_repository.this.arn]
    },
    {
      actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      resources = ["${aws_cloudwatch_log_group.this["runs"].arn}:*"]
    },
    { actions = ["secretsmanager:GetSecretValue"], resources = [aws_secretsmanager_secret.this.arn] },
    { actions = ["kms:Decrypt"], resources = [aws_kms_key.this.arn] },
  ]
  rights = {
    monitoring = [{
      actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents", "logs:PutLogEvents"]
      resources = ["${local.aws}:logs:${local.region}:${local.account}:log-group:RDSOSMetrics:log-stream:*"]
      }, {
      actions   = ["logs:CreateLogGroup", "logs:PutRetentionPolicy"]
      resources = ["${local.aws}:logs:${local.region}:${local.account}:log-group:RDS*"]
    }]
    network = [{
      actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      resources = ["${aws_cloudwatch_log_group.this["network"].arn}:*"]
    }]
    runs = local.start
    roles = concat(local.start, [{
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [local.master_secret]
    }])
    backup = [
      { actions = ["s3:PutObject"], resources = ["${aws_s3_bucket.this["backups"].arn}/states/*"] },
      { actions = ["kms:GenerateDataKey"], resources = [aws_kms_key.this.arn] },
    ]
    schedules = [
      { actions = ["ecs:RunTask"], resources = ["${local.aws}:ecs:${local.region}:${local.account}:task-definition/${var.name}-*"] },
      { actions = ["iam:PassRole"], resources = [for name in ["runs", "backup"] : aws_iam_role.this[name].arn] },
      { actions = ["sqs:SendMessage"], resources = [aws_sqs_queue.undelivered.arn] },
      { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [aws_kms_key.this.arn] },
    ]
  }
}

data "aws_iam_policy_document" "assume" {
  for_each = local.services
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = each.value
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_iam_role" "this" {
  for_each           = local.services
  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.assume[each.key].json
}

resource "aws_iam_role_policy" "this" {
  for_each = local.services
  name     = "rights"
  role     = aws_iam_role.this[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for each in local.rights[each.key] : {
      Effect   = "Allow"
      Action   = each.actions
      Resource = each.resources
    }]
  })
}
