# Tasks of ECS on Fargate: one for each schedule of meltano.yml that is on, the states' backup, and the database's roles.
locals {
  master_secret = aws_db_instance.this.master_user_secret[0].secret_arn
  has_image     = var.image_digest != ""
  image         = local.has_image ? "${aws_ecr_repository.this.repository_url}@${var.image_digest}" : ""

  project   = yamldecode(file("${path.module}/../../meltano.yml"))
  schedules = { for each in local.project.schedules : each.name => each if local.has_image && contains(var.schedules, each.name) }
  hubspot   = anytrue([for name in var.schedules : strcontains(name, "hubspot")])

  # Environment variables, with the keys of their values in the secret.
  secrets = merge(
    {
      TARGET_POSTGRES_PASSWORD = "LOADER_PASSWORD"
      DBT_POSTGRES_PASSWORD    = "TRANSFORMER_PASSWORD"
      MELTANO_DATABASE_URI     = "MELTANO_DATABASE_URI"
      TAP_PIPEDRIVE_API_TOKEN  = "TAP_PIPEDRIVE_API_TOKEN"
    },
    local.hubspot ? { TAP_HUBSPOT_ACCESS_TOKEN = "TAP_HUBSPOT_ACCESS_TOKEN" } : {},
  )
  environment = merge({
    TARGET_POSTGRES_HOST       = aws_db_instance.this.address
    TARGET_POSTGRES_PORT       = tostring(aws_db_instance.this.port)
    TARGET_POSTGRES_DATABASE   = aws_db_instance.this.db_name
    TARGET_POSTGRES_USER       = "loader"
    TARGET_POSTGRES_SSL_ENABLE = "true"
    TARGET_POSTGRES_SSL_MODE   = "require"
    DBT_POSTGRES_USER          = "transformer"
  }, var.settings)

  common = { # of every container
    essential              = true
    readonlyRootFilesystem = true
    environment            = []
    secrets                = []
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this["runs"].name
        awslogs-region        = local.region
        awslogs-stream-prefix = "run"
        mode                  = "non-blocking"
      }
    }
  }
  meltano = merge(local.common, { # settings of every container of the image
    image       = local.image
    user        = "10001:10001"
    stopTimeout = 60 # a run that receives SIGTERM commits the rows that it has
    secrets     = [for name, key in local.secrets : { name = name, valueFrom = "${aws_secretsmanager_secret.this.arn}:${key}::" }]
    linuxParameters = {
      initProcessEnabled = true
      tmpfs = [ # in memory: secrets of a run are never on a disk
        { containerPath = "/tmp", size = 512, mountOptions = ["mode=1777"] },
        { containerPath = "/project/.meltano/run", size = 64, mountOptions = ["mode=0700", "uid=10001", "gid=10001"] },
      ]
    }
  })
  prepare = merge(local.meltano, { # checks that Meltano's database has this version, and that the warehouse can be used
    name        = "prepare"
    essential   = false
    entryPoint  = ["/opt/meltano/venv/bin/python"]
    command     = ["-m", "orchestrate.prepare"]
    environment = [for name, value in local.environment : { name = name, value = value }]
  })
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "schedule" {
  for_each                 = local.schedules
  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task.cpu
  memory                   = var.task.memory
  execution_role_arn       = aws_iam_role.this["runs"].arn
  container_definitions = jsonencode([
    local.prepare,
    merge(local.meltano, {
      name        = "meltano"
      command     = ["run", each.value.job]
      environment = [for name, value in merge(local.environment, try(each.value.env, {})) : { name = name, value = value }]
      dependsOn   = [{ containerName = "prepare", condition = "SUCCESS" }]
    }),
  ])
}

resource "aws_ecs_task_definition" "backup" {
  count                    = local.has_image ? 1 : 0
  family                   = "${var.name}-backup"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 512
  memory                   = 2048
  execution_role_arn       = aws_iam_role.this["runs"].arn
  task_role_arn            = aws_iam_role.this["backup"].arn
  volume {
    name = "backup"
  }
  container_definitions = jsonencode([
    merge(local.common, { # a volume belongs to root: this gives the exporting user access
      name        = "folder"
      image       = local.aws_cli
      essential   = false
      entryPoint  = ["chmod", "1777", "/backup"]
      mountPoints = [{ sourceVolume = "backup", containerPath = "/backup" }]
    }),
    merge(local.meltano, {
      name        = "export"
      essential   = false
      command     = ["state", "export", "/backup/states.json"]
      environment = [for name, value in local.environment : { name = name, value = value }]
      mountPoints = [{ sourceVolume = "backup", containerPath = "/backup" }]
      dependsOn   = [{ containerName = "folder", condition = "SUCCESS" }]
    }),
    merge(local.common, {
      name        = "upload"
      image       = local.aws_cli
      entryPoint  = ["/bin/sh", "-ec"]
      command     = ["aws s3 cp /backup/states.json \"s3://${aws_s3_bucket.this["backups"].id}/states/$(date -u +%Y-%m-%dT%H%M%SZ).json\""]
      mountPoints = [{ sourceVolume = "backup", containerPath = "/backup", readOnly = true }]
      dependsOn   = [{ containerName = "export", condition = "SUCCESS" }]
    }),
  ])
}

# Run it once at first, and again when a password has changed: docs/clouds.md.
resource "aws_ecs_task_definition" "roles" {
  family                   = "${var.name}-roles"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.this["roles"].arn
  container_definitions = jsonencode([merge(local.common, {
    name       = "roles"
    image      = "public.ecr.aws/docker/library/postgres:17.6-bookworm"
    user       = "999:999"
    entryPoint = ["/bin/sh", "-ec"]
    command    = ["printf %s \"$ROLES_SQL\" | psql --no-psqlrc --quiet --file=-"]
    environment = [for name, value in {
      PGHOST     = aws_db_instance.this.address
      PGPORT     = tostring(aws_db_instance.this.port)
      PGDATABASE = aws_db_instance.this.db_name
      PGSSLMODE  = "require"
      ROLES_SQL  = file("${path.module}/../roles.sql")
    } : { name = name, value = value }]
    secrets = concat(
      [for name, key in { PGUSER = "username", PGPASSWORD = "password" } : { name = name, valueFrom = "${local.master_secret}:${key}::" }],
      [for role in ["LOADER", "TRANSFORMER", "BI", "ORCHESTRATOR"] : {
        name = "${role}_PASSWORD", valueFrom = "${aws_secretsmanager_secret.this.arn}:${role}_PASSWORD::"
      }],
    )
  })])
}

locals {
  aws_cli = "public.ecr.aws/aws-cli/aws-cli:2.31.23"
}
