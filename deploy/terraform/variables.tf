variable "region" {
  type        = string
  description = "The AWS region of all resources."
}

variable "name" {
  type        = string
  default     = "pipedrive-warehouse"
  description = "The prefix of all names."
}

variable "image_digest" {
  type        = string
  default     = ""
  nullable    = false
  description = "The image in this project's registry, as sha256:…; without it, everything but the tasks and schedules is made."
  validation {
    condition     = can(regex("^(sha256:[0-9a-f]{64})?$", var.image_digest))
    error_message = "image_digest is not of the form sha256: and 64 hexadecimal digits."
  }
}

variable "schedules" {
  type        = set(string)
  default     = ["sync-every-4-hours", "reconcile-every-sunday"]
  description = "The schedules of meltano.yml that are on."
}

variable "timezone" {
  type        = string
  default     = "UTC"
  description = "The time zone of the schedules."
}

variable "settings" {
  type        = map(string)
  default     = {}
  description = "Variables of docs/operate.md and docs/settings.md, as REPORTING_TIMEZONE; secrets go into Secrets Manager."
}

variable "database" {
  type = object({
    instance_class = optional(string, "db.t4g.small")
    storage_gb     = optional(number, 20)
    multi_az       = optional(bool, false)
  })
  default     = {}
  description = "The size of Postgres, and whether it has a standby."
}

variable "task" {
  type        = object({ cpu = optional(number, 1024), memory = optional(number, 2048) })
  default     = {}
  description = "The size of a run: CPU units, of which 1024 are one processor, and memory in MiB."
}

variable "alarm_email" {
  type        = string
  description = "The e-mail address for alarms."
}

variable "github_repository" {
  type        = string
  default     = null
  description = "The repository, as owner/name, whose workflows may plan and deploy; without it, none may."
}

variable "protect" {
  type        = bool
  default     = true
  description = "Whether database, backups, images and secrets outlive `terraform destroy`. Set it to false, apply, and then destroy."
}
