"""Weights from SHAKE-256 of each tensor's name: the same bytes on every machine, with every Python."""

from __future__ import annotations

import hashlib
import math
import struct

from toolchain.model import architecture, tokens
from toolchain.model.safetensors import BFLOAT16_BYTES, Bfloat16Tensor

SEED = "autoglm-platform tiny glm4v 1"
LM_HEAD = "lm_head.weight"


def bfloat16(value: float) -> bytes:
    """The two little-endian bytes of ``value`` cut to bfloat16."""
    return struct.pack("<f", value)[2:]


def _constant(shape: tuple[int, ...], value: float) -> bytes:
    return bfloat16(value) * math.prod(shape)


def _uniform(name: str, shape: tuple[int, ...]) -> bytes:
    """Uniform in ±sqrt(3 / fan in), which keeps the variance of activations at one."""
    fan_in = math.prod(shape[1:])
    bound = math.sqrt(3 / fan_in)
    values = [bfloat16((byte - 127.5) / 127.5 * bound) for byte in range(256)]
    noise = hashlib.shake_256(f"{SEED}\n{name}".encode()).digest(math.prod(shape))
    return b"".join(map(values.__getitem__, noise))


def _printable_rows(data: bytes, rows: int) -> bytes:
    """``data`` with the rows of all but printable ASCII zeroed.

    Greedy decoding then always picks a printable character: answers are readable JSON strings, and no end
    token cuts them short of ``max_tokens``.
    """
    width = len(data) // rows
    zero = bytes(width)
    printable = tokens.printable_ids()
    return b"".join(data[i * width : (i + 1) * width] if i in printable else zero for i in range(rows))


def tensor(name: str, shape: tuple[int, ...]) -> Bfloat16Tensor:
    """The tensor called ``name``: norms are one, biases zero, all else noise."""
    if name.endswith(".bias"):
        data = _constant(shape, 0.0)
    elif len(shape) == 1:
        data = _constant(shape, 1.0)
    else:
        data = _uniform(name, shape)
        if name == LM_HEAD:
            data = _printable_rows(data, shape[0])
    return Bfloat16Tensor(shape, data)


def tensors() -> dict[str, Bfloat16Tensor]:
    """Every tensor of the checkpoint by name."""
    return {name: tensor(name, shape) for name, shape in architecture.tensor_shapes()}


def parameters() -> int:
    """How many numbers the checkpoint holds."""
    return sum(len(item.data) // BFLOAT16_BYTES for item in tensors().values())
