"""Versions of the dev model beside the published one, good and damaged."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.harness.engine import Settings
from toolchain import paths

MODEL = "autoglm-phone-9b"
WEIGHTS = "model.safetensors"
SUMS = "SHA256SUMS"

Damage = Callable[[Path], None]


def flip_a_byte(folder: Path) -> None:
    """Change one bit of the weights."""
    file = folder / WEIGHTS
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def remove_a_file(folder: Path) -> None:
    """Leave out the configuration."""
    (folder / "config.json").unlink()


def add_a_file(folder: Path) -> None:
    """Slip in code that nobody pinned."""
    (folder / "modeling_extra.py").write_text("raise SystemExit\n", encoding="utf-8")


def link_a_file(folder: Path) -> None:
    """Replace the configuration by a link to the same content."""
    file = folder / "config.json"
    content = file.read_bytes()
    file.unlink()
    (folder.parent / f"{folder.name}.target").write_bytes(content)
    file.symlink_to(f"../{folder.name}.target")


def truncate(folder: Path) -> None:
    """End the weights half-way, as an interrupted download does."""
    file = folder / WEIGHTS
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


DAMAGES: Mapping[str, tuple[Damage, str, str]] = {
    "flipped byte": (flip_a_byte, WEIGHTS, "SHA-256"),
    "missing file": (remove_a_file, "config.json", "missing"),
    "extra file": (add_a_file, "modeling_extra.py", "not in the pinned list"),
    "symbolic link": (link_a_file, "config.json", "symbolic link"),
    "truncated file": (truncate, WEIGHTS, "SHA-256"),
}
"""By name: what is done, the file that the refusal names, and a part of its reason."""


def publish_next_version(name: str) -> tuple[Path, str]:
    """A second version of the model, published as `name`: its folder, and the SHA256SUMS that settings pin.

    It differs from the first, and from every other one, by white space at the end of its configuration:
    any engine serves it alike. A version that was once published stays in the store and is served without its
    source.
    """
    folder = paths.PUBLISHED_MODELS / name
    withdraw(name)
    shutil.copytree(paths.PUBLISHED_MODELS / MODEL, folder)
    with (folder / "config.json").open("ab") as file:
        file.write(bytes(secrets.choice(b" \t\n") for _ in range(40)))
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in files
    ]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    return folder, "".join(lines)


def withdraw(name: str) -> None:
    """Remove what `publish_next_version` made."""
    shutil.rmtree(paths.PUBLISHED_MODELS / name, ignore_errors=True)
    (paths.PUBLISHED_MODELS / f"{name}.target").unlink(missing_ok=True)


def pin(name: str, sums: str) -> Callable[[Settings], None]:
    """Change of the settings: fetch `name` and accept only `sums`."""

    def change(settings: Settings) -> None:
        model = settings["models"][0]
        model["source"]["path"] = name
        model["sha256Sums"] = sums
        model["revision"] = "e2e-next"

    return change
