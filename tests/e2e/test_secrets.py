"""What is secret on this machine is in no state, backup, export or log."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from tests.harness.engine import Engine
from toolchain import paths


def _secrets() -> dict[str, bytes]:
    """The passphrase of the state, and the private key of the cluster's administrator in both forms."""
    (user,) = yaml.safe_load(paths.KUBECONFIG.read_text())["users"]
    encoded = user["user"]["client-key-data"]
    key = base64.b64decode(encoded)
    return {
        "passphrase": paths.PASSPHRASE_FILE.read_bytes().strip(),
        "client key, base64": encoded[64:160].encode(),
        "client key": key.splitlines()[1],
    }


def _found(secret: bytes, folders: list[Path]) -> list[Path]:
    files = [
        file for folder in folders for file in folder.rglob("*") if file.is_file() and not file.is_symlink()
    ]
    return [file for file in files if secret in file.read_bytes()]


def test_f57_no_state_backup_or_log_holds_a_secret(engine: Engine) -> None:
    secrets = _secrets()
    assert all(len(secret) >= 32 for secret in secrets.values())
    export = engine.run("stack", "export", "--show-secrets").succeeded().stdout.encode()
    for name, secret in secrets.items():
        assert secret not in export, f"the exported state holds the {name}"
        assert _found(secret, [paths.BACKEND, paths.LOGS]) == [], name


def test_secret_files_are_for_their_owner_only(engine: Engine) -> None:
    for file in (paths.KUBECONFIG, paths.PASSPHRASE_FILE):
        assert file.stat().st_mode & 0o077 == 0, f"{file.name} is readable by others"
