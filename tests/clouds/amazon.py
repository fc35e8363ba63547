"""Terraform with a local AWS: moto answers as Amazon's services do, and stores what it receives."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from orchestrate.processes import owned
from tests.postgres import free_port
from tests.project.documents import ROOT
from tests.service.programs import cloud_program

SOURCE = ROOT / "deploy" / "terraform"
PATIENCE = 300
REGION = "eu-central-1"
SERVICES = (
    *("cloudwatch", "cloudwatchlogs", "ec2", "ecr", "ecs", "events", "iam", "kms", "rds", "s3", "scheduler"),
    *("secretsmanager", "sns", "sqs", "sts"),
)
MIRRORS = ("/opt", "/usr/local/share/terraform", "/usr/share/terraform", "~/.terraform.d")
"""Folders that are searched for Terraform's providers before their registry is asked."""

OVERRIDE = """
terraform {{
  backend "local" {{}}
}}
provider "aws" {{
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true
  endpoints {{
{endpoints}
  }}
}}
# moto forgets these when it makes the rules.
resource "aws_vpc_security_group_egress_rule" "tasks_postgres" {{
  description = null
}}
resource "aws_vpc_security_group_ingress_rule" "database" {{
  description = null
}}
"""

ASK = """
import json, sys
import boto3

def ask(service, method, arguments):
    client = boto3.client(service, endpoint_url=sys.argv[1], region_name=sys.argv[2])
    answer = getattr(client, method)(**arguments)
    answer.pop("ResponseMetadata", None)
    return answer

for line in sys.stdin:
    print(json.dumps([ask(*call) for call in json.loads(line)], default=str), flush=True)
"""
"""A script that reads a line of calls and writes a line of answers."""


class Terraform:
    """A copy of the configuration with its own state."""

    def __init__(self, folder: Path, address: str, boto: subprocess.Popen[str]) -> None:
        self.folder = folder / "deploy" / "terraform"
        self._boto = boto
        ignore = shutil.ignore_patterns(".terraform", "*.tfstate*", "*.tfvars")
        shutil.copytree(SOURCE, self.folder, ignore=ignore)
        shutil.copy(ROOT / "deploy/roles.sql", folder / "deploy")
        shutil.copy(ROOT / "meltano.yml", folder)
        endpoints = "\n".join(f'    {name} = "{address}"' for name in SERVICES)
        (self.folder / "override.tf").write_text(OVERRIDE.format(endpoints=endpoints))
        mirror = next((str(path) for path in _mirrors()), "")
        found = f'filesystem_mirror {{ path = "{mirror}" }}' if mirror else "direct {}"
        (folder / "terraform.rc").write_text(f"provider_installation {{ {found} }}\n")
        self.environment = {
            **os.environ,
            "TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }
        done = self.run("init", "-input=false", "-lockfile=readonly")
        if done.returncode and not mirror:
            pytest.skip(f"Terraform's provider for AWS cannot be had: {done.stderr.strip()[-300:]}")
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Terraform."""
        verb, *options = words
        return subprocess.run(
            ["terraform", verb, "-no-color", *options],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(self, *words: str) -> str:
        """Run a Terraform command, check that it succeeds, and return its output."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
        return done.stdout

    def ask(self, *calls: tuple[str, str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Call Amazon's services with boto3: each call is a service, a method and its arguments."""
        assert self._boto.stdin
        assert self._boto.stdout
        self._boto.stdin.write(f"{json.dumps(calls)}\n")
        self._boto.stdin.flush()
        answers: list[dict[str, Any]] = json.loads(self._boto.stdout.readline())
        return answers


def _mirrors() -> Iterator[Path]:
    for above in MIRRORS:
        for path in Path(above).expanduser().glob("**/registry.terraform.io/hashicorp/aws"):
            yield path.parents[2]


@contextmanager
def amazon(folder: Path) -> Iterator[Terraform]:
    """Run moto, and yield a configuration for its account."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with (
        (folder / "moto.log").open("wb") as log,
        owned(
            [cloud_program("moto_server"), "--host=127.0.0.1", f"--port={port}"],
            stdout=log,
            stderr=log,
            env={**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"},
        ) as process,
    ):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                requests.get(f"{address}/moto-api/data.json", timeout=PATIENCE)
                break
            except requests.ConnectionError:
                assert process.poll() is None, (folder / "moto.log").read_text()[-3000:]
                assert time.monotonic() < deadline
                time.sleep(0.2)
        with owned(
            [cloud_program("python"), "-c", ASK, address, REGION],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        ) as boto:
            yield Terraform(folder, address, boto)
