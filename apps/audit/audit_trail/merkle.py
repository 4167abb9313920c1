"""Digest of a sequence of lines: the Merkle tree hash of RFC 6962, section 2.1, with SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_LEAF, _NODE = b"\x00", b"\x01"


def leaf(line: bytes) -> bytes:
    """Digest of one line."""
    return hashlib.sha256(_LEAF + line).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Digest of lines from theirs. Where a level has an odd number, the last one moves up as it is: the same
    tree as the RFC's, which splits at the largest power of two."""
    level = list(leaves)
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > 1:
        pairs = [
            hashlib.sha256(_NODE + level[index] + level[index + 1]).digest()
            for index in range(0, len(level) - 1, 2)
        ]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]
