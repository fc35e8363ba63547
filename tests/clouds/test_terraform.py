"""`deploy/terraform`: its resources in a local AWS match the project, and all of them can be destroyed."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.service.test_systemd import matches

from .amazon import REGION, SOURCE, Terraform, amazon
from .manifests import checkov, schedules

pytestmark = [pytest.mark.clouds, pytest.mark.terraform]

DIGEST = "sha256:" + "0123456789abcdef" * 4
NAME = "pipedrive-warehouse"
GIVEN = f"""
region            = "{REGION}"
alarm_email       = "somebody@example.com"
github_repository = "example/{NAME}"
protect           = false
settings          = {{ REPORTING_TIMEZONE = "America/Sao_Paulo" }}
schedules         = {json.dumps(sorted(schedules()))}
"""
SECRETS = {
    "TARGET_POSTGRES_PASSWORD": "LOADER_PASSWORD",
    "DBT_POSTGRES_PASSWORD": "TRANSFORMER_PASSWORD",
    "MELTANO_DATABASE_URI": "MELTANO_DATABASE_URI",
    "TAP_PIPEDRIVE_API_TOKEN": "TAP_PIPEDRIVE_API_TOKEN",
    "TAP_HUBSPOT_ACCESS_TOKEN": "TAP_HUBSPOT_ACCESS_TOKEN",
}
"""The variables of a run, and the keys of their values in the secret."""


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    """An account in which everything was created. Without an image, the plan is checked to have no runs."""
    folder = tmp_path_factory.mktemp("amazon")
    with amazon(folder) as terraform:
        (terraform.folder / "terraform.tfvars").write_text(GIVEN)
        terraform("plan", "-out=first")
        planned = json.loads(terraform("show", "-json", "first"))["resource_changes"]
        tasks = [
            each for each in planned if each["type"] in ("aws_ecs_task_definition", "aws_scheduler_schedule")
        ]
        assert [each["address"] for each in tasks] == ["aws_ecs_task_definition.roles"]
        (terraform.folder / "terraform.tfvars").write_text(f'{GIVEN}image_digest = "{DIGEST}"\n')
        terraform("apply", "-auto-approve", "-parallelism=30")
        yield terraform


def test_the_configuration_is_formatted_and_valid(applied: Terraform) -> None:
    applied("validate")
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-diff"], cwd=SOURCE, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_scanner_finds_no_problem() -> None:
    assert checkov(SOURCE, SOURCE / "checkov.yaml") == []


def test_the_scanner_finds_an_inserted_problem(tmp_path: Path) -> None:
    for path in SOURCE.glob("*.tf"):
        text = path.read_text().replace(
            "publicly_accessible                 = false", "publicly_accessible = true"
        )
        (tmp_path / path.name).write_text(text.replace('actions = ["kms:Decrypt"]', 'actions = ["kms:*"]'))
    found = {each.partition(" ")[0] for each in checkov(tmp_path, SOURCE / "checkov.yaml")}
    assert "CKV_AWS_17" in found


def test_a_second_plan_changes_nothing(applied: Terraform) -> None:
    done = applied.run("plan", "-detailed-exitcode", "-input=false")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def test_each_schedule_starts_its_command_with_the_image(applied: Terraform) -> None:
    """Schedule, task definition, image, command, secrets and log group are read back from AWS."""
    (listed,) = applied.ask(("scheduler", "list_schedules", {"GroupName": NAME}))
    names = [each["Name"] for each in listed["Schedules"]]
    assert sorted(names) == sorted([*schedules(), "backup"])
    found = applied.ask(*(("scheduler", "get_schedule", {"GroupName": NAME, "Name": name}) for name in names))
    started = {each["Name"]: each for each in found}
    tasks = applied.ask(
        *(
            ("ecs", "describe_task_definition", {"taskDefinition": task_of(started[name])})
            for name in schedules()
        )
    )
    repository, secret, queue, groups = applied.ask(
        ("ecr", "describe_repositories", {}),
        ("secretsmanager", "describe_secret", {"SecretId": NAME}),
        ("sqs", "get_queue_attributes", {"QueueUrl": queue_url(applied), "AttributeNames": ["QueueArn"]}),
        ("logs", "describe_log_groups", {}),
    )
    image = f"{repository['repositories'][0]['repositoryUri']}@{DIGEST}"
    for (name, schedule), answer in zip(schedules().items(), tasks, strict=True):
        target = started[name]["Target"]
        assert re.search(r"/pipedrive-warehouse-[\w-]+:\d+$", task_of(started[name])), "pinned to a revision"
        assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 10}
        assert target["DeadLetterConfig"]["Arn"] == queue["Attributes"]["QueueArn"]
        network = target["EcsParameters"]["NetworkConfiguration"]["awsvpcConfiguration"]
        assert (network["AssignPublicIp"], len(network["Subnets"])) == ("DISABLED", 2)
        containers = {each["name"]: each for each in answer["taskDefinition"]["containerDefinitions"]}
        run, prepare = containers["meltano"], containers["prepare"]
        assert run["command"] == ["run", schedule["job"]]
        assert (prepare["entryPoint"], prepare["command"]) == (
            ["/opt/meltano/venv/bin/python"],
            ["-m", "orchestrate.prepare"],
        )
        assert run["dependsOn"] == [{"containerName": "prepare", "condition": "SUCCESS"}]
        variables = {each["name"]: each["value"] for each in run["environment"]}
        assert schedule.get("env", {}).items() <= variables.items()
        assert variables["REPORTING_TIMEZONE"] == "America/Sao_Paulo"
        assert variables["TARGET_POSTGRES_SSL_ENABLE"] == "true"
        assert not [key for key in variables if re.search("PASSWORD|TOKEN|SECRET|URI$", key)]
        for container in containers.values():
            assert container["image"] == image
            assert container["readonlyRootFilesystem"] is True
            assert container["user"] == "10001:10001"
            assert {each["name"]: each["valueFrom"] for each in container["secrets"]} == {
                key: f"{secret['ARN']}:{value}::" for key, value in SECRETS.items()
            }
            logs = container["logConfiguration"]["options"]["awslogs-group"]
            assert logs in [each["logGroupName"] for each in groups["logGroups"]]


def task_of(schedule: dict[str, Any]) -> str:
    found: str = schedule["Target"]["EcsParameters"]["TaskDefinitionArn"]
    return found


def queue_url(applied: Terraform) -> str:
    (answer,) = applied.ask(("sqs", "list_queues", {}))
    (url,) = answer["QueueUrls"]
    return str(url)


def test_times_equal_those_in_meltano(applied: Terraform) -> None:
    calls = [("scheduler", "get_schedule", {"GroupName": NAME, "Name": name}) for name in schedules()]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    minutes = [start + timedelta(minutes=i) for i in range(9 * 24 * 60)]
    for (name, schedule), answer in zip(schedules().items(), applied.ask(*calls), strict=True):
        assert answer["ScheduleExpressionTimezone"] == "UTC"
        wanted = [minute for minute in minutes if matches(schedule["interval"], minute)]
        assert wanted
        assert [each for each in minutes if starts(answer["ScheduleExpression"], each)] == wanted, name


def starts(expression: str, moment: datetime) -> bool:
    """Return whether an EventBridge expression matches a minute."""
    found = re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) \*\)", expression)
    assert found
    assert (found[3] == "?") != (found[5] == "?"), "Amazon requires one ? for day or weekday"
    weekday = moment.strftime("%a").upper()
    values = (moment.minute, moment.hour, moment.day, moment.month)
    *parts, last = found.groups()
    return last in ("?", weekday) and all(
        value % int(part[2:]) == 0 if part.startswith("0/") else part in ("*", "?", str(value))
        for part, value in zip(parts, values, strict=True)
    )


def test_database_roles_equal_those_of_the_file(applied: Terraform) -> None:
    (answer,) = applied.ask(("ecs", "describe_task_definition", {"taskDefinition": f"{NAME}-roles"}))
    (container,) = answer["taskDefinition"]["containerDefinitions"]
    variables = {each["name"]: each["value"] for each in container["environment"]}
    assert variables["ROLES_SQL"] == (SOURCE.parent / "roles.sql").read_text()
    assert len(json.dumps(answer["taskDefinition"])) < 64_000, "ECS accepts at most 64 KiB"
    wanted = set(re.findall(r"getenv \w+ (\w+_PASSWORD)", variables["ROLES_SQL"]))
    assert {each["name"] for each in container["secrets"]} == wanted | {"PGUSER", "PGPASSWORD"}
    assert container["image"] == "public.ecr.aws/docker/library/postgres:17.6-bookworm"


def test_secrets_are_created_for_every_task_and_not_stored_in_the_state(applied: Terraform) -> None:
    address = applied("output", "-raw", "database")
    made = subprocess.run(
        [applied.folder / "new-secrets", address],
        env={**os.environ, "TAP_PIPEDRIVE_API_TOKEN": "the-token"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    values = json.loads(made)
    assert values["TAP_PIPEDRIVE_API_TOKEN"] == "the-token"
    assert values["MELTANO_DATABASE_URI"] == (
        f"postgresql+psycopg://orchestrator:{values['ORCHESTRATOR_PASSWORD']}@{address}/meltano?sslmode=require"
    )
    assert len({value for name, value in values.items() if name.endswith("PASSWORD")}) == 4
    arn = applied("output", "-raw", "secret")
    applied.ask(("secretsmanager", "put_secret_value", {"SecretId": arn, "SecretString": made}))
    definitions = [f"{NAME}-{name}" for name in (*schedules(), "backup", "roles")]
    answers = applied.ask(
        *(("ecs", "describe_task_definition", {"taskDefinition": name}) for name in definitions)
    )
    keys = {
        reference["valueFrom"].removeprefix(f"{arn}:").removesuffix("::")
        for answer in answers
        for container in answer["taskDefinition"]["containerDefinitions"]
        for reference in container["secrets"]
        if reference["valueFrom"].startswith(arn)
    }
    assert keys == values.keys()
    kept = {
        each["type"] for each in json.loads((applied.folder / "terraform.tfstate").read_text())["resources"]
    }
    assert "aws_secretsmanager_secret" in kept
    assert not {each for each in kept if "secret_version" in each or "password" in each}


def test_rights_are_limited(applied: Terraform) -> None:
    (roles,) = applied.ask(("iam", "list_roles", {}))
    names = [each["RoleName"] for each in roles["Roles"] if each["RoleName"].startswith(NAME)]
    services = {
        "monitoring",
        "network",
        "runs",
        "roles",
        "backup",
        "schedules",
        "github-plan",
        "github-deploy",
    }
    assert {name.removeprefix(f"{NAME}-") for name in names} == services
    calls = (("iam", "get_role_policy", {"RoleName": name, "PolicyName": "rights"}) for name in names)
    rights = {
        name.removeprefix(f"{NAME}-"): answer["PolicyDocument"]["Statement"]
        for name, answer in zip(names, applied.ask(*calls), strict=True)
    }
    everywhere = {
        action
        for statements in rights.values()
        for each in statements
        for action in each["Action"]
        if each["Resource"] == ["*"]
    }
    assert everywhere == {
        "ecr:GetAuthorizationToken",
        "ecs:DeregisterTaskDefinition",
        "ecs:RegisterTaskDefinition",
    }
    actions = {name: {a for each in found for a in each["Action"]} for name, found in rights.items()}
    assert not [action for found in actions.values() for action in found if "*" in action]
    assert actions["backup"] == {"s3:PutObject", "kms:GenerateDataKey"}
    assert actions["schedules"] == {
        *("ecs:RunTask", "iam:PassRole", "sqs:SendMessage", "kms:Decrypt", "kms:GenerateDataKey"),
    }
    assert actions["github-plan"] == {"s3:GetObject"}
    assert not [
        a for a in actions["github-deploy"] if a.startswith(("iam:", "rds:", "ec2:")) and a != "iam:PassRole"
    ]


def test_workflows_get_their_roles_without_a_key(applied: Terraform) -> None:
    names = [f"{NAME}-github-{name}" for name in ("plan", "deploy")]
    plan, deploy = (
        each["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["StringEquals"]
        for each in applied.ask(*(("iam", "get_role", {"RoleName": name}) for name in names))
    )
    subject = "token.actions.githubusercontent.com:sub"
    assert plan[subject] == [
        f"repo:example/{NAME}:{name}" for name in ("pull_request", "ref:refs/heads/main")
    ]
    assert deploy[subject] == [f"repo:example/{NAME}:environment:production"]


def test_resources_are_private_encrypted_and_monitored(applied: Terraform) -> None:
    buckets, databases, groups, alarms, queue, rules = applied.ask(
        ("s3", "list_buckets", {}),
        ("rds", "describe_db_instances", {}),
        ("logs", "describe_log_groups", {}),
        ("cloudwatch", "describe_alarms", {}),
        (
            "sqs",
            "get_queue_attributes",
            {"QueueUrl": queue_url(applied), "AttributeNames": ["KmsMasterKeyId"]},
        ),
        ("events", "describe_rule", {"Name": f"{NAME}-failed"}),
    )
    (database,) = databases["DBInstances"]
    assert (database["PubliclyAccessible"], database["StorageEncrypted"]) == (False, True)
    assert database["BackupRetentionPeriod"] == 14
    assert all(each["kmsKeyId"] and each["retentionInDays"] for each in groups["logGroups"])
    assert queue["Attributes"]["KmsMasterKeyId"]
    names = [each["Name"] for each in buckets["Buckets"]]
    assert len(names) == 2
    blocks = applied.ask(*(("s3", "get_public_access_block", {"Bucket": name}) for name in names))
    assert all(all(each["PublicAccessBlockConfiguration"].values()) for each in blocks)
    watched = {each["AlarmName"].removeprefix(f"{NAME}-"): each for each in alarms["MetricAlarms"]}
    assert watched.keys() == {"undelivered", "disk", "stale"}
    assert all(each["AlarmActions"] for each in watched.values())
    assert watched["stale"]["TreatMissingData"] == "breaching"
    assert watched["stale"]["Period"] * watched["stale"]["EvaluationPeriods"] <= 86_400, "CloudWatch's limit"
    assert json.loads(rules["EventPattern"])["detail"]["lastStatus"] == ["STOPPED"]


def test_destroying_leaves_nothing(applied: Terraform) -> None:
    applied("destroy", "-auto-approve", "-parallelism=30")
    assert "values" not in json.loads(applied("show", "-json"))
    left = applied.ask(
        ("s3", "list_buckets", {}),
        ("rds", "describe_db_instances", {}),
        ("rds", "describe_db_snapshots", {}),
        ("ecs", "list_task_definitions", {"status": "ACTIVE"}),
        ("ecr", "describe_repositories", {}),
        ("secretsmanager", "list_secrets", {}),
        ("scheduler", "list_schedules", {}),
        ("sqs", "list_queues", {}),
        ("sns", "list_topics", {}),
        ("logs", "describe_log_groups", {}),
        ("cloudwatch", "describe_alarms", {}),
        ("events", "list_rules", {}),
        ("iam", "list_open_id_connect_providers", {}),
        ("ec2", "describe_nat_gateways", {"Filter": [{"Name": "state", "Values": ["available"]}]}),
        ("ec2", "describe_addresses", {}),
        ("ec2", "describe_vpcs", {"Filters": [{"Name": "is-default", "Values": ["false"]}]}),
    )
    assert [found for answer in left for key, found in answer.items() if found and key != "Owner"] == []
    clusters, roles = applied.ask(
        ("ecs", "describe_clusters", {"clusters": [NAME]}),
        ("iam", "list_roles", {}),
    )
    assert not [each for each in clusters["clusters"] if each["status"] == "ACTIVE"]
    assert not [each for each in roles["Roles"] if each["RoleName"].startswith(NAME)]
