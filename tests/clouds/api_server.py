"""The part of the Kubernetes API that Airflow's executor uses: pods, which run as processes, and access
rights.

A token belongs to a ServiceAccount, and a request is refused unless a Role of the manifests that is bound to
this account allows it. In this way the Roles are tested as well.
"""

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from queue import Queue
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme

from .manifests import Document, of_kind
from .pods import NAMESPACE, Pods

PORT = 6443
PATH = f"/api/v1/namespaces/{NAMESPACE}/pods"
VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}
DISCOVERY: Mapping[str, Document] = {
    "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {
                "name": "pods",
                "singularName": "pod",
                "namespaced": True,
                "kind": "Pod",
                "verbs": ["create", "delete", "get", "list", "patch", "watch"],
            }
        ],
    },
}


class ApiServer:
    """Pods of one namespace.

    Attributes:
        seen: All pods that were created, by name, as requested.
        refused: Requests that no Role allows, as account, verb and resource.
    """

    def __init__(self, pods: Pods) -> None:
        self.seen: dict[str, Document] = {}
        self.refused: list[tuple[str, str, str]] = []
        self._pods = pods
        self._present: dict[str, Document] = {}
        self._watchers: list[Queue[Document]] = []
        self._versions = count(1)
        self._lock = threading.Lock()
        self._rules = dict(_rules(pods.documents))

    def allows(self, account: str, verb: str, resource: str) -> bool:
        """Return whether an account has a right; a missing right is recorded."""
        for rule in self._rules.get(account, []):
            if resource in rule["resources"] and verb in rule["verbs"]:
                return True
        self.refused.append((account, verb, resource))
        return False

    def create(self, pod: Document) -> Document:
        """Create a pod, and start it."""
        name = pod["metadata"]["name"]
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        pod["metadata"] |= {"namespace": NAMESPACE, "uid": name, "creationTimestamp": now}
        self.seen[name] = json.loads(json.dumps(pod))
        with self._lock:
            self._present[name] = pod
            self._tell("ADDED", pod, "Pending")
        threading.Thread(target=self._run, args=(name, pod), daemon=True).start()
        return pod

    def get(self, name: str) -> Document | None:
        """Return a pod, or nothing if no pod has that name."""
        return self._present.get(name)

    def change(self, name: str, patch: Document) -> Document:
        """Change a pod's labels and annotations."""
        with self._lock:
            pod = self._present[name]
            for kind in ("labels", "annotations"):
                pod["metadata"].setdefault(kind, {}).update(patch.get("metadata", {}).get(kind) or {})
            self._tell("MODIFIED", pod, pod["status"]["phase"])
            return pod

    def delete(self, name: str) -> Document:
        """Delete a pod, whatever its state."""
        with self._lock:
            pod = self._present.pop(name)
            pod["metadata"]["deletionTimestamp"] = pod["metadata"]["creationTimestamp"]
            self._tell("DELETED", pod, pod["status"]["phase"])
        if pod["status"]["phase"] == "Running":
            self._pods.kill(name)
        return pod

    def list(self, selector: str) -> Document:
        """Return the pods that match a label selector."""
        with self._lock:
            items = [each for each in self._present.values() if matches(selector, each)]
            version = str(next(self._versions))
        return {
            "kind": "PodList",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": version},
            "items": items,
        }

    @contextmanager
    def watched(self) -> Iterator["Queue[Document]"]:
        """Yield a queue of events, beginning with the existing pods."""
        queue: Queue[Document] = Queue()
        with self._lock:
            for pod in self._present.values():
                queue.put(json.loads(json.dumps({"type": "ADDED", "object": pod})))
            self._watchers.append(queue)
        try:
            yield queue
        finally:
            self._watchers.remove(queue)

    def _run(self, name: str, pod: Document) -> None:
        process = self._pods.start_pod(name, pod)
        with self._lock:
            self._tell("MODIFIED", pod, "Running")
        code = process.wait()
        with self._lock:
            if name in self._present:
                self._tell("MODIFIED", pod, "Failed" if code else "Succeeded")

    def _tell(self, kind: str, pod: Document, phase: str) -> None:
        pod["status"] = {"phase": phase}
        pod["metadata"]["resourceVersion"] = str(next(self._versions))
        event = json.loads(json.dumps({"type": kind, "object": pod}))
        for queue in self._watchers:
            queue.put(event)


def _rules(documents: list[Document]) -> Iterator[tuple[str, list[Document]]]:
    roles = of_kind(documents, "Role")
    for binding in of_kind(documents, "RoleBinding").values():
        for subject in binding["subjects"]:
            yield subject["name"], roles[binding["roleRef"]["name"]]["rules"]


def matches(selector: str, pod: Document) -> bool:
    """Return whether a pod matches a label selector, whose parts are `a=b` or `a!=b`."""
    labels = pod["metadata"].get("labels") or {}
    for part in filter(None, selector.split(",")):
        name, _, value = part.replace("==", "=").partition("=")
        if name.endswith("!"):
            if labels.get(name[:-1]) == value:
                return False
        elif labels.get(name) != value:
            return False
    return True


@contextmanager
def served(api: ApiServer, authority: trustme.CA) -> Iterator[None]:
    """Serve the API over TLS to clients with the token of an account."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Write no log."""

        def _answer(self, body: Any, status: int = 200) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _handle(self) -> None:
            address = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            if address.path.rstrip("/") in DISCOVERY:
                self._answer(DISCOVERY[address.path.rstrip("/")])
                return
            name, _, part = address.path.removeprefix(PATH).strip("/").partition("/")
            is_watch = query.get("watch", "").lower() == "true"
            verb = VERBS.get(self.command, "get" if name else "watch" if is_watch else "list")
            account = (self.headers.get("Authorization") or "").rpartition(" ")[2]  # Bearer or bearer
            resource = f"pods/{part}" if part else "pods"
            if not address.path.startswith(PATH) or not api.allows(account, verb, resource):
                self._answer({"kind": "Status", "status": "Failure", "code": 403}, 403)
            elif verb == "watch":
                self._watch(query.get("labelSelector", ""))
            elif verb == "list":
                self._answer(api.list(query.get("labelSelector", "")))
            elif verb == "create":
                self._answer(api.create(body), 201)
            elif (pod := api.get(name)) is None:
                self._answer({"kind": "Status", "status": "Failure", "code": 404}, 404)
            else:
                work = {"get": lambda: pod, "patch": lambda: api.change(name, body)}
                self._answer(work.get(verb, lambda: api.delete(name))())

        do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 (http.server's names)

        def _watch(self, selector: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with api.watched() as queue:
                while True:
                    event = queue.get()
                    if matches(selector, event["object"]):
                        line = json.dumps(event).encode() + b"\n"
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                        self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
