"""This machine's stack settings: its own salt, its own state, the repository's file untouched."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from toolchain import paths, stack
from toolchain.errors import ToolchainError
from toolchain.stack import Stack

_SETTINGS = "config:\n  autoglm-platform:x: 1\nencryptionsalt: v1:foreign\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one stack, and an engine that records what it is asked."""
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "Pulumi.yaml").write_text("name: autoglm-platform\nruntime: python\n")
    (root / "Pulumi.dev.yaml").write_text(_SETTINGS)
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.setattr(stack, "PROJECT_FILE", root / "Pulumi.yaml")
    monkeypatch.setattr(stack, "CONFIG", paths.TOOLCHAIN / "config")
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    engine = paths.BIN / "pulumi"
    engine.parent.mkdir(parents=True)
    # `stack init` writes the salt where it is started, as the engine does.
    engine.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {root}/calls\n'
        'if [ "$1 $2" = "stack init" ]; then\n'
        f"  mkdir -p {paths.BACKEND}/.pulumi/stacks/p; touch {paths.BACKEND}/.pulumi/stacks/p/$3.json\n"
        '  echo "encryptionsalt: v1:own" > "$6/Pulumi.$3.yaml"\n'
        "fi\n"
        '[ "$1" != fail ]\n'
    )
    engine.chmod(0o755)
    return root


def test_engine_gets_a_copy_with_this_machines_salt(checkout: Path) -> None:
    dev = Stack("dev")
    dev.ensure()
    assert dev.copy.read_text() == "config:\n  autoglm-platform:x: 1\nencryptionsalt: v1:own\n"
    assert (checkout / "Pulumi.dev.yaml").read_text() == _SETTINGS

    (checkout / "Pulumi.dev.yaml").write_text("config:\n  autoglm-platform:x: 2\n")
    Stack("dev").ensure()
    assert dev.copy.read_text() == "config:\n  autoglm-platform:x: 2\nencryptionsalt: v1:own\n"
    assert (checkout / "calls").read_text().count("stack init") == 1


def test_salt_is_found_in_the_state_again(checkout: Path) -> None:
    dev = Stack("dev")
    dev.ensure()
    dev.copy.unlink()
    state = {"checkpoint": {"latest": {"secrets_providers": {"state": {"salt": "v1:kept"}}}}}
    (paths.BACKEND / ".pulumi/stacks/p/dev.json").write_text(json.dumps(state))
    dev.ensure()
    assert dev.copy.read_text().endswith("encryptionsalt: v1:kept\n")


def test_commands_name_stack_and_settings(checkout: Path) -> None:
    dev = Stack("dev")
    dev.ensure()
    dev.run("up", "--yes")
    assert (checkout / "calls").read_text().splitlines()[
        -1
    ] == f"up --yes --stack dev --config-file {dev.copy}"


def test_failed_command_is_an_error(checkout: Path) -> None:
    with pytest.raises(ToolchainError, match="`pulumi fail` on stack dev failed with status 1"):
        Stack("dev").run("fail")


def test_unknown_stack_lists_the_known_ones(checkout: Path) -> None:
    with pytest.raises(ToolchainError, match=r"Pulumi\.qa\.yaml does not exist; stacks: dev"):
        Stack("qa")


def test_backend_of_the_environment_is_respected_for_plans_only(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://team")
    assert Stack("dev", own_backend=False)._env["PULUMI_BACKEND_URL"] == "s3://team"
    assert Stack("dev")._env["PULUMI_BACKEND_URL"] == f"file://{paths.BACKEND}"


def test_lock_of_a_dead_process_is_cleared(checkout: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    locks = paths.BACKEND / ".pulumi" / "locks" / "organization" / "p" / "dev"
    dev = Stack("dev")
    dev.ensure()
    locks.mkdir(parents=True)
    host = os.uname().nodename
    (locks / "dead.json").write_text(json.dumps({"pid": ended.pid, "hostname": host}))
    (locks / "alive.json").write_text(json.dumps({"pid": os.getpid(), "hostname": host}))
    (locks / "elsewhere.json").write_text(json.dumps({"pid": ended.pid, "hostname": "other"}))
    dev.ensure()
    assert sorted(file.name for file in locks.iterdir()) == ["alive.json", "elsewhere.json"]


def test_passphrase_is_private_and_generated_once(checkout: Path) -> None:
    stack.ensure_passphrase()
    first = paths.PASSPHRASE_FILE.read_text()
    stack.ensure_passphrase()
    assert paths.PASSPHRASE_FILE.read_text() == first
    assert len(first) >= 32
    assert stat.S_IMODE(paths.PASSPHRASE_FILE.stat().st_mode) == 0o600


def test_env_file_can_be_sourced(checkout: Path) -> None:
    file = stack.write_env_file()
    shell = f'. {file}; echo "$PULUMI_BACKEND_URL $KUBECONFIG"; command -v pulumi'
    out = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout.splitlines()
    assert out == [f"file://{paths.BACKEND} {paths.KUBECONFIG}", str(paths.BIN / "pulumi")]
