"""Ed25519 keys (RFC 8032) in PEM: one signs, all that ever did verify."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from audit_trail.errors import Refused

_ID: Final = 32
"""Hexadecimal digits of a key's id: 128 bits, so that nobody finds a second key with the same."""


def key_id(key: Ed25519PublicKey) -> str:
    """Begin of the SHA-256 of the public key: an id names one key and no other."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:_ID]


@dataclass(frozen=True)
class Ring:
    """Public keys, in the order in which they have signed."""

    keys: tuple[Ed25519PublicKey, ...]

    def position(self, identifier: str) -> int | None:
        """Which of the keys it is; None for a key that is not in the ring."""
        return next((index for index, key in enumerate(self.keys) if key_id(key) == identifier), None)

    def valid(self, identifier: str, signature: bytes, content: bytes) -> bool:
        """Whether that key has signed that content."""
        position = self.position(identifier)
        if position is None:
            return False
        try:
            self.keys[position].verify(signature, content)
        except InvalidSignature:
            return False
        return True


def load_private(path: Path) -> Ed25519PrivateKey:
    """The key that signs; what is in the file is never repeated in an error."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise Refused(str(path), "no such file; make a key with `keygen`") from None
    except (ValueError, TypeError):
        raise Refused(str(path), "no private key in PEM without password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Refused(str(path), "no Ed25519 key; make one with `keygen`")
    return key


def load_ring(paths: Sequence[Path]) -> Ring:
    """Public keys from files, and from folders with *.pem, whose names give the order."""
    files: list[Path] = []
    for path in paths:
        files += sorted(path.glob("*.pem")) if path.is_dir() else [path]
    keys = []
    for file in files:
        try:
            key = load_pem_public_key(file.read_bytes())
        except FileNotFoundError:
            raise Refused(str(file), "no such file") from None
        except ValueError:
            raise Refused(str(file), "no public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise Refused(str(file), "no Ed25519 key")
        keys.append(key)
    if not keys:
        raise Refused("--public-key", "no key; without one nothing can be verified")
    return Ring(tuple(keys))


def generate(private: Path, public: Path) -> str:
    """Write a new pair, the private key for its owner alone; returns its id.

    :raises Refused: there is a key already.
    """
    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(str(private), "exists already, and is not written over") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return key_id(key.public_key())
