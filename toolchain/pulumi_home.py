"""The engine and its plugins.

Order of preference: what the machine has (``pulumi`` on PATH, official plugins in the user's Pulumi home),
then builds from the pinned Go modules. Stand-ins are installed like official plugins, by name and version
below ``PULUMI_HOME``, so that nothing in ``Pulumi*.yaml`` knows of them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from toolchain import artefacts, golang, paths, python_env
from toolchain.errors import ToolchainError
from toolchain.progress import note

SDK_MODULE: Final = "github.com/pulumi/pulumi/sdk/v3"
LANGUAGE_HOST: Final = "pulumi-language-python"
EXECUTOR: Final = "pulumi-language-python-exec"
KUBERNETES_PLUGIN: Final = "pulumi-resource-kubernetes"
PLAN_PLUGIN: Final = "pulumi-resource-plan"

OFFICIAL_HOME: Final = Path.home() / ".pulumi"
"""Where Pulumi's own installer puts plugins."""


@dataclass(frozen=True)
class Plugin:
    """A provider plugin that an installed Python SDK asks for, by name and version (``4.34.2``)."""

    name: str
    version: str

    @property
    def directory(self) -> str:
        """Directory below ``plugins`` in the engine's layout."""
        return f"resource-{self.name}-v{self.version}"

    @property
    def executable(self) -> str:
        return f"pulumi-resource-{self.name}"


def ensure() -> Path:
    """The engine with the plugins that the program needs; everything that must be built is built at once."""
    python_env.ensure_venv()
    golang.ensure_binaries(*_missing_binaries(), link=False)
    pulumi = ensure_engine()
    ensure_plugins()
    return pulumi


def ensure_plan_home() -> Path:
    """The home of plans that need no credentials, with its plugins.

    Official plugins are stood in for even where the machine has them: AWS's wants an account to check inputs,
    and that of Kubernetes pulls charts from their registry before it plans them.
    """
    python_env.ensure_venv()
    golang.ensure_binaries(PLAN_PLUGIN, KUBERNETES_PLUGIN, link=False)
    for plugin in required_plugins():
        _install_stand_in(plugin, paths.PLAN_HOME / "plugins" / plugin.directory / plugin.executable)
    return paths.PLAN_HOME


def _missing_binaries() -> list[str]:
    names = [] if official_engine() else ["pulumi", LANGUAGE_HOST]
    for plugin in required_plugins():
        if not _official_plugin(plugin).exists():
            names.append(_stand_in(plugin))
    return sorted(set(names))


def ensure_engine() -> Path:
    """The ``pulumi`` command: a suitable one from PATH, else built; ``.toolchain/bin/pulumi`` links to it."""
    pulumi = official_engine() or _built_engine()
    _link(paths.BIN / "pulumi", pulumi)
    return pulumi


