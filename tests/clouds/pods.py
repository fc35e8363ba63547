"""Runs pods as processes with command, environment, mounts, user and probe of the manifest's containers.

This module does the work of a node and of the cluster's DNS: it fills in variables, creates volumes with the
pod's group, resolves the names of Services, and runs a container's command as the first process of its own
namespace.
"""

import base64
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tests.service.containers import IMAGES, Containers, Image

from .manifests import Document, containers_of, of_kind, parsed, pod_of, rendered

NAMESPACE = "pipedrive-warehouse"

AS_POSTGRES = """
if test "$1" = postgres; then
    if ! test -s "$PGDATA/PG_VERSION"; then
        printf %s "$POSTGRES_PASSWORD" > password
        initdb --username=postgres --pwfile=password $POSTGRES_INITDB_ARGS "$PGDATA" > initdb
        rm password
        echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
        printf 'create database %s;' "$POSTGRES_DB" | postgres --single -D "$PGDATA" postgres > created
    fi
    set -- "$@" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
fi
"""
"""The steps of the entry point of the Postgres image for a user other than root."""

GET = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)"


@dataclass
class Pods(Containers):
    """The workloads of an overlay; `file` is its folder, and `variables` are added to those of the project's
    containers.

    A workload is named after its document, and an init container after its workload, a hyphen and its own
    name.
    """

    unshare: ClassVar[tuple[str, ...]] = (
        *Containers.unshare,
        *("--pid", "--fork", "--kill-child", "--mount-proc"),
    )
    images: ClassVar[Mapping[str, Image]] = {
        **IMAGES,
        "library/postgres": IMAGES["library/postgres"]._replace(before=AS_POSTGRES),
    }

    names: tuple[str, ...] = ()
    """Host names in the network of the pods besides those of the Services."""
    authority: bytes = b""
    """The certificate of the authority of the cluster's API; pods with a token get it."""

    @property
    def host_names(self) -> Iterable[str]:
        """Return the host names in the network of the pods."""
        return (*self.names, *of_kind(self.documents, "Service"))

    def _services(self) -> dict[str, Any]:
        self.documents = parsed(rendered(self.file))
        found: dict[str, Any] = {}
        for name, workload in of_kind(self.documents, "CronJob", "Deployment", "StatefulSet").items():
            found |= self.services_of(name, workload)
        return found

    def services_of(self, name: str, workload: Document) -> dict[str, Any]:
        """Return the containers of a workload as services of a compose file, each started after the one
        before it.
        """
        spec = pod_of(workload)["spec"]
        first = {
            container["name"]: f"{name}-{container['name']}" for container in spec.get("initContainers", [])
        }
        found: dict[str, Any] = {}
        for container in containers_of(workload):
            label = first.get(container["name"], name)
            stays = label == name and workload["kind"] in ("Deployment", "StatefulSet")
            variables = self._environment(container)
            own = {**variables, **self.variables} if is_own(container) else variables
            found[label] = {
                **self._command(container, variables),
                "environment": own,
                "user": "{runAsUser}:{runAsGroup}".format_map(spec["securityContext"]),
                "volumes": [*self._volumes(name, spec, container), *self._token(spec)],
                "depends_on": dict.fromkeys(list(found)[-1:]),
                **({"restart": "unless-stopped", "healthcheck": self._probe(container)} if stays else {}),
            }
        return found

    def start_pod(self, name: str, pod: Document) -> subprocess.Popen[bytes]:
        """Start a pod that no manifest has, without waiting for its end."""
        self.services |= self.services_of(name, pod)
        return self.start(name)

    def _token(self, spec: Document) -> Iterator[str]:
        """Create the files with which a container can reach the cluster's API, unless its pod has no token."""
        if spec.get("automountServiceAccountToken") and self.authority:
            account = spec["serviceAccountName"]
            folder = self._made(f"token-{account}", 0)
            (folder / "token").write_text(account)
            (folder / "namespace").write_text(NAMESPACE)
            (folder / "ca.crt").write_bytes(self.authority)
            yield f"token-{account}:/var/run/secrets/kubernetes.io/serviceaccount"

    @staticmethod
    def _command(container: Document, variables: Mapping[str, str]) -> dict[str, Any]:
        parts: dict[str, Any] = {"build": {}} if is_own(container) else {"image": container["image"]}
        if "command" in container:
            parts["entrypoint"] = container["command"]
        elif is_own(container):
            parts["entrypoint"] = ["airflow" if container["image"].endswith(":airflow") else "meltano"]
        return parts | {"command": [filled_in(each, variables) for each in container.get("args", [])]}

    def _environment(self, container: Document) -> dict[str, str]:
        """Fill in variables as the kubelet does: a reference to an unknown variable is not replaced."""
        maps, secrets = of_kind(self.documents, "ConfigMap"), of_kind(self.documents, "Secret")
        values: dict[str, str] = {}
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                values |= maps[source["configMapRef"]["name"]]["data"]
            else:
                values |= secret_values(secrets[source["secretRef"]["name"]])
        for variable in container.get("env", []):
            name, source = variable["name"], variable.get("valueFrom", {})
            if "configMapKeyRef" in source:
                values[name] = maps[source["configMapKeyRef"]["name"]]["data"][
                    source["configMapKeyRef"]["key"]
                ]
            elif "secretKeyRef" in source:
                found = secret_values(secrets[source["secretKeyRef"]["name"]])
                values[name] = found[source["secretKeyRef"]["key"]]
            elif "fieldRef" in source:
                values[name] = {"metadata.namespace": NAMESPACE}[source["fieldRef"]["fieldPath"]]
            else:
                values[name] = filled_in(variable["value"], values)
        return values

    def _volumes(self, name: str, spec: Document, container: Document) -> Iterator[str]:
        volumes = {each["name"]: each for each in spec["volumes"]}
        for mount in container.get("volumeMounts", []):
            volume = volumes[mount["name"]]
            if "configMap" in volume:
                label = volume["configMap"]["name"]
                folder = self._made(label, 0)
                for key, text in of_kind(self.documents, "ConfigMap")[label]["data"].items():
                    (folder / key).write_text(text)
            elif "persistentVolumeClaim" in volume:
                label = volume["persistentVolumeClaim"]["claimName"]
                self._made(label, spec["securityContext"]["fsGroup"])
            else:
                label = f"{name}-{mount['name']}"
                self._made(label, spec["securityContext"]["fsGroup"])
            yield f"{label}:{mount['mountPath']}"

    def _made(self, label: str, group: int) -> Path:
        """Create the folder of a volume as the kubelet does: owned by root, and by the pod's group if there
        is one.
        """
        folder = self.folder / "volumes" / label
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, 0, group)
        folder.chmod(0o2775 if group else 0o755)
        return folder

    @staticmethod
    def _probe(container: Document) -> dict[str, Any]:
        probe = container["readinessProbe"]
        if "exec" in probe:
            return {"test": ["CMD", *probe["exec"]["command"]]}
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        address = f"http://127.0.0.1:{ports[probe['httpGet']['port']]}{probe['httpGet']['path']}"
        return {"test": ["CMD", "/usr/bin/env", "python3", "-c", GET, address]}


def is_own(container: Document) -> bool:
    """Return whether the image is the project's own."""
    return bool(re.search(r"(^|/)pipedrive-warehouse[:@]", container["image"]))


def secret_values(secret: Document) -> dict[str, str]:
    """Return the decoded values of a Secret."""
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by the values of variables."""
    return re.sub(r"\$\((\w+)\)", lambda match: values.get(match[1], match[0]), text)
