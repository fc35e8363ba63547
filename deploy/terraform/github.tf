# The rights of GitHub's workflows, without a stored key: they plan on pull requests and before a deployment, and deploy
# an image from the environment `production`. They may not change the network, the database, the key or rights; a person
# applies such changes.
locals {
  github = var.github_repository == null ? {} : {
    plan   = ["repo:${var.github_repository}:pull_request", "repo:${var.github_repository}:ref:refs/heads/main"]
    deploy = ["repo:${var.github_repository}:environment:production"]
  }
  token = "token.actions.githubusercontent.com"
  roll_out = [
    { actions = ["ecr:GetAuthorizationToken"], resources = ["*"] },
    {
      actions = [
        "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
        "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
      ]
      resources = [aws_ecr_repository.this.arn]
    },
    # ECS does not support resources for these two actions.
    { actions = ["ecs:DeregisterTaskDefinition", "ecs:RegisterTaskDefinition"], resources = ["*"] },
    { actions = ["ecs:TagResource"], resources = ["${local.aws}:ecs:${local.region}:${local.account}:task-definition/${var.name}-*"] },
    {
      actions   = ["scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:UpdateSchedule"]
      resources = ["${local.aws}:scheduler:${local.region}:${local.account}:schedule/${var.name}/*"]
    },
    {
      actions   = ["iam:PassRole"]
      resources = [for name in ["runs", "roles", "backup", "schedules"] : aws_iam_role.this[name].arn]
    },
    { actions = ["s3:DeleteObject", "s3:PutObject"], resources = ["${aws_s3_bucket.this["documents"].arn}/*"] },
    { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [aws_kms_key.this.arn] },
  ]
  # The state of Terraform, which both roles read and only the second one writes; its bucket is that of the backend.
  state = { for name in keys(local.github) : name => {
    actions   = name == "deploy" ? ["s3:DeleteObject", "s3:PutObject"] : ["s3:GetObject"]
    resources = ["${local.aws}:s3:::*/pipedrive-warehouse.tfstate", "${local.aws}:s3:::*/pipedrive-warehouse.tfstate.tflock"]
  } }
}

resource "aws_iam_openid_connect_provider" "github" {
  count          = length(local.github) > 0 ? 1 : 0
  url            = "https://${local.token}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "github" {
  for_each             = local.github
  name                 = "${var.name}-github-${each.key}"
  max_session_duration = 3600
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = aws_iam_openid_connect_provider.github[0].arn }
      Condition = { StringEquals = { "${local.token}:aud" = "sts.amazonaws.com", "${local.token}:sub" = each.value } }
    }]
  })
}

# Planning needs the right to read, but not the values of secrets.
resource "aws_iam_role_policy_attachment" "github" {
  for_each   = local.github
  role       = aws_iam_role.github[each.key].name
  policy_arn = "${local.aws}:iam::aws:policy/ReadOnlyAccess"
}

resource "aws_iam_role_policy" "github" {
  for_each = local.github
  name     = "rights"
  role     = aws_iam_role.github[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for each in concat([local.state[each.key]], each.key == "deploy" ? local.roll_out : []) : {
      Effect   = "Allow"
      Action   = each.actions
      Resource = each.resources
    }]
  })
}
