"""A chat request with a picture of a phone's screen in it, ready for ``curl``."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Final

from toolchain import paths

WIDTH: Final = 540
HEIGHT: Final = 1200
"""Half of a common phone's 1080×2400 pixels, in pixels."""

_BACKGROUND: Final = (244, 245, 247)
_RECTANGLES: Final = (
    # left, top, right, bottom in pixels, colour: a title bar, four list rows, a button
    (0, 0, 540, 96, (33, 82, 196)),
    (24, 128, 516, 288, (255, 255, 255)),
    (24, 312, 516, 472, (255, 255, 255)),
    (24, 496, 516, 656, (255, 255, 255)),
    (24, 680, 516, 840, (255, 255, 255)),
    (48, 1056, 492, 1152, (18, 150, 90)),
)


def screenshot() -> bytes:
    """A PNG of :data:`WIDTH` × :data:`HEIGHT` pixels that looks like an application's screen."""
    rows = [bytearray(bytes(_BACKGROUND) * WIDTH) for _ in range(HEIGHT)]
    for left, top, right, bottom, colour in _RECTANGLES:
        for row in rows[top:bottom]:
            row[left * 3 : right * 3] = bytes(colour) * (right - left)
    return png(WIDTH, HEIGHT, rows)


def png(width: int, height: int, rows: list[bytearray]) -> bytes:
    """Encode rows of 8-bit RGB pixels (PNG specification, third edition)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\x00" + row for row in rows), 9)  # filter 0 on every row
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_chat(model: str) -> Path:
    """Write the body of a ``/v1/chat/completions`` request for ``model``."""
    picture = base64.b64encode(screenshot()).decode("ascii")
    body = {
        "model": model,
        "max_tokens": 32,
        "temperature": 0,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
                    {"type": "text", "text": "Open the second entry of the list."},
                ],
            }
        ],
    }
    paths.EXAMPLES.mkdir(parents=True, exist_ok=True)
    file = paths.EXAMPLES / "chat.json"
    file.write_text(json.dumps(body), encoding="utf-8")
    return file
