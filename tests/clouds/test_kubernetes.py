"""`deploy/kubernetes`: rendered manifests are valid, have few rights, and agree with the rest of the project."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project.documents import ROOT

from .manifests import (
    KUBERNETES,
    OVERLAYS,
    SECRETS,
    WORKLOADS,
    Document,
    checkov,
    containers_of,
    copy_of_deploy,
    move_postgres,
    of_kind,
    parsed,
    pod_of,
    rendered,
    schedules,
    strictly_valid,
)

pytestmark = pytest.mark.clouds

COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file with the rendered manifests of each overlay."""
    folder = tmp_path_factory.mktemp("kubernetes")
    kubernetes = copy_of_deploy(folder / "deploy")
    files = {name: folder / f"{name}.yaml" for name in OVERLAYS}
    for name, file in files.items():
        file.write_text(rendered(kubernetes / name))
    return files


@pytest.fixture(scope="module")
def documents(made: dict[str, Path]) -> dict[str, list[Document]]:
    return {name: parsed(file.read_text()) for name, file in made.items()}


def workloads(documents: dict[str, list[Document]]) -> dict[str, Document]:
    """Every workload of every overlay."""
    return {
        f"{overlay}/{name}": each
        for overlay in OVERLAYS
        for name, each in of_kind(documents[overlay], *WORKLOADS).items()
    }


@pytest.mark.parametrize("overlay", OVERLAYS, ids="overlay {}".format)
def test_manifests_are_valid(made: dict[str, Path], overlay: str) -> None:
    done = strictly_valid(made[overlay])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pod_template_of_tasks_is_valid(documents: dict[str, list[Document]], tmp_path: Path) -> None:
    (pod,) = of_kind(documents["airflow"], "Pod").values()
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(pod))
    assert strictly_valid(tmp_path / "pod.yaml").returncode == 0


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("concurrencyPolicy: Forbid", "concurencyPolicy: Forbid"),
        ("activeDeadlineSeconds: 43200", "activeDeadlineSeconds: twelve hours"),
        ("mountPath: /tmp", "mountPoint: /tmp"),
    ],
)
def test_an_invalid_key_is_detected(made: dict[str, Path], tmp_path: Path, right: str, wrong: str) -> None:
    text = made["base"].read_text()
    assert right in text
    (tmp_path / "broken.yaml").write_text(text.replace(right, wrong))
    assert strictly_valid(tmp_path / "broken.yaml").returncode != 0


