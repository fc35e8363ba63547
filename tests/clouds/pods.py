"""Pods as processes: the command, environment, mounts, user and probe of each container are those of the manifest.

What a node and the cluster's DNS would do is done here. Variables are filled in, volumes are made with the group
of the pod, names are those of the Services, and a container's command is the first process of its own namespace.
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
"""What the entry point of the image of Postgres does, if it is not root."""

GET = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)"


@dataclass
class Pods(Containers):
    """The workloads of an overlay; `file` is its folder, and `variables` are added to those of our own containers.

    A workload has the name of its document, and each of its init containers that name, a hyphen and its own.
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
    """More names in the network of the pods, beside those of the Services."""
    authority: bytes = b""
    """The certificate of who signed that of the cluster's API; pods with a token get it."""

    @property
    def host_names(self) -> Iterable[str]:
        """Names in the network of the services."""
        return (*self.names, *of_kind(self.documents, "Service"))

    def _services(self) -> dict[str, Any]:
        self.documents = parsed(rendered(self.file))
        found: dict[str, Any] = {}
        for name, workload in of_kind(self.documents, "CronJob", "Deployment", "StatefulSet").items():
            found |= self.services_of(name, workload)
        return found

    def services_of(self, name: str, workload: Document) -> dict[str, Any]:
        """Return the containers of a workload as services of a compose file, each after the one before it."""
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
        """Start a pod that no manifest has, and do not wait for its end."""
        self.services |= self.services_of(name, pod)
        return self.start(name)

    def _token(self, spec: Document) -> Iterator[str]:
        """Make what a container gets to talk to the cluster's API, unless its pod does without."""
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
        """Fill in the variables as the kubelet does: a reference to what is not known stays as it is."""
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
        """Make the folder of a volume as the kubelet does: of root, and of the pod's group if one is given."""
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
    """Whether the image is the project's."""
    return bool(re.search(r"(^|/)pipedrive-warehouse[:@]", container["image"]))


def secret_values(secret: Document) -> dict[str, str]:
    """The values of a Secret in clear."""
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """Put the values of variables in the place of `$(NAME)`."""
    return re.sub(r"\$\((\w+)\)", lambda match: values.get(match[1], match[0]), text)
