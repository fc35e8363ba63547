"""`make kubernetes` and `make kubernetes-down` use a cluster of this machine only, with the secrets of .env.

No cluster can run here. A program records the calls of minikube, docker, and kubectl's commands for a
cluster. `kubectl kustomize` is the real one.
"""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrate import environment, kubernetes
from tests.project.documents import ROOT
from tests.service.programs import kubectl

from .manifests import KUBERNETES, SECRETS, WORKLOADS, of_kind, parsed

pytestmark = pytest.mark.clouds

RECORDER = """#!/bin/sh -e
name=$(basename "$0")
case "$name $1 $2" in
    "kubectl kustomize "*) exec {kubectl} "$@" ;;
    "kubectl config current-context") echo "$CONTEXT"; exit ;;
    "kubectl apply "*) cat > {folder}/applied.yaml ;;
esac
echo "$name $*" >> {folder}/calls
"""

PASSWORDS = {name: value for values in SECRETS.values() for name, value in values.items()}


class Machine:
    """A machine whose programs record their calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir()
        for name in ("docker", "k3d", "kind", "kubectl", "make", "minikube", "sudo"):
            (programs / name).write_text(RECORDER.format(kubectl=kubectl(), folder=folder))
            (programs / name).chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name in ("HOME", "LANG")},
            "PATH": f"{programs}:/usr/bin:/bin",
        }

    def __call__(self, verb: str, context: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "orchestrate.kubernetes", verb],
            cwd=ROOT,
            env=self.environment | {"CONTEXT": context} | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    if environment.DOTENV.exists():
        pytest.skip("this clone has a .env, whose variables would be read")
    yield Machine(tmp_path)
    assert list((KUBERNETES / "local").glob("*.secret.env")) == [], "secrets were left on the disk"


def test_the_stack_starts_with_the_secrets_of_the_environment(machine: Machine) -> None:
    settings = {
        "TAP_PIPEDRIVE_HISTORY": "all",
        "GROSS_MARGIN": "0.7",
        "FAILURE_URL": "https://example.com/hook",
    }
    done = machine("up", "minikube", **PASSWORDS, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    calls = [re.sub(r" --.*", "", each) for each in machine.calls]
    assert calls == [
        "make image BUILDER=docker",
        "minikube image load pipedrive-warehouse:airflow",
        "kubectl apply",
        "kubectl rollout status",
        "kubectl rollout status",
    ]
    applied = parsed((machine.folder / "applied.yaml").read_text())
    found = {
        (name, key): base64.b64decode(value).decode()
        for name, secret in of_kind(applied, "Secret").items()
        for key, value in secret["data"].items()
    }
    wanted = {(secret, name): value for secret, values in SECRETS.items() for name, value in values.items()}
    wanted |= {
        ("pipeline", "TAP_PIPEDRIVE_HISTORY"): "all",
        ("pipeline", "GROSS_MARGIN"): "0.7",
        ("pipeline", "TAP_PIPEDRIVE_REDIS_URL"): f"redis://:{PASSWORDS['REDIS_PASSWORD']}@redis:6379/1",
        ("airflow", "FAILURE_URL"): "https://example.com/hook",
    }
    assert found == wanted
    said = done.stdout + done.stderr + json.dumps(machine.calls)
    assert not any(value in said for value in PASSWORDS.values())


@pytest.mark.parametrize(
    ("context", "call"),
    [
        ("kind-warehouse", "kind load docker-image pipedrive-warehouse:airflow --name warehouse"),
        ("k3d-warehouse", "k3d image import pipedrive-warehouse:airflow --cluster warehouse"),
        ("default", "sudo k3s ctr images import -"),
    ],
)
def test_the_image_is_loaded_into_each_kind_of_cluster(machine: Machine, context: str, call: str) -> None:
    assert machine("up", context, **PASSWORDS).returncode == 0
    assert call in machine.calls


@pytest.mark.parametrize("verb", ["up", "down"])
def test_a_remote_cluster_is_not_changed(machine: Machine, verb: str) -> None:
    done = machine(verb, "arn:aws:eks:eu-west-1:1234:cluster/production", **PASSWORDS)
    assert done.returncode == 1
    assert "is not a cluster on this machine" in done.stderr
    assert machine.calls == []


def test_missing_passwords_are_reported_before_anything_happens(machine: Machine) -> None:
    given = {
        name: value for name, value in PASSWORDS.items() if name not in ("BI_PASSWORD", "LOADER_PASSWORD")
    }
    done = machine("up", "minikube", **given)
    assert done.returncode == 1
    assert "not set in .env: LOADER_PASSWORD, BI_PASSWORD." in done.stderr
    assert machine.calls == []


def test_a_value_of_several_lines_is_refused(machine: Machine) -> None:
    done = machine("up", "minikube", **PASSWORDS, TAP_PIPEDRIVE_STREAM_MAPS='{\n"persons": {}}')
    assert "TAP_PIPEDRIVE_STREAM_MAPS has several lines" in done.stderr
    assert machine.calls == []


def test_volumes_are_kept_when_the_stack_is_removed(machine: Machine) -> None:
    assert machine("down", "minikube").returncode == 0
    ((_, _, kinds, namespace, selector, _),) = [each.split() for each in machine.calls]
    assert namespace == "--namespace=pipedrive-warehouse"
    assert selector == "--selector=app.kubernetes.io/part-of=pipedrive-warehouse"
    deleted = set(kinds.split(","))
    assert not {each for each in deleted if each.startswith(("persistent", "pv", "namespace", "all"))}
    assert deleted >= {each.lower() for each in WORKLOADS} - {"cronjob"} | {"secret", "configmap", "service"}


def test_the_required_variables_are_those_of_the_manifests() -> None:
    assert {name: set(values) - {"TAP_PIPEDRIVE_API_TOKEN"} for name, values in SECRETS.items()} == {
        name: set(names) for name, names in kubernetes.NEEDED.items()
    }
