"""Container images by name, always with digest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from stacks.problems import Problem
from stacks.settings.images import IMAGE_REFERENCE, LocalImages, RegistryImages

VERIFIER = "weights"
ENGINES = {"cpu": "vllm-cpu", "cuda": "vllm", "tpu": "vllm-tpu"}
"""Image of vLLM by device."""
DEVICE_PLUGIN = "nvidia-device-plugin"
VIRTUAL_IP = "virtual-ip"
AUTOSCALER = "cluster-autoscaler"


def resolve_images(
    images: LocalImages | RegistryImages, root: Path
) -> tuple[Mapping[str, str], list[Problem]]:
    """References by name, and what is wrong with them."""
    if isinstance(images, RegistryImages):
        return images.references, []
    path = root / images.file
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["images"]
        references = {name: str(entry["reference"]) for name, entry in listed.items()}
    except FileNotFoundError:
        fix = "build the images with `python3 -m toolchain images`, or name those of a registry"
        return {}, [Problem("images.file", f"{images.file!r}: no such file; {fix}")]
    except (ValueError, KeyError, TypeError, AttributeError):
        fix = "rebuild it with `python3 -m toolchain images`"
        return {}, [Problem("images.file", f"{images.file!r}: not a list of images; {fix}")]
    loose = [name for name, reference in references.items() if not re.match(IMAGE_REFERENCE, reference)]
    return references, [
        Problem("images.file", f"{images.file!r}: {name} is not pinned by digest; rebuild the images")
        for name in loose
    ]
