"""What the machine has is preferred; stand-ins are laid out like official plugins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolchain import golang, paths, pulumi_home, python_env
from toolchain.errors import ToolchainError


@pytest.fixture(autouse=True)
def no_official_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "official"
    monkeypatch.setattr(pulumi_home, "OFFICIAL_HOME", home)
    pulumi_home.official_engine.cache_clear()
    return home


def _script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def _sdk(name: str, content: dict[str, object]) -> None:
    file = paths.VENV / "lib" / "python3.11" / "site-packages" / f"pulumi_{name}" / "pulumi-plugin.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(content))


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Builds are replaced by empty files."""
    directory = tmp_path / "built"
    directory.mkdir()

    def ensure_binaries(*names: str, link: bool = True) -> dict[str, Path]:
        files = {name: directory / name for name in names}
        for file in files.values():
            file.touch()
        return files

    monkeypatch.setattr(golang, "ensure_binaries", ensure_binaries)
    monkeypatch.setattr(python_env, "ensure_venv", lambda: paths.VENV)
    return directory


@pytest.mark.parametrize(
    ("version", "with_host", "used"),
    [
        ("v99.0.0", True, False),
        ("v3.999.0", True, True),
        ("v3.100.0", True, False),
        ("v3.999.0", False, False),
    ],
    ids=["other major", "newer", "older", "without Python host"],
)
def test_engine_on_path(
    version: str, with_host: bool, used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _script(tmp_path / "bin" / "pulumi", f"echo {version}")
    if with_host:
        _script(tmp_path / "bin" / "pulumi-language-python", "")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    expected = tmp_path / "bin" / "pulumi" if used else None
    assert pulumi_home.official_engine() == expected


def test_own_build_on_path_is_not_taken_for_an_official_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _script(paths.BIN / "pulumi", "echo v3.999.0")
    _script(paths.BIN / "pulumi-language-python", "")
    monkeypatch.setenv("PATH", f"{paths.BIN}:/usr/bin:/bin")
    assert pulumi_home.official_engine() is None


def test_stand_ins_are_installed_by_name_and_version(built: Path) -> None:
    _sdk("kubernetes", {"resource": True, "name": "kubernetes", "version": "4.34.2"})
    _sdk("aws", {"resource": True, "name": "aws", "version": "v7.1.0"})
    _sdk("command_like", {"resource": False})
    pulumi_home.ensure_plugins()
    plugins = paths.PULUMI_HOME / "plugins"
    assert sorted(str(file.relative_to(plugins)) for file in plugins.glob("*/*")) == [
        "resource-aws-v7.1.0/pulumi-resource-aws",
        "resource-kubernetes-v4.34.2/pulumi-resource-kubernetes",
    ]
    assert (plugins / "resource-aws-v7.1.0" / "pulumi-resource-aws").samefile(built / "pulumi-resource-plan")


def test_rebuilt_stand_in_replaces_the_old_one(built: Path) -> None:
    _sdk("aws", {"resource": True, "name": "aws", "version": "7.1.0"})
    pulumi_home.ensure_plugins()
    (built / "pulumi-resource-plan").unlink()
    (built / "pulumi-resource-plan").write_text("new")
    pulumi_home.ensure_plugins()
    installed = paths.PULUMI_HOME / "plugins" / "resource-aws-v7.1.0" / "pulumi-resource-aws"
    assert installed.read_text() == "new"


def test_official_plugin_is_preferred(built: Path, no_official_home: Path) -> None:
    _sdk("kubernetes", {"resource": True, "name": "kubernetes", "version": "4.34.2"})
    _script(
        no_official_home / "plugins" / "resource-kubernetes-v4.34.2" / "pulumi-resource-kubernetes",
        "echo real",
    )
    assert "pulumi-resource-kubernetes" not in pulumi_home._missing_binaries()
    pulumi_home.ensure_plugins()
    installed = paths.PULUMI_HOME / "plugins" / "resource-kubernetes-v4.34.2" / "pulumi-resource-kubernetes"
    assert "echo real" in installed.read_text()


def test_plans_never_meet_an_official_plugin(built: Path, no_official_home: Path) -> None:
    for name in ("aws", "kubernetes"):
        _sdk(name, {"resource": True, "name": name, "version": "7.1.0"})
        _script(
            no_official_home / "plugins" / f"resource-{name}-v7.1.0" / f"pulumi-resource-{name}", "echo real"
        )
    plugins = pulumi_home.ensure_plan_home() / "plugins"
    assert (plugins / "resource-aws-v7.1.0" / "pulumi-resource-aws").samefile(built / "pulumi-resource-plan")
    assert (plugins / "resource-kubernetes-v7.1.0" / "pulumi-resource-kubernetes").samefile(
        built / "pulumi-resource-kubernetes"
    )
    assert not paths.PULUMI_HOME.exists()


def test_plugin_that_nothing_stands_in_for_is_refused(built: Path) -> None:
    _sdk("azure", {"resource": True, "name": "azure", "version": "6.0.0"})
    with pytest.raises(ToolchainError, match=r"resource-azure-v6\.0\.0 .*plan-only-providers"):
        pulumi_home.ensure_plugins()


def test_clouds_are_plan_only() -> None:
    assert pulumi_home.plan_only_providers() >= {"aws", "gcp", "docker"}
