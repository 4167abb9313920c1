"""The Dockerfiles' own steps, run without Docker; the images that come of them, and those of the toolchain.

Not shown: that BuildKit reads the files as these tests do, and that pip installs what `requirements.txt`
names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.container_image.plan import FOLDERS, context_of
from components.container_image.settings import App
from tests.unit.container_image.dockerfile import Stage, build, instructions
from toolchain import debian
from toolchain.errors import ToolchainError
from toolchain.images import apt_list, definitions, oci, virtual_ip

ROOT = Path(__file__).resolve().parents[3]
STANDARD_LIBRARY: dict[App, str] = {
    "alert-relay": "alert_relay",
    "trend-report": "trend_report",
    "log-setup": "log_setup",
    "etcd-tools": "etcd_tools",
}
"""Apps without packages from elsewhere, and their modules."""
IMAGES: dict[App, Any] = {
    "weights": definitions.weights,
    "audit": definitions.audit,
    "alert-relay": definitions.alert_relay,
    "trend-report": definitions.trend_report,
    "log-setup": definitions.log_setup,
    "etcd-tools": definitions.etcd_tools,
    "virtual-ip": definitions.virtual_ip_image,
}


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of the steps: the tests' own Python is `python3`."""
    program(tmp_path / "bin" / "python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    return {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)}


@pytest.fixture
def etcd_image(tmp_path: Path) -> Path:
    """As much of etcd's own image as matters."""
    folder = tmp_path / "etcd-image"
    for name in ("etcd", "etcdctl", "etcdutl"):
        program(folder / "usr/local/bin" / name, f"#!/bin/sh\necho {name}\n")
    return folder


@pytest.mark.parametrize("app", STANDARD_LIBRARY)
def test_an_app_runs_from_what_its_steps_have_made(
    app: App, tmp_path: Path, environment: dict[str, str], etcd_image: Path
) -> None:
    image = build(ROOT / context_of(app), {"ETCD": etcd_image}, tmp_path, environment)
    installed = image.at(f"{image.environment['PYTHONPATH']}/{STANDARD_LIBRARY[app]}")
    for module in installed.rglob("*.py"):
        (compiled,) = (module.parent / "__pycache__").glob(f"{module.stem}.*.pyc")
        # Flags of an unchecked hash (PEP 552): nothing looks at the source's time.
        assert compiled.read_bytes()[4:8] == b"\x01\x00\x00\x00"
    settings = image.environment | {"PYTHONPATH": str(image.at(image.environment["PYTHONPATH"]))}
    python, *words = image.process
    assert python == "python3"
    # Without site packages: an import of anything but the standard library fails.
    done = subprocess.run(
        [sys.executable, "-S", *words, "--help"],
        cwd="/",
        env=settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {STANDARD_LIBRARY[app]}")


def test_a_report_has_its_style_sheet(tmp_path: Path, environment: dict[str, str]) -> None:
    image = build(ROOT / context_of("trend-report"), {}, tmp_path, environment)
    assert image.at("/opt/app/trend_report/page.css").is_file()


def test_etcds_tools_have_etcds_programs_and_no_server(
    tmp_path: Path, environment: dict[str, str], etcd_image: Path
) -> None:
    image = build(ROOT / context_of("etcd-tools"), {"ETCD": etcd_image}, tmp_path, environment)
    programs = image.at("/usr/local/bin")
    assert {path.name for path in programs.iterdir()} == {"etcdctl", "etcdutl"}
    assert all(os.access(path, os.X_OK) for path in programs.iterdir())


@pytest.fixture
def archive(environment: dict[str, str], tmp_path: Path) -> Path:
    """`apt-get` that has exactly the locked packages: it knows them by name and version, as apt does."""
    try:
        files = debian.fetch(*debian.package_set(virtual_ip.PACKAGE_SET))
    except ToolchainError as error:
        pytest.skip(f"Debian's packages cannot be had: {error}")
    pool = tmp_path / "pool"
    pool.mkdir()
    for name, file in files.items():
        (pool / f"{name}={debian.locked(name).version}").symlink_to(file)
    names = {f"{name}={debian.locked(name).version}": apt_list.file_name(name) for name in files}
    (pool / "names.json").write_text(json.dumps(names))
    program(
        tmp_path / "bin" / "apt-get",
        f"#!{sys.executable}\n"
        "import json, pathlib, shutil, sys\n"
        f"pool = pathlib.Path({str(pool)!r})\n"
        "names = json.loads((pool / 'names.json').read_text())\n"
        "assert sys.argv[1] == '-q' and sys.argv[2] in ('update', 'download')\n"
        "for package in sys.argv[3:]:\n"
        "    shutil.copy(pool / package, names[package])\n",
    )
    return pool


def entries(root: Path) -> dict[str, tuple[str, int, bytes]]:
    found = {}
    for path in root.rglob("*"):
        mode = path.lstat().st_mode & 0o7777
        if path.is_symlink():
            entry = ("link", 0, os.readlink(path).encode())
        elif path.is_dir():
            entry = ("folder", mode, b"")
        else:
            entry = ("file", mode, path.read_bytes())
        found[str(path.relative_to(root))] = entry
    return found


def virtual_ip_files(tmp_path: Path, environment: dict[str, str]) -> Stage:
    return build(ROOT / context_of("virtual-ip"), {}, tmp_path, environment)


def test_the_virtual_ips_files_are_those_of_the_toolchain(
    archive: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    ours, expected = entries(virtual_ip_files(tmp_path, environment).root), entries(virtual_ip.root())
    assert len(ours) > 200
    assert sorted(ours) == sorted(expected)
    assert [name for name in ours if ours[name] != expected[name]] == []


def test_a_package_that_is_not_the_locked_one_is_refused(
    archive: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    package = next(archive.glob("haproxy=*"))
    other = package.resolve().read_bytes() + b"x"
    package.unlink()
    package.write_bytes(other)
    with pytest.raises(AssertionError, match=r"haproxy_\S+_amd64\.deb: FAILED"):
        virtual_ip_files(tmp_path, environment)


def said(app: App) -> tuple[list[str], dict[str, str], str]:
    """Process, environment and user in the app's Dockerfile."""
    stage = Stage(Path())
    for word, rest in instructions(ROOT / context_of(app) / "Dockerfile"):
        match word:
            case "FROM":
                stage = Stage(Path())
            case "ENV":
                stage.environment |= dict(part.split("=", 1) for part in rest.split())
            case "USER":
                stage.user = rest
            case "ENTRYPOINT":
                stage.entrypoint = json.loads(rest)
            case "CMD":
                stage.command = json.loads(rest)
    return stage.process, stage.environment, stage.user


@pytest.mark.parametrize("app", FOLDERS)
def test_process_user_and_environment_are_those_of_the_toolchains_image(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = oci.layer({})
    monkeypatch.setattr(definitions, "base_layer", lambda: empty)
    monkeypatch.setattr(definitions, "_requirements_layer", lambda *_: empty)
    monkeypatch.setattr(definitions, "_binary_nodes", lambda *_: {})
    monkeypatch.setattr(virtual_ip, "nodes", dict)
    *_, configuration, _ = IMAGES[app]().image.blobs
    config = json.loads(configuration.source)["config"]
    process, environment, user = said(app)
    assert process == config.get("Entrypoint", []) + config.get("Cmd", [])
    assert user == config["User"]
    theirs = dict(item.split("=", 1) for item in config["Env"])
    common = {name: text for name, text in environment.items() if name != "PYTHONPATH"}
    assert common == {name: theirs.get(name) for name in common}
    if app == "virtual-ip":
        assert environment == theirs
