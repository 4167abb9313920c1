"""Writes the safetensors format: header length, JSON header, then the tensors' bytes.

Format: https://github.com/huggingface/safetensors (README, "Format"). Only the standard library is used, so
that the bytes depend on nothing but this file.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

HEADER_ALIGNMENT = 8
BFLOAT16_BYTES = 2


@dataclass(frozen=True)
class Bfloat16Tensor:
    """A tensor as little-endian bfloat16 values in row-major order."""

    shape: tuple[int, ...]
    data: bytes

    def __post_init__(self) -> None:
        expected = math.prod(self.shape) * BFLOAT16_BYTES
        if len(self.data) != expected:
            raise ValueError(f"tensor of shape {self.shape} needs {expected} bytes, got {len(self.data)}")


def serialize(tensors: Mapping[str, Bfloat16Tensor]) -> bytes:
    """The file's bytes; tensors are laid out in the order of their names."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        end = offset + len(tensor.data)
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % HEADER_ALIGNMENT)
    return (
        struct.pack("<Q", len(encoded)) + encoded + b"".join(tensors[name].data for name in sorted(tensors))
    )
