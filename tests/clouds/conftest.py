"""Fixtures that several of these tests share: the stack of the overlay `local`, as processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.service.containers import Image
from tests.service.projects import as_in_the_image, copy_of_project
from tests.service.test_compose import image_environment

from .manifests import copy_of_deploy, move_postgres
from .pods import Pods


@pytest.fixture
def stack(every_plugin: None, tmp_path: Path) -> Callable[[int], Pods]:
    """A function that prepares the whole stack, with Postgres on the given port, without starting it."""

    def make(port: int) -> Pods:
        own = Image(
            path="/opt/meltano/venv/bin:/opt/airflow/venv/bin",
            folder="/project",
            environment=image_environment("runtime") | image_environment("airflow"),
        )
        kubernetes = copy_of_deploy(tmp_path / "deploy")
        move_postgres(kubernetes, port)
        project = copy_of_project(tmp_path / "project")
        mounts = {"/opt/meltano": as_in_the_image(tmp_path / "meltano"), "/project": project}
        return Pods(kubernetes / "local", {}, tmp_path / "pods", own, mounts)

    return make
