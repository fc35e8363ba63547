"""`make kubernetes` and `make kubernetes-down`: the whole stack in a cluster on this machine.

The secrets are those of `.env`. The commands accept only a cluster on this machine, and change only their own
namespace there. The volumes stay when the stack is removed.
"""

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import click
import yaml

from orchestrate import environment, masking
from orchestrate.errors import RunError
from orchestrate.output import say
from orchestrate.paths import ROOT

FOLDER = ROOT / "deploy" / "kubernetes" / "local"
NAMESPACE = "pipedrive-warehouse"
PART_OF = "--selector=app.kubernetes.io/part-of=pipedrive-warehouse"
IMAGE = "pipedrive-warehouse:airflow"

LOADERS: Mapping[str, str] = {
    "minikube": f"minikube image load {IMAGE}",
    "kind-": f"kind load docker-image {IMAGE} --name NAME",
    "k3d-": f"k3d image import {IMAGE} --cluster NAME",
    "default": f"docker save {IMAGE} | sudo k3s ctr images import -",
    "docker-desktop": "",
    "rancher-desktop": "",
}
"""Commands that load an image into a cluster, by the prefix of its context; NAME is the part after the hyphen."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    "pipeline": ("LOADER_PASSWORD", "TRANSFORMER_PASSWORD", "ORCHESTRATOR_PASSWORD"),
    "airflow": (
        *("AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY"),
    ),
    "services": ("BI_PASSWORD", "GRAFANA_PASSWORD", "POSTGRES_PASSWORD", "REDIS_PASSWORD"),
}
"""Variables that the Secrets require."""

KINDS = (
    "deployment,statefulset,job,pod,service,configmap,secret,networkpolicy,role,rolebinding,serviceaccount"
)
"""The kinds of resources that `down` deletes; volumes and the namespace stay."""

PATIENCE = "20m"
"""The longest time for fetching the images and starting the services."""


@click.group()
def main() -> None:
    """Run the whole stack in a cluster on this machine."""


@main.command()
def up() -> None:
    """Start the stack, or update it."""
    variables = environment.settings()
    masking.learn(variables)
    environment.check(variables)
    load = _loader()
    secrets = _secrets(variables)
    _run("make", "image", "BUILDER=docker")
    if load:
        _run("/bin/sh", "-e", "-c", load)
    with _written(secrets):
        made = _output("kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", str(FOLDER))
    # The server applies the manifests, so that no annotation contains a copy of the secrets.
    _run("kubectl", "apply", "--server-side", "--force-conflicts", "--filename=-", text=made)
    for kind in ("statefulset", "deployment"):
        _run(
            "kubectl", "rollout", "status", f"--namespace={NAMESPACE}", PART_OF, f"--timeout={PATIENCE}", kind
        )
    say("Everything is up. To reach a part from this machine:")
    for part, ports in (("airflow-api-server", "8080"), ("grafana", "3000"), ("metabase", "3001:3000")):
        say(f"  kubectl port-forward --namespace={NAMESPACE} service/{part} {ports}")


@main.command()
def down() -> None:
    """Remove the stack; its volumes stay."""
    _loader()
    _run("kubectl", "delete", KINDS, f"--namespace={NAMESPACE}", PART_OF, "--ignore-not-found")
    say(f"The volumes are kept. This deletes them, with all data: kubectl delete namespace {NAMESPACE}")


def _loader() -> str:
    """Return the command that loads an image into the present cluster, or nothing if none is needed.

    Raises:
        RunError: kubectl is missing, or its context is not a cluster on this machine.
    """
    if shutil.which("kubectl") is None:
        raise RunError("kubectl is not installed: https://kubernetes.io/docs/tasks/tools has it.")
    context = _output("kubectl", "config", "current-context").strip()
    for beginning, command in LOADERS.items():
        if context == beginning or (beginning.endswith("-") and context.startswith(beginning)):
            return command.replace("NAME", context.removeprefix(beginning))
    raise RunError(
        f"The context {context} of kubectl is not a cluster on this machine ({', '.join(LOADERS)}): choose one "
        "with `kubectl config use-context`, or start one, as with `minikube start --cpus=4 --memory=8g`."
    )


def _secrets(variables: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the content of each Secret from the variables.

    Raises:
        RunError: Variables are not set, or have several lines.
    """
    missing = [name for names in NEEDED.values() for name in names if name not in variables]
    if missing:
        raise RunError(
            f"These are not set in .env: {', '.join(missing)}. docs/operate.md has commands that make them, "
            "in the chapter Containers."
        )
    secrets = {secret: {name: variables[name] for name in names} for secret, names in NEEDED.items()}
    models = _settings_of_models()
    secrets["pipeline"] |= {
        **{name: value for name, value in variables.items() if name.startswith("TAP_") or name in models},
        "TAP_PIPEDRIVE_REDIS_URL": f"redis://:{variables['REDIS_PASSWORD']}@redis:6379/1",
    }
    if "FAILURE_URL" in variables:
        secrets["airflow"]["FAILURE_URL"] = variables["FAILURE_URL"]
    for values in secrets.values():
        for name, value in values.items():
            if "\n" in value:
                raise RunError(f"{name} has several lines, which no file of variables can hold.")
    return secrets


def _settings_of_models() -> set[str]:
    """Return the variables that dbt reads, except those of its role, which have other names here."""
    utilities = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["utilities"]
    (dbt,) = [each for each in utilities if each["name"] == "dbt-postgres"]
    return {each["env"] for each in dbt["settings"] if "env_aliases" in each} - {
        "DBT_POSTGRES_USER",
        "DBT_POSTGRES_PASSWORD",
    }


@contextmanager
def _written(secrets: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """Write the files that become Secrets, readable to this user only, and remove them after the block."""
    files = {FOLDER / f"{name}.secret.env": values for name, values in secrets.items()}
    try:
        for file, values in files.items():
            file.unlink(missing_ok=True)
            file.touch(mode=0o600)
            file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        yield
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def _run(*command: str, text: str | None = None) -> None:
    """Run a command that prints its own output.

    Raises:
        RunError: The command failed.
    """
    if subprocess.run(command, cwd=ROOT, input=text, text=True, check=False).returncode:
        raise RunError(f"This command failed, and printed the reason above: {_words(command)}")


def _output(*command: str) -> str:
    """Return the output of a command.

    Raises:
        RunError: The command failed.
    """
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"This failed: {_words(command)}: {done.stderr.strip()}")
    return done.stdout


def _words(command: Sequence[str]) -> str:
    return " ".join(command[:3])


if __name__ == "__main__":
    main()
