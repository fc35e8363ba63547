"""Virtual environments with linked packages can be moved together with the clone."""

from pathlib import Path

from orchestrate.relative_paths import make_relative


def test_links_become_relative_and_the_cached_file_is_unchanged(tmp_path: Path) -> None:
    packages = tmp_path / ".venv/lib/python3.12/site-packages"
    packages.mkdir(parents=True)
    package, cached, link = tmp_path / "tap", tmp_path / "cached.pth", packages / "_editable_impl_tap.pth"
    package.mkdir()
    cached.write_text(str(package))
    link.hardlink_to(cached)  # as uv installs
    make_relative(tmp_path / ".venv")
    assert link.read_text() == "../../../../tap"
    assert (packages / link.read_text()).resolve() == package
    assert cached.read_text() == str(package)
    make_relative(tmp_path / ".venv")
    assert link.read_text() == "../../../../tap"
