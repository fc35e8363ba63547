"""The manifests of deploy/kubernetes as kustomize renders them."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.project.documents import DOCS, ROOT, blocks
from tests.service.programs import cloud_program, kubectl

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("base", "airflow", "local", "yours", "yours-airflow")
YOURS = {"kustomization.yaml": "yours", "airflow/kustomization.yaml": "yours-airflow"}
"""The folders of the overlays in the documents, by their marks there."""
WORKLOADS = ("CronJob", "Deployment", "StatefulSet", "Pod")

Document = dict[str, Any]

SECRETS: Mapping[str, Mapping[str, str]] = {
    "pipeline": {
        "LOADER_PASSWORD": "the-loaders",
        "TRANSFORMER_PASSWORD": "the-transformers",
        "ORCHESTRATOR_PASSWORD": "the-orchestrators",
        "TAP_PIPEDRIVE_API_TOKEN": "sandbox-token",
    },
    "airflow": {
        "AIRFLOW_ADMIN_PASSWORD": "the-admins",
        "AIRFLOW_FERNET_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "AIRFLOW_JWT_SECRET": "a-secret-of-some-length-for-tokens",
        "AIRFLOW_SECRET_KEY": "a-secret-of-some-length-for-sessions",
    },
    "services": {
        "BI_PASSWORD": "the-bi-users",
        "GRAFANA_PASSWORD": "grafanas",
        "POSTGRES_PASSWORD": "the-superusers",
        "REDIS_PASSWORD": "rediss",
    },
}
"""The variables that `make kubernetes` reads from .env, by the Secret that receives them."""


def copy_of_deploy(folder: Path) -> Path:
    """Copy the manifests and the files that they refer to, with secrets and with the overlays of the
    documents.
    """
    shutil.copytree(ROOT / "deploy", folder)
    kubernetes = folder / "kubernetes"
    for name, values in SECRETS.items():
        lines = "".join(f"{key}={value}\n" for key, value in values.items())
        (kubernetes / "local" / f"{name}.secret.env").write_text(lines)
        for overlay in YOURS.values():
            (kubernetes / overlay).mkdir(exist_ok=True)
            (kubernetes / overlay / f"{name}.secret.env").write_text(lines)
    for example in blocks(DOCS / "clouds.md"):
        if example.mark in YOURS:
            (kubernetes / YOURS[example.mark] / "kustomization.yaml").write_text(example.text)
    return kubernetes


def move_postgres(kubernetes: Path, port: int) -> None:
    """Change the port of Postgres in the one place that defines it."""
    file = kubernetes / "base/kustomization.yaml"
    file.write_text(file.read_text().replace("TARGET_POSTGRES_PORT=5432", f"TARGET_POSTGRES_PORT={port}"))


def rendered(folder: Path, program: str | Path = "") -> str:
    """Render a folder with the kustomize of this program, or of the pinned kubectl."""
    return subprocess.run(
        [program or kubectl(), "kustomize", "--load-restrictor=LoadRestrictionsNone", folder],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def parsed(text: str) -> list[Document]:
    """Return the documents, including the pod template of Airflow's tasks."""
    found: list[Document] = list(yaml.safe_load_all(text))
    for each in list(found):
        if each["kind"] == "ConfigMap" and "pod-template.yaml" in each["data"]:
            found.append(yaml.safe_load(each["data"]["pod-template.yaml"]))
    return found


def pod_of(document: Document) -> Document:
    """Return the pod of a workload."""
    spec: Document = document["spec"]
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return document if document["kind"] == "Pod" else spec["template"]


def containers_of(document: Document) -> Iterator[Document]:
    """Return the containers of a workload in the order of their start."""
    spec = pod_of(document)["spec"]
    yield from spec.get("initContainers", [])
    yield from spec["containers"]


def of_kind(documents: list[Document], *kinds: str) -> dict[str, Document]:
    """Return the documents of some kinds by name."""
    return {each["metadata"]["name"]: each for each in documents if each["kind"] in kinds}


def strictly_valid(file: Path) -> subprocess.CompletedProcess[str]:
    """Validate a file against the schemas of Kubernetes; the exit code is not 0 if something is wrong or
    unknown.
    """
    command = str(cloud_program("kubernetes-validate"))
    return subprocess.run([command, "--strict", "--quiet", file], capture_output=True, text=True, check=False)


def checkov(target: Path, configuration: Path) -> list[str]:
    """Scan a file or folder without a network, and return the findings as check and resource."""
    what = ["--file" if target.is_file() else "--directory", str(target), "--config-file", str(configuration)]
    options = ["--output=json", "--quiet", "--soft-fail", "--skip-download"]
    done = subprocess.run(
        [cloud_program("checkov"), *what, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] + report["summary"]["failed"] > 20, (
        "the scanner has to check many resources"
    )
    assert report["summary"]["parsing_errors"] == 0
    return [f"{each['check_id']} {each['resource']}" for each in report["results"]["failed_checks"]]


@cache
def schedules() -> dict[str, Document]:
    """Return the schedules in meltano.yml by name."""
    listed = yaml.safe_load((ROOT / "meltano.yml").read_text())["schedules"]
    return {each["name"]: each for each in listed}
