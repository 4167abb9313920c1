"""Stacks of this machine: their state, secrets and policy levels, kept below ``.toolchain``.

The engine writes a stack's encryption salt into its settings file. The salt belongs to this machine's
passphrase, so the toolchain hands the engine a copy of ``Pulumi.<stack>.yaml`` with the salt, and the file in
the repository stays as it is.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from toolchain import paths, pulumi_home, python_env
from toolchain.cluster import state as cluster_state
from toolchain.errors import ToolchainError
from toolchain.event_log import EventLog
from toolchain.progress import note

PROJECT_FILE: Final = paths.ROOT / "Pulumi.yaml"
CONFIG: Final = paths.TOOLCHAIN / "config"
"""Copies of the stack settings files, with this machine's salt."""

POLICIES: Final = paths.ROOT / "policies"
LEVELS: Final = POLICIES / "levels"
ANALYZER: Final = POLICIES / "analyzer"
"""The policy pack as a program that the engine starts itself, without a language host."""

EMBEDDED: Final = "dev"
"""Stack of the embedded cluster."""

_CLOUD_PREFIXES: Final = ("AWS_", "CLOUDSDK_", "GCLOUD_", "GCP_", "GOOGLE_", "DOCKER_")
"""Of environment variables that the clouds' SDKs and command lines read."""

_SECRETS_KEYS: Final = re.compile(r"^(?:encryptionsalt|encryptedkey|secretsprovider):.*\n?", re.MULTILINE)


def environment() -> dict[str, str]:
    """Variables of the engine on this machine: own home, own state, policy pack always on."""
    search = [str(paths.BIN), str(paths.VENV / "bin"), os.environ.get("PATH", "")]
    return {
        "PATH": os.pathsep.join(dict.fromkeys(os.pathsep.join(search).split(os.pathsep))),
        "KUBECONFIG": str(paths.KUBECONFIG),
        "PULUMI_HOME": str(paths.PULUMI_HOME),
        "PULUMI_BACKEND_URL": f"file://{paths.BACKEND}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(paths.PASSPHRASE_FILE),
        # Plain `pulumi up` finds the salt in the state when the settings file has none.
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_OPTION_POLICY_PACK": str(ANALYZER),
        **python_env.BYTE_CODE,
        **_direct_addresses(),
    }


def _direct_addresses() -> dict[str, str]:
    """Keep the cluster's addresses away from a proxy, where the environment names one."""
    names = [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]
    state = cluster_state.load() if names else None
    if state is None:
        return {}
    ranges = [state.node_address, state.pod_range, state.service_range]
    present = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "localhost,127.0.0.1"
    return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(dict.fromkeys([*present.split(","), *ranges])))


def ensure_passphrase() -> None:
    """Generate the passphrase of the local secrets provider, once."""
    if paths.PASSPHRASE_FILE.exists():
        return
    paths.TOOLCHAIN.mkdir(parents=True, exist_ok=True)
    handle = os.open(paths.PASSPHRASE_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(32))


def write_env_file() -> Path:
    """Write ``.toolchain/env``, which puts the engine, kubectl and the cluster into a shell."""
    ensure_passphrase()
    lines = [
        "# Generated; source it: it puts pulumi, kubectl, the kubeconfig and the state into a shell.",
        "# For a stack other than dev: PULUMI_OPTION_POLICY_PACK_CONFIG=policies/levels/NAME.json",
    ]
    variables = {**environment(), "PULUMI_OPTION_POLICY_PACK_CONFIG": str(LEVELS / f"{EMBEDDED}.json")}
    for name, value in variables.items():
        if name == "PATH":
            lines.append(
                f'export PATH={shlex.quote(str(paths.BIN))}:{shlex.quote(str(paths.VENV / "bin"))}:"$PATH"'
            )
        else:
            lines.append(f"export {name}={shlex.quote(value)}")
    paths.ENV_FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return paths.ENV_FILE


@dataclass(frozen=True)
class Preview:
    """A plan that has ended."""

    status: int
    """Exit status of the engine."""
    events: tuple[str, ...]
    """Its event log, line by line, without lines for debugging."""


