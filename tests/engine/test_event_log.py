"""What the real engine tells of a preview: enough for the summary, and no secret."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from stacks.summary import events
from tests.engine.conftest import Project
from toolchain.event_log import EventLog

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_CANARY = "canary-6f1d"
_PROGRAM = f"""
import pulumi
pulumi.export("hidden", pulumi.Output.secret("{_CANARY}"))
"""


def test_secrets_of_the_program_and_its_configuration_are_left_out(project: Callable[[str], Project]) -> None:
    made = project(_PROGRAM)
    assert made.pulumi("config", "set", "--secret", "trial:password", _CANARY).returncode == 0
    assert made.pulumi("config", "set", "trial:size", "3").returncode == 0
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    environment |= {
        "PULUMI_HOME": str(made.home),
        "PULUMI_BACKEND_URL": f"file://{made.root}/state",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DEBUG_COMMANDS": "true",
    }
    with EventLog() as log:
        subprocess.run(
            [made.engine, "preview", "--non-interactive", "--event-log", log.path],
            cwd=made.root,
            env=environment,
            check=True,
            capture_output=True,
            timeout=120,
        )
    assert _CANARY not in "".join(log.lines)
    preview = events.read(log.lines)
    assert preview.config == {"trial:size": "3"}
    assert preview.complete
