# EventBridge starts the tasks. A failing start is retried; after an hour the event is put into a queue, which raises an
# alarm.
locals {
  weekdays = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
  fields   = { for name, each in local.schedules : name => [for field in split(" ", each.interval) : replace(field, "*/", "0/")] }
  # Amazon's format has a sixth field for the year, names for weekdays, and ? for whichever of the two days is not given.
  crons = { for name, field in local.fields : name => format(
    "cron(%s %s %s %s %s *)",
    field[0], field[1], field[4] == "*" ? field[2] : "?", field[3],
    field[4] == "*" ? "?" : local.weekdays[tonumber(field[4])],
  ) }
  tasks = merge(
    { for name, each in aws_ecs_task_definition.schedule : name => { task = each.arn, cron = local.crons[name] } },
    { for each in aws_ecs_task_definition.backup : "backup" => { task = each.arn, cron = "cron(15 0 * * ? *)" } },
  )
}

resource "aws_scheduler_schedule_group" "this" {
  name = var.name
}

resource "aws_scheduler_schedule" "this" {
  for_each                     = local.tasks
  name                         = each.key
  group_name                   = aws_scheduler_schedule_group.this.name
  schedule_expression          = each.value.cron
  schedule_expression_timezone = var.timezone
  kms_key_arn                  = aws_kms_key.this.arn
  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = aws_ecs_cluster.this.arn
    role_arn = aws_iam_role.this["schedules"].arn
    ecs_parameters {
      task_definition_arn = each.value.task # with its revision, and so with the digest of the image
      launch_type         = "FARGATE"
      propagate_tags      = "TASK_DEFINITION"
      network_configuration {
        subnets          = aws_subnet.private[*].id
        security_groups  = [aws_security_group.tasks.id]
        assign_public_ip = false
      }
    }
    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 10
    }
    dead_letter_config {
      arn = aws_sqs_queue.undelivered.arn
    }
  }
}

resource "aws_sqs_queue" "undelivered" {
  name                      = "${var.name}-undelivered"
  message_retention_seconds = 1209600
  kms_master_key_id         = aws_kms_key.this.arn
}
