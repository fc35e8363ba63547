"""Fixtures that several files of tests share."""

from pathlib import Path

import pytest

from .containers import Containers, Image
from .projects import as_in_the_image, copy_of_project
from .test_compose import FILE, NAMES, image_environment


@pytest.fixture
def containers(every_plugin: None, tmp_path: Path) -> Containers:
    """The services before their start."""
    own = Image(
        ("airflow",),
        path="/opt/meltano/venv/bin:/opt/airflow/venv/bin",
        folder="/project",
        environment=image_environment("runtime") | image_environment("airflow"),
    )
    project = copy_of_project(tmp_path / "project")
    return Containers(
        FILE,
        NAMES,
        tmp_path / "containers",
        own,
        {"/opt/meltano": as_in_the_image(tmp_path / "meltano"), "/project": project},
    )