def test_the_scanner_finds_no_problem(made: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(made["base"].read_text() + "---\n" + made["local"].read_text())
    assert checkov(tmp_path / "all.yaml", KUBERNETES / "checkov.yaml") == []


def test_the_scanner_finds_an_inserted_problem(made: dict[str, Path], tmp_path: Path) -> None:
    text = made["base"].read_text().replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    (tmp_path / "worse.yaml").write_text(text.replace("drop:\n", "add:\n"))
    found = {each.partition(" ")[0] for each in checkov(tmp_path / "worse.yaml", KUBERNETES / "checkov.yaml")}
    assert {"CKV_K8S_22", "CKV_K8S_25"} <= found


def test_every_pod_meets_the_restricted_profile(documents: dict[str, list[Document]]) -> None:
    """The profile `restricted` is part of Kubernetes' pod security standards."""
    for name, each in workloads(documents).items():
        spec = pod_of(each)["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        volumes = {kind for volume in spec["volumes"] for kind in volume.keys() - {"name"}}
        assert volumes <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}, name
        for container in containers_of(each):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert container["resources"]["limits"].keys() >= {"cpu", "memory"}, name
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name
    for overlay in OVERLAYS:
        (namespace,) = of_kind(documents[overlay], "Namespace").values()
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_each_schedule_in_meltano_is_a_cronjob(documents: dict[str, list[Document]]) -> None:
    jobs = of_kind(documents["base"], "CronJob")
    assert jobs.keys() == schedules().keys()
    for name, schedule in schedules().items():
        spec = jobs[name]["spec"]
        (container,) = pod_of(jobs[name])["spec"]["containers"]
        variables = {each["name"]: each["value"] for each in container["env"] if each["value"][0] != "$"}
        assert (spec["schedule"], spec["timeZone"]) == (schedule["interval"], "Etc/UTC")
        assert container["args"] == ["run", schedule["job"]]
        assert variables.pop("MELTANO_DATABASE_URI").endswith("/meltano")
        assert variables == schedule.get("env", {})
        assert spec.get("suspend", False) is ("hubspot" in name)


def test_runs_are_bounded_and_keep_no_secret_on_a_disk(documents: dict[str, list[Document]]) -> None:
    for job in of_kind(documents["base"], "CronJob").values():
        spec = job["spec"]
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["startingDeadlineSeconds"] >= 600
        assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] <= 12 * 3600
        waits = sum(min(10 * 2**i, 360) for i in range(spec["jobTemplate"]["spec"]["backoffLimit"]))
        assert waits > 300, "Meltano's lock stays for five minutes after a run is killed"
    runs = [each for each in workloads(documents).values() if each["kind"] in ("CronJob", "Pod")]
    assert len(runs) > 4
    for run in runs:
        spec = pod_of(run)["spec"]
        places = {each["name"]: each["mountPath"] for each in spec["containers"][0]["volumeMounts"]}
        volumes = {places.get(each["name"]): each for each in spec["volumes"]}
        assert volumes["/project/.meltano/run"]["emptyDir"]["medium"] == "Memory"
        assert spec["terminationGracePeriodSeconds"] == 60
        assert spec["serviceAccountName"] == "pipeline"
        assert spec["automountServiceAccountToken"] is False


def test_the_account_of_runs_has_no_rights(documents: dict[str, list[Document]]) -> None:
    for overlay in OVERLAYS:
        bindings = of_kind(documents[overlay], "RoleBinding", "ClusterRoleBinding").values()
        bound = {subject["name"] for each in bindings for subject in each["subjects"]}
        assert "pipeline" not in bound
        assert not of_kind(documents[overlay], "ClusterRole", "ClusterRoleBinding")
    roles = of_kind(documents["airflow"], "Role")
    assert roles.keys() == {"airflow-scheduler", "airflow-api-server"}
    assert not any("*" in str(each["rules"]) or "secrets" in str(each["rules"]) for each in roles.values())
    for name, each in of_kind(documents["local"], "Deployment", "StatefulSet").items():
        spec = pod_of(each)["spec"]
        assert spec["automountServiceAccountToken"] is (spec["serviceAccountName"] in roles), name


@pytest.mark.parametrize("overlay", OVERLAYS, ids="overlay {}".format)
def test_every_reference_has_a_target(documents: dict[str, list[Document]], overlay: str) -> None:
    """References are to ConfigMaps, Secrets and their keys, accounts, volumes, ports and labels."""
    everything = documents[overlay]
    maps, secrets = of_kind(everything, "ConfigMap"), of_kind(everything, "Secret")
    claims = of_kind(everything, "PersistentVolumeClaim")
    accounts = of_kind(everything, "ServiceAccount")
    labels = []
    for name, each in of_kind(everything, *WORKLOADS).items():
        pod = pod_of(each)
        labels.append(pod["metadata"]["labels"])
        assert pod["spec"]["serviceAccountName"] in accounts, name
        for container in containers_of(each):
            for source in container.get("envFrom", []):
                assert source.get("configMapRef", {"name": "pipeline"})["name"] in maps, name
                assert source.get("secretRef", {"name": "pipeline"})["name"] in secrets, name
            for variable in container.get("env", []):
                for kind, found in (("configMapKeyRef", maps), ("secretKeyRef", secrets)):
                    reference = variable.get("valueFrom", {}).get(kind)
                    if reference:
                        assert reference["key"] in found[reference["name"]]["data"], (name, reference)
            mounted = {each["name"] for each in container.get("volumeMounts", [])}
            assert mounted <= {each["name"] for each in pod["spec"]["volumes"]}, name
        for volume in pod["spec"]["volumes"]:
            assert volume.get("configMap", {"name": "pipeline"})["name"] in maps, name
            if claim := volume.get("persistentVolumeClaim"):
                assert claim["claimName"] in claims, name
    for name, service in of_kind(everything, "Service").items():
        ((port, target),) = [(each["port"], each["targetPort"]) for each in service["spec"]["ports"]]
        ports = [
            each
            for workload in of_kind(everything, "Deployment", "StatefulSet").values()
            if service["spec"]["selector"].items() <= pod_of(workload)["metadata"]["labels"].items()
            for container in containers_of(workload)
            for each in container.get("ports", [])
        ]
        assert [(each["name"], each["containerPort"]) for each in ports] == [(target, port)], name
    for name, policy in of_kind(everything, "NetworkPolicy").items():
        selected = policy["spec"]["podSelector"].get("matchLabels", {})
        assert any(selected.items() <= each.items() for each in labels), name