def _version(text: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else ()


@cache
def official_engine() -> Path | None:
    """``pulumi`` on PATH if it has its Python host and is at least as new as the SDK that is pinned."""
    wanted = _version(golang.module_version("github.com/pulumi/pulumi/pkg/v3"))
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        candidate = Path(directory) / "pulumi"
        if not os.access(candidate, os.X_OK) or candidate.resolve().is_relative_to(paths.TOOLCHAIN):
            continue
        host = candidate.resolve().parent / LANGUAGE_HOST
        if not host.exists() and shutil.which(LANGUAGE_HOST) is None:
            note(f"{candidate}: not used, it has no {LANGUAGE_HOST}")
            continue
        seen = subprocess.run(
            [candidate, "version"], capture_output=True, text=True, check=False
        ).stdout.strip()
        if _version(seen)[:1] == wanted[:1] and _version(seen) >= wanted:
            return candidate.resolve()
        note(
            f"{candidate}: not used, it is {seen or 'of no known version'}; "
            f"wanted >= {'.'.join(map(str, wanted))}"
        )
    return None


def _built_engine() -> Path:
    names = ("pulumi", LANGUAGE_HOST)
    files = golang.ensure_binaries(*names, link=False)

    def build(directory: Path) -> None:
        # The engine looks for its language hosts next to itself, and the host for its executor.
        for name in names:
            _hardlink(files[name], directory / name)
        shutil.copy(_executor_source(), directory / EXECUTOR)
        (directory / EXECUTOR).chmod(0o755)

    key = artefacts.digest(*(str(file) for file in files.values()))
    return artefacts.ensure("engine", key, build) / "pulumi"


def _executor_source() -> Path:
    """The SDK's executor script, from the module that the host is built from."""
    listed = subprocess.run(
        [golang.go(), "list", "-m", "-f", "{{.Dir}}", SDK_MODULE],
        cwd=paths.GO_MODULE,
        env={**os.environ, **golang.environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    source = Path(listed.stdout.strip()) / "python" / "cmd" / EXECUTOR
    if listed.returncode != 0 or not source.is_file():
        raise ToolchainError(
            f"{paths.GO_MODULE / 'go.mod'}: module {SDK_MODULE} holds no {source}: {listed.stderr}"
        )
    return source


def plan_only_providers() -> frozenset[str]:
    """Providers that are only planned without their own plugin: ``tool.autoglm`` in ``pyproject.toml``."""
    settings = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    try:
        return frozenset(settings["tool"]["autoglm"]["plan-only-providers"])
    except KeyError as error:
        raise ToolchainError(
            "pyproject.toml: [tool.autoglm] plan-only-providers is missing; list the names"
        ) from error


def required_plugins() -> Iterator[Plugin]:
    """Plugins that the Python SDKs in the virtual environment ask for."""
    for file in sorted(paths.VENV.glob("lib/python3*/site-packages/*/pulumi-plugin.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.get("resource") and "version" in content:
            name = content.get("name", file.parent.name.removeprefix("pulumi_").replace("_", "-"))
            yield Plugin(name, content["version"].removeprefix("v"))


def ensure_plugins() -> list[Plugin]:
    """Install what the Python SDKs ask for below ``PULUMI_HOME``: official plugins if the machine has them.

    :raises ToolchainError: an SDK needs a plugin that is neither on the machine nor stood in for.
    """
    python_env.ensure_venv()
    plugins = list(required_plugins())
    for plugin in plugins:
        _install(plugin, paths.PULUMI_HOME / "plugins" / plugin.directory)
    return plugins


def _install(plugin: Plugin, directory: Path) -> None:
    """Install a plugin: the machine's own if it is there, else what stands in for it."""
    own = _official_plugin(plugin)
    if own.exists():
        _install_official(own.parent, directory)
    else:
        _install_stand_in(plugin, directory / plugin.executable)


def _official_plugin(plugin: Plugin) -> Path:
    return OFFICIAL_HOME / "plugins" / plugin.directory / plugin.executable


def _install_official(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():  # the engine passes over directories that are links
        _link(target / file.name, file)


def _stand_in(plugin: Plugin) -> str:
    """The binary that stands in for a plugin."""
    if plugin.name == "kubernetes":
        return KUBERNETES_PLUGIN
    if plugin.name in plan_only_providers():
        return PLAN_PLUGIN
    raise ToolchainError(
        f"plugin {plugin.directory} is not in {OFFICIAL_HOME / 'plugins'} and has no stand-in; run "
        f"`pulumi plugin install resource {plugin.name} v{plugin.version}`, or, to only preview it, add "
        f'"{plugin.name}" to plan-only-providers in pyproject.toml'
    )


def _install_stand_in(plugin: Plugin, target: Path) -> None:
    binary = _stand_in(plugin)
    # The stand-ins read their name and version from the path that they are installed at.
    built = golang.ensure_binaries(binary, link=False)[binary]
    if target.exists() and target.samefile(built) and not target.is_symlink():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    staging.unlink(missing_ok=True)
    _hardlink(built, staging)
    staging.rename(target)


def _hardlink(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and Path(os.readlink(link)) == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    staging = link.with_name(f".{link.name}.{os.getpid()}")
    staging.unlink(missing_ok=True)
    staging.symlink_to(target)
    staging.rename(link)
