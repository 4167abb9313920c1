"""`preview`: the engine's status, a summary of what it told, no cloud account of whoever runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolchain import cli, paths, pulumi_home, stack

_EVENT = json.dumps({"summaryEvent": {"result": "succeeded", "PolicyPacks": {}}})


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose engine and summary record what they are given; the engine ends as `status` says."""
    (tmp_path / "Pulumi.yaml").write_text("name: autoglm-platform\nruntime: python\n")
    (tmp_path / "Pulumi.prod.yaml").write_text("config: {}\n")
    (tmp_path / "status").write_text("0")
    toolchain = tmp_path / ".toolchain"
    for name, value in {
        "ROOT": tmp_path,
        "TOOLCHAIN": toolchain,
        "BIN": toolchain / "bin",
        "VENV": toolchain / "venv",
        "BACKEND": toolchain / "backend",
        "PASSPHRASE_FILE": toolchain / "passphrase",
        "ENV_FILE": toolchain / "env",
    }.items():
        monkeypatch.setattr(paths, name, value)
    monkeypatch.setattr(stack, "PROJECT_FILE", tmp_path / "Pulumi.yaml")
    monkeypatch.setattr(stack, "CONFIG", toolchain / "config")
    monkeypatch.setattr(pulumi_home, "ensure", lambda: None)
    monkeypatch.setattr(pulumi_home, "ensure_plan_home", lambda: toolchain / "plan-home")
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    _script(
        toolchain / "bin" / "pulumi",
        f'if [ "$1 $2" = "stack init" ]; then echo "encryptionsalt: v1:own" > "$6/Pulumi.$3.yaml"; fi\n'
        f'if [ "$1" = preview ]; then env > {tmp_path}/environment; echo "$@" > {tmp_path}/arguments\n'
        '  while [ "$1" != --event-log ]; do shift; done\n'
        f"  echo '{_EVENT}' > \"$2\"; exit $(cat {tmp_path}/status)\n"
        "fi\n",
    )
    _script(
        toolchain / "venv" / "bin" / "python",
        f'echo "$@" > {tmp_path}/summary-arguments; cat > {tmp_path}/summary-input\n'
        f"exit $(cat {tmp_path}/summary-status 2>/dev/null || echo 0)\n",
    )
    return tmp_path


def _script(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}")
    file.chmod(0o755)


def _status(*arguments: str) -> int:
    try:
        return cli.main(["preview", "--stack", "prod", *arguments])
    except SystemExit as end:
        return int(str(end.code))


def test_the_summary_gets_the_events_and_the_files_to_write(checkout: Path) -> None:
    assert _status("--summary", "a.md", "--summary", "/tmp/b.json") == 0
    assert (checkout / "summary-input").read_text() == f"{_EVENT}\n"
    written = f"--output {Path.cwd() / 'a.md'} --output /tmp/b.json"
    assert (checkout / "summary-arguments").read_text() == f"-m stacks.summary --stack prod {written}\n"


def test_the_status_is_the_engines(checkout: Path) -> None:
    (checkout / "status").write_text("7")
    (checkout / "summary-status").write_text("3")
    assert _status() == 7
    assert (checkout / "summary-input").exists()


def test_a_summary_that_fails_is_told(checkout: Path) -> None:
    (checkout / "summary-status").write_text("3")
    assert _status() == 3


def test_a_plan_on_local_state_sees_no_cloud_account(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "DOCKER_HOST"):
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("KUBECONFIG", "/mine")
    assert _status() == 0
    seen = (checkout / "environment").read_text().splitlines()
    assert not [line for line in seen if line.endswith("=mine")]
    # Neither anybody's cluster nor the embedded one, which is not that of stack prod.
    assert not [line for line in seen if line.startswith("KUBECONFIG=")]
    assert f"PULUMI_HOME={checkout}/.toolchain/plan-home" in seen


def test_a_teams_state_keeps_its_credentials(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://team")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    assert _status() == 0
    seen = (checkout / "environment").read_text().splitlines()
    assert "AWS_PROFILE=mine" in seen
    assert not [line for line in seen if line.endswith("/plan-home")]


def test_logs_get_neither_dots_nor_colours(checkout: Path) -> None:
    assert _status() == 0
    arguments = (checkout / "arguments").read_text()
    assert arguments.startswith("preview --non-interactive --suppress-progress --color never --event-log ")