def test_only_required_connections_are_allowed(documents: dict[str, list[Document]]) -> None:
    policies = of_kind(documents["base"], "NetworkPolicy")
    assert policies["nothing-else"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    rules = policies["run"]["spec"]["egress"]
    assert [each["port"] for rule in rules for each in rule["ports"]] == [5432, 443]
    assert not any("ingress" in each["spec"] for each in policies.values())
    for document in documents["local"]:
        if document["kind"] == "Service":
            assert document["spec"].get("type", "ClusterIP") == "ClusterIP"
        assert document["kind"] != "Ingress"


def test_the_port_of_postgres_is_defined_once(tmp_path: Path) -> None:
    kubernetes = copy_of_deploy(tmp_path / "deploy")
    stated = [path for path in kubernetes.rglob("*.yaml") if "TARGET_POSTGRES_PORT=" in path.read_text()]
    assert stated == [kubernetes / "base/kustomization.yaml"]
    move_postgres(kubernetes, 5544)
    everything = parsed(rendered(kubernetes / "local"))
    assert "5432" not in re.sub(r"(?s)deploy/roles.sql.*?commit;", "", yaml.safe_dump_all(everything))
    postgres = of_kind(everything, "StatefulSet")["postgres"]
    (container,) = containers_of(postgres)
    assert container["args"][:3] == ["postgres", "-p", "$(PGPORT)"]
    assert [each["containerPort"] for each in container["ports"]] == [5544]
    assert of_kind(everything, "Service")["postgres"]["spec"]["ports"][0]["port"] == 5544
    for name in ("run", "airflow"):
        policy = of_kind(everything, "NetworkPolicy")[name]
        assert policy["spec"]["egress"][0]["ports"] == [{"port": 5544, "protocol": "TCP"}]


def images(document: Document) -> set[str]:
    return {each["image"] for each in containers_of(document)}


def test_the_stack_equals_that_of_the_compose_file(documents: dict[str, list[Document]]) -> None:
    """It has the same services with the same images and, except for Airflow's executor, the same commands."""
    stack = of_kind(documents["local"], "Deployment", "StatefulSet")
    ended = {"roles", "prepare", "airflow-prepare"}
    assert stack.keys() == COMPOSE.keys() - ended - {"airflow-worker"}
    for name, workload in stack.items():
        container = pod_of(workload)["spec"]["containers"][0]
        if name.startswith("airflow-"):
            assert container["args"] == COMPOSE[name]["command"]
            continue
        assert container["image"] == COMPOSE[name]["image"]
        ours = [word for word in container.get("args", []) if word not in ("-p", "$(PGPORT)")]
        assert [re.sub(r"\$[({]\w+[)}]", "$", str(word)) for word in ours] == [
            re.sub(r"\$[({]\w+[)}]", "$", str(word)) for word in COMPOSE[name].get("command", [])
        ], name


def test_every_long_running_container_has_a_probe(documents: dict[str, list[Document]]) -> None:
    for name, workload in of_kind(documents["local"], "Deployment", "StatefulSet").items():
        container = pod_of(workload)["spec"]["containers"][0]
        assert {"startupProbe", "livenessProbe", "readinessProbe"} - container.keys() <= (
            {"startupProbe"} if name == "redis" else set()
        )


def test_airflow_and_its_tasks_use_one_image(documents: dict[str, list[Document]]) -> None:
    image = {"airflow": "pipedrive-warehouse:airflow", "local": "pipedrive-warehouse:airflow"}
    image["yours-airflow"] = "ghcr.io/example/pipedrive-warehouse:v0.1.0-airflow"
    for overlay, wanted in image.items():
        settings = of_kind(documents[overlay], "ConfigMap")["airflow"]["data"]
        parts = [
            settings[f"AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_{part}"]
            for part in ("REPOSITORY", "TAG")
        ]
        assert ":".join(parts) == wanted
        for name, service in of_kind(documents[overlay], "Deployment").items():
            if name.startswith("airflow-"):
                assert images(service) - {COMPOSE["roles"]["image"]} == {wanted}, name
    (run,) = {image for each in of_kind(documents["yours"], "CronJob").values() for image in images(each)}
    assert run == "ghcr.io/example/pipedrive-warehouse:v0.1.0"


@pytest.mark.parametrize(
    ("repository", "tag"),
    [("registry.example.com:5000/warehouse", "v1"), ("example.com/warehouse@sha256", "0" * 64)],
)
def test_an_image_may_have_a_port_or_a_digest(tmp_path: Path, repository: str, tag: str) -> None:
    kubernetes = copy_of_deploy(tmp_path / "deploy")
    file = kubernetes / "yours-airflow" / "kustomization.yaml"
    text = file.read_text().replace("ghcr.io/example/pipedrive-warehouse", repository)
    file.write_text(text.replace("v0.1.0-airflow", tag))
    made = of_kind(parsed(rendered(kubernetes / "yours-airflow")), "Deployment")
    assert {image for each in made.values() for image in images(each)} == {f"{repository}:{tag}"}


def test_tasks_have_the_environment_of_the_runs(documents: dict[str, list[Document]]) -> None:
    (task,) = containers_of(of_kind(documents["airflow"], "Pod")["task"])
    run = pod_of(of_kind(documents["base"], "CronJob")["sync-every-4-hours"])["spec"]["containers"][0]
    assert [each for each in run["env"] if each not in task["env"]] == []
    assert [each for each in run["envFrom"] if each not in task["envFrom"]] == []
    assert [each for each in run["volumeMounts"] if each not in task["volumeMounts"]] == []
    assert not of_kind(documents["airflow"], "CronJob"), "a schedule would run twice"


def test_secrets_are_empty_by_default(documents: dict[str, list[Document]]) -> None:
    for overlay in ("base", "airflow"):
        for name, secret in of_kind(documents[overlay], "Secret").items():
            assert set(secret["data"].values()) == {""}, name
    local: dict[str, Any] = of_kind(documents["local"], "Secret")
    assert {name: set(local[name]["data"]) - set(values) for name, values in SECRETS.items()} == {
        "pipeline": set(),
        "airflow": {"FAILURE_URL"},
        "services": set(),
    }


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="not installed: kubectl")
def test_other_versions_of_kubectl_render_the_same(tmp_path: Path) -> None:
    """Kustomize's versions support different keys, and silently ignore unknown ones."""
    kubernetes = copy_of_deploy(tmp_path / "deploy")
    for overlay in OVERLAYS:
        assert rendered(kubernetes / overlay, "kubectl") == rendered(kubernetes / overlay), overlay
