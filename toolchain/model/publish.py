"""Lays the model out as a source to fetch from, with the ``SHA256SUMS`` that pin it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

from toolchain import paths
from toolchain.model import architecture, safetensors, tokens, weights

MODEL_NAME: Final = "autoglm-phone-9b"
SUMS_FILE: Final = "SHA256SUMS"


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=True, sort_keys=True) + "\n").encode()


def files() -> dict[str, bytes]:
    """Every file of the model by name."""
    return {
        "chat_template.jinja": tokens.CHAT_TEMPLATE.encode(),
        "config.json": _json(architecture.model_config()),
        "generation_config.json": _json(architecture.generation_config()),
        "model.safetensors": safetensors.serialize(weights.tensors()),
        "preprocessor_config.json": _json(architecture.image_processor_config()),
        "tokenizer.json": _json(tokens.tokenizer()),
        "tokenizer_config.json": _json(tokens.tokenizer_config()),
        "video_preprocessor_config.json": _json(architecture.video_processor_config()),
    }


def sha256sums(content: dict[str, bytes] | None = None) -> str:
    """The model's ``SHA256SUMS``: ``<64 hex>  <name>``, sorted by name."""
    content = files() if content is None else content
    return "".join(f"{hashlib.sha256(content[name]).hexdigest()}  {name}\n" for name in sorted(content))


def _is_published(folder: Path, content: dict[str, bytes]) -> bool:
    if not folder.is_dir() or {entry.name for entry in folder.iterdir()} != set(content):
        return False
    return all((folder / name).read_bytes() == data for name, data in content.items())


def publish(root: Path | None = None) -> Path:
    """Write the model below ``root`` (default: the toolchain's published models) and return its folder.

    A folder that is already right is left alone; one that differs is replaced as a whole.
    """
    root = paths.PUBLISHED_MODELS if root is None else root
    folder = root / MODEL_NAME
    model = files()
    content = {**model, SUMS_FILE: sha256sums(model).encode()}
    if _is_published(folder, content):
        return folder
    root.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{MODEL_NAME}.", dir=root))
    try:
        for name, data in content.items():
            (staging / name).write_bytes(data)
            (staging / name).chmod(0o644)
        # mkdtemp gives 0700, but the fetch Job reads as an unprivileged user.
        staging.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(staging, folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return folder
