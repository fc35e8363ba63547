# The pipeline on AWS: docs/clouds.md describes the resources, their costs, and the first steps.
terraform {
  required_version = ">= 1.10"
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.100" }
  }
  # `terraform init -backend-config=…` sets the bucket of the state.
  backend "s3" {
    key          = "pipedrive-warehouse.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region
  default_tags {
    tags = { project = var.name }
  }
}

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name
  aws     = "arn:${data.aws_partition.current.partition}"
}
