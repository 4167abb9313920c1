"""The engine on a simulated stack: own state, the stack's own settings and policy levels."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from stacks.files import stack_sections
from stacks.plan import PlatformPlan, plan_settings
from tests.harness.commands import Result, run
from tests.harness.engine import PROJECT, Settings
from toolchain import paths
from toolchain import stack as toolchain_stack

PROGRAM = Path(__file__).parent
OF_OPERATORS = ("monitoring", "logging", "operators")
"""Sections whose objects operators look after. Stack dev's monitoring has the same namespaces, and ECK cannot
be run here: tests/artifacts has the real API server judge these objects by the real definitions."""
_LONGEST = 300
"""Seconds; an update takes a quarter of a minute, and its preview comes before."""


def simulate(settings: Settings, stack: str) -> None:
    """All that a simulated stack has different from the stack itself."""
    # Stack dev has the namespace of that name on the same cluster.
    settings["tenant"]["namespace"] = f"simulated-{stack}"
    # It is destroyed at the end.
    settings["dataProtection"] = "none"
    if settings.get("audit", {}).get("source") == "logs":
        # Of records that a part of logging sends.
        del settings["audit"]
    for section in OF_OPERATORS:
        settings.pop(section, None)


def stack_settings(stack: str) -> Settings:
    """Sections of `Pulumi.<stack>.yaml` as the simulation changes them."""
    settings = stack_sections(stack, paths.ROOT)
    simulate(settings, stack)
    return settings


def stack_plan(stack: str, settings: Settings | None = None) -> PlatformPlan:
    """Plan of the simulated stack, or of other settings for it; raises SettingsError."""
    return plan_settings(settings or stack_settings(stack), stack, f"Pulumi.{stack}.yaml", paths.ROOT)


@dataclass(frozen=True)
class SimulatedStack:
    """`pulumi` with the policy pack, on a simulated stack whose state lies in a folder of its own."""

    name: str

    @property
    def folder(self) -> Path:
        """State and settings files; outlives a test run that is killed, so that the next one can clean up."""
        return paths.TOOLCHAIN / "simulated" / self.name

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the engine."""
        return {
            **os.environ,
            **toolchain_stack.environment(),
            "PULUMI_BACKEND_URL": f"file://{self.folder}",
            "PULUMI_OPTION_POLICY_PACK_CONFIG": str(toolchain_stack.LEVELS / f"{self.name}.json"),
            # For --event-log.
            "PULUMI_DEBUG_COMMANDS": "true",
        }

    def create(self) -> None:
        """An empty stack; what an earlier run left in the cluster is destroyed first."""
        if self._settings_file.is_file():
            self.run("cancel", "--yes")
            self.destroy().succeeded()
        self.forget()
        self.folder.mkdir(parents=True)
        shutil.copy(PROGRAM / "Pulumi.yaml", self.folder)
        # The engine writes the stack's salt beside that project file, not beside the program's.
        self.run("stack", "init", "--cwd", str(self.folder)).succeeded()
        salt = yaml.safe_load(self._settings_file.read_text(encoding="utf-8"))["encryptionsalt"]
        (self.folder / "salt").write_text(salt, encoding="utf-8")
        self._write(self._settings_file, stack_settings(self.name))

    def forget(self) -> None:
        """Remove the state."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _settings_file(self) -> Path:
        return self.folder / f"Pulumi.{self.name}.yaml"

    def _write(self, file: Path, settings: Settings) -> None:
        config = {f"{PROJECT}:{key}": value for key, value in settings.items()}
        document = {
            "config": config,
            "encryptionsalt": (self.folder / "salt").read_text(encoding="utf-8"),
        }
        file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def run(self, *arguments: str, settings: Path | None = None) -> Result:
        """A `pulumi` command on the stack."""
        command = [str(paths.BIN / "pulumi"), *arguments, "--stack", self.name, "--non-interactive"]
        if arguments[0] == "cancel":
            command.remove("--non-interactive")
        if arguments[0] in ("up", "preview", "destroy"):
            command += ["--config-file", str(settings or self._settings_file), "--color=never"]
        return run(command, env=self.environment, cwd=PROGRAM, timeout=_LONGEST)

    def up(self) -> Result:
        """`pulumi up`, preview and update: the policy pack refuses an update without."""
        return self.run("up", "--yes")

    def destroy(self) -> Result:
        """`pulumi destroy`."""
        return self.run("destroy", "--yes", "--skip-preview")

    def preview_changed(self, change: Callable[[Settings], None], *arguments: str) -> Result:
        """`pulumi preview` with other settings."""
        settings = copy.deepcopy(stack_settings(self.name))
        change(settings)
        file = self.folder / "changed.yaml"
        self._write(file, settings)
        return self.run("preview", *arguments, settings=file)

    def recorded(self) -> bytes:
        """The stack's state, as the backend keeps it."""
        (checkpoint,) = self.folder.glob(f".pulumi/stacks/*/{self.name}.json")
        return checkpoint.read_bytes()