def _for_plans(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without anybody's cloud account: a plan must come out the same on every machine.

    Only for state of this checkout. A team's may lie in a bucket, which the engine needs credentials for, and
    is compared with what is there by the clouds' own plugins.
    """
    kept = {key: value for key, value in environment.items() if not key.startswith(_CLOUD_PREFIXES)}
    return {**kept, "PULUMI_HOME": str(pulumi_home.ensure_plan_home())}


def _display() -> tuple[str, ...]:
    """Options of the engine's display: a log gets one line for each resource, no dots and no colours."""
    return () if sys.stdout.isatty() else ("--non-interactive", "--suppress-progress", "--color", "never")


class Stack:
    """One stack of the project, by name.

    :param own_backend: keep its state below ``.toolchain`` whatever the environment says.
    """

    def __init__(self, name: str, *, own_backend: bool = True) -> None:
        self.name = name
        self.settings = paths.ROOT / f"Pulumi.{name}.yaml"
        if not self.settings.is_file():
            known = sorted(file.name.split(".")[1] for file in paths.ROOT.glob("Pulumi.*.yaml"))
            raise ToolchainError(
                f"stack {name!r}: {self.settings.name} does not exist; stacks: {', '.join(known)}"
            )
        self._env = {**os.environ, **environment()}
        foreign = os.environ.get("PULUMI_BACKEND_URL", "")
        self._local = own_backend or foreign in ("", f"file://{paths.BACKEND}")
        if not self._local:
            kept = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE", "KUBECONFIG")
            self._env = {**self._env, **{key: os.environ[key] for key in kept if key in os.environ}}
        else:
            self._env.pop("PULUMI_CONFIG_PASSPHRASE", None)
            self._env.pop("PULUMI_ACCESS_TOKEN", None)
        level = LEVELS / f"{name}.json"
        if level.is_file():
            self._env["PULUMI_OPTION_POLICY_PACK_CONFIG"] = str(level)

    def ensure(self) -> None:
        """Create the stack in the local backend and select it; clear a lock whose holder is dead."""
        if not self._local:
            return
        ensure_passphrase()
        paths.BACKEND.mkdir(parents=True, exist_ok=True)
        CONFIG.mkdir(parents=True, exist_ok=True)
        # A project of the same name beside the copies: what the engine writes on creation lands there.
        (CONFIG / "Pulumi.yaml").write_text(PROJECT_FILE.read_text(encoding="utf-8"), encoding="utf-8")
        if self.exists():
            self._clear_stale_lock()
        else:
            self.copy.unlink(missing_ok=True)
            self._capture("stack", "init", self.name, "--non-interactive", "--cwd", str(CONFIG))
        self._copy_settings()
        self._capture("stack", "select", self.name, "--non-interactive")

    @property
    def copy(self) -> Path:
        """This machine's copy of the settings file."""
        return CONFIG / self.settings.name

    def exists(self) -> bool:
        """Whether the local backend holds the stack."""
        # What a removed stack leaves beside its checkpoint, such as dev.json.bak, is no stack.
        stacks = paths.BACKEND / ".pulumi" / "stacks"
        return any(stacks.glob(f"*/{self.name}.json")) or any(stacks.glob(f"*/{self.name}.json.gz"))

    def _copy_settings(self) -> None:
        salt = self._salt()
        content = _SECRETS_KEYS.sub("", self.settings.read_text(encoding="utf-8"))
        self.copy.write_text(f"{content.rstrip()}\nencryptionsalt: {salt}\n", encoding="utf-8")

    def _salt(self) -> str:
        for file in (self.copy, *paths.BACKEND.glob(f".pulumi/stacks/*/{self.name}.json")):
            if file.is_file():
                text = file.read_text(encoding="utf-8")
                found = re.search(r"^encryptionsalt: (\S+)$", text, re.MULTILINE) or re.search(
                    r'"salt":\s*"([^"]+)"', text
                )
                if found:
                    return found.group(1)
        raise ToolchainError(
            f"stack {self.name}: its encryption salt is lost ({self.copy}); run `make down`, then `make up`"
        )

    def _clear_stale_lock(self) -> None:
        for file in paths.BACKEND.glob(f".pulumi/locks/**/{self.name}/*.json"):
            holder = json.loads(file.read_text(encoding="utf-8"))
            if holder.get("hostname") == os.uname().nodename and not _alive(int(holder.get("pid", 0))):
                note(f"stack {self.name}: lock of process {holder.get('pid')}, which is gone, removed")
                file.unlink(missing_ok=True)

    def run(self, *arguments: str) -> None:
        """Run an engine command on this stack, its output on the terminal.

        :raises ToolchainError: it failed; the engine has said why.
        """
        status = self._run(arguments, self._env)
        if status != 0:
            raise ToolchainError(f"`pulumi {arguments[0]}` on stack {self.name} failed with status {status}")

    def preview(self) -> Preview:
        """Plan the stack, the engine's output on the terminal, and give what it tells of the plan."""
        environment = _for_plans(self._env) if self._local else self._env
        if self._local and self.name != EMBEDDED:
            # The embedded cluster's is not this stack's.
            environment.pop("KUBECONFIG", None)
        # The flag belongs to the engine's commands for programs such as its Automation API.
        environment = {**environment, "PULUMI_DEBUG_COMMANDS": "true"}
        with EventLog() as log:
            status = self._run(("preview", *_display(), "--event-log", str(log.path)), environment)
        return Preview(status, log.lines)

    def _run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
        command = [str(paths.BIN / "pulumi"), *arguments, "--stack", self.name]
        if self._local:
            command += ["--config-file", str(self.copy)]
        child = subprocess.Popen(command, cwd=paths.ROOT, env=environment)
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                child.send_signal(signal.SIGINT)  # the engine finishes what is under way and frees its lock

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""
        values: dict[str, Any] = json.loads(self._capture("stack", "output", "--json", "--stack", self.name))
        return values

    def remove(self) -> None:
        """Forget the stack and whatever it still lists."""
        if self.exists():
            arguments = ("stack", "rm", self.name, "--force", "--yes", "--non-interactive")
            self._capture(*arguments, "--cwd", str(CONFIG))

    def _capture(self, *arguments: str) -> str:
        done = self._try(arguments)
        if done.returncode != 0:
            raise ToolchainError(f"`pulumi {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout

    def _try(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(paths.BIN / "pulumi"), *arguments],
            cwd=paths.ROOT,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
