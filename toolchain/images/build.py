"""Builds every local image, records their references, and imports them into containerd."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

from toolchain import paths
from toolchain.errors import ToolchainError
from toolchain.images import definitions, oci
from toolchain.images.definitions import LocalImage
from toolchain.progress import step

NAMESPACE: Final = ("-n", "k8s.io")
"""containerd's namespace of the kubelet's images."""

# The kubelet's garbage collection leaves an image with this label alone: nothing could pull it again.
_PINNED: Final = "io.cri-containerd.pinned=pinned"


def build_all() -> dict[str, LocalImage]:
    """Build what is missing and write ``images.json``: name → reference by digest, version."""
    images = {name: build() for name, build in definitions.IMAGES.items()}
    document = {
        "images": {
            name: {"reference": image.reference, "version": image.version} for name, image in images.items()
        }
    }
    _write_if_changed(paths.IMAGES_FILE, json.dumps(document, indent=2, sort_keys=True) + "\n")
    return images


def import_into(ctr: Sequence[str | Path]) -> None:
    """Import the images that containerd lacks.

    :param ctr: command that runs ``ctr`` on the right socket; its standard input is used.
    """
    command = [*(str(part) for part in ctr), *NAMESPACE]
    present = set(_output([*command, "images", "ls", "-q"]).split())
    for image in build_all().values():
        references = [image.reference, image.tag]
        if present.issuperset(references):
            continue
        # Of a changed application, only the small layer is new.
        content = set(_output([*command, "content", "ls", "-q"]).split())
        size = sum(blob.size for blob in image.image.blobs if blob.digest not in content)
        with step(f"import {image.name} ({size / 1e6:.0f} MB)"):
            _import(command, image, references, content)
            for reference in references:
                _output([*command, "images", "label", reference, _PINNED])


def archive(image: LocalImage, destination: Path) -> None:
    """Write an image's archive to a file, for another machine's containerd."""
    with destination.open("wb") as out:
        oci.write_archive(out, image.image, [image.reference, image.tag])


def _import(command: list[str], image: LocalImage, references: list[str], content: Collection[str]) -> None:
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [*command, "images", "import", "--local", "-"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        assert child.stdin is not None
        try:
            with child.stdin as pipe:
                oci.write_archive(pipe, image.image, references, present=content)
        except BrokenPipeError:
            pass  # ctr's own message says more.
        finally:
            status = child.wait()
        if status != 0:
            log.seek(0)
            said = log.read().decode(errors="replace").strip()
            raise ToolchainError(
                f"containerd refused image {image.reference}: {said[-1000:]}; is the disk full?"
            )


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolchainError(f"{' '.join(command)}: {done.stderr.strip()}; is the cluster up?")
    return done.stdout


def _write_if_changed(file: Path, text: str) -> None:
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)


def references() -> dict[str, Any]:
    """The content of ``images.json``."""
    document: dict[str, Any] = json.loads(paths.IMAGES_FILE.read_text(encoding="utf-8"))
    return document
