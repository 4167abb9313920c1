"""The real engine, our Python host and the plan-only plugin, on programs of a few lines."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.built import built
from toolchain import golang, paths, pulumi_home, python_env

RUNTIME = f"runtime: {{name: python, options: {{toolchain: pip, virtualenv: {paths.VENV}}}}}\n"


@pytest.fixture(scope="session")
def engine() -> Path:
    """The `pulumi` command, built if need be."""
    return built("the engine", pulumi_home.ensure_engine)


@pytest.fixture(scope="session")
def plan_plugin() -> Path:
    """The plan-only plugin, built if need be."""
    name = pulumi_home.PLAN_PLUGIN
    return built("the plan-only plugin", lambda: golang.ensure_binaries(name, link=False)[name])


@dataclass(frozen=True)
class Project:
    """A project with one stack and a state of its own."""

    root: Path
    engine: Path
    stack: str = "test"

    @property
    def home(self) -> Path:
        """`PULUMI_HOME`."""
        return self.root / "home"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the engine."""
        return {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")} | {
            "PULUMI_HOME": str(self.home),
            "PULUMI_BACKEND_URL": f"file://{self.root}/state",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            **python_env.BYTE_CODE,
        }

    def pulumi(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the engine; standard error is part of the output."""
        running = self.start(*arguments, **environment)
        try:
            output, _ = running.communicate(timeout=300)
        except BaseException:
            running.kill()
            running.wait()
            raise
        return subprocess.CompletedProcess(running.args, running.returncode, output)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the engine; standard error is part of the output."""
        return subprocess.Popen(
            [self.engine, *arguments, "--non-interactive", "--color", "never"],
            cwd=self.root,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def create_project(
    root: Path, engine: Path, program: str, *, name: str = "trial", stack: str = "test", settings: str = ""
) -> Project:
    """A project of this name with a stack; `settings` is the stack's configuration file."""
    (root / "state").mkdir()
    (root / "Pulumi.yaml").write_text(f"name: {name}\n{RUNTIME}")
    (root / "__main__.py").write_text(program)
    if settings:
        (root / f"Pulumi.{stack}.yaml").write_text(settings)
    made = Project(root, engine, stack)
    done = made.pulumi("stack", "init", stack)
    assert done.returncode == 0, done.stdout
    return made


@pytest.fixture
def project(tmp_path: Path, engine: Path) -> Callable[[str], Project]:
    """Make a project from the text of its program."""
    return lambda program: create_project(tmp_path, engine, program)
