# Mail about problems: a run that failed, could not be started, or did not take place, and a disk that fills up.
resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = aws_kms_key.this.id
}

resource "aws_sns_topic_subscription" "mail" {
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsAndEvents"
      Effect    = "Allow"
      Principal = { Service = ["cloudwatch.amazonaws.com", "events.amazonaws.com"] }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alarms.arn
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_cloudwatch_event_rule" "failed" {
  name        = "${var.name}-failed"
  description = "A task that failed, or did not start"
  event_pattern = jsonencode({
    source        = ["aws.ecs"]
    "detail-type" = ["ECS Task State Change"]
    detail = {
      clusterArn = [aws_ecs_cluster.this.arn]
      lastStatus = ["STOPPED"]
      "$or" = [
        { containers = { exitCode = [{ "anything-but" = [0] }] } },
        { stopCode = ["TaskFailedToStart"] },
      ]
    }
  })
}

resource "aws_cloudwatch_event_target" "failed" {
  rule = aws_cloudwatch_event_rule.failed.name
  arn  = aws_sns_topic.alarms.arn
  input_transformer {
    input_paths    = { task = "$.detail.taskDefinitionArn", reason = "$.detail.stoppedReason" }
    input_template = "\"A task of ${var.name} failed: <task> (<reason>). Its log is in the group ${aws_cloudwatch_log_group.this["runs"].name}.\""
  }
}

resource "aws_cloudwatch_log_metric_filter" "good_runs" {
  name           = "${var.name}-good-runs"
  log_group_name = aws_cloudwatch_log_group.this["runs"].name
  pattern        = "{ $.event = \"Run completed\" && $.status = \"success\" }"
  metric_transformation {
    name      = "GoodRuns"
    namespace = var.name
    value     = "1"
  }
}

locals {
  alarms = merge({
    undelivered = {
      description = "A schedule could not start its task"
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = aws_sqs_queue.undelivered.name }
      statistic   = "Maximum", comparison = "GreaterThanThreshold", threshold = 0, period = 300, periods = 1, missing = "notBreaching"
    }
    disk = {
      description = "Postgres has less than 2 GB of disk left"
      namespace   = "AWS/RDS", metric = "FreeStorageSpace", dimensions = { DBInstanceIdentifier = aws_db_instance.this.identifier }
      statistic   = "Minimum", comparison = "LessThanThreshold", threshold = 2000000000, period = 300, periods = 3, missing = "missing"
    }
    }, contains(keys(local.schedules), "sync-every-4-hours") ? {
    stale = { # more than two runs of a schedule of four hours are missing
      description = "No run has succeeded for nine hours"
      namespace   = var.name, metric = "GoodRuns", dimensions = {}
      statistic   = "Sum", comparison = "LessThanThreshold", threshold = 1, period = 3600, periods = 9, missing = "breaching"
    }
  } : {})
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}
