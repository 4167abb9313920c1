"""Closing a day: its digest, signed together with the signature of the day before.

Whoever changes a sealed day has to sign it again, and every day since; without the private key nobody can,
and whoever has an older copy of any later seal sees it even if somebody has the key.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_trail import merkle, metrics
from audit_trail.errors import Refused, Unreadable
from audit_trail.keys import key_id
from audit_trail.metrics import Metric, single
from audit_trail.records import canonical
from audit_trail.store import Store, sync_folder, write

VERSION: Final = 1
DAY: Final = timedelta(days=1)
GRACE: Final = timedelta(hours=1)
"""After the end of a day its last records still arrive."""


@dataclass(frozen=True)
class Seal:
    """What is signed of a day."""

    version: int
    trail: str
    """Which trail it is: seals of one are none of another."""
    day: str
    count: int
    """Records of the day; 0 for a day without any, which is sealed all the same."""
    digest: str
    """Merkle tree hash over the day's lines, hexadecimal."""
    first: str | None
    """Id of the first record."""
    last: str | None
    """Id of the last record."""
    previous: str | None
    """Signature of the day before, base64; None for the first day of the trail."""
    key: str
    """Id of the key that signs."""
    signature: str = ""
    """Ed25519 over the canonical JSON of all the rest, base64."""

    def content(self) -> bytes:
        """What the signature is made of."""
        values = asdict(self)
        del values["signature"]
        return canonical(values)

    def signed(self, key: Ed25519PrivateKey) -> Seal:
        """The same with its signature."""
        values = asdict(self)
        return Seal(**{**values, "signature": base64.b64encode(key.sign(self.content())).decode()})

    def raw_signature(self) -> bytes:
        """The signature's bytes; empty if there is none."""
        try:
            return base64.b64decode(self.signature, validate=True)
        except (binascii.Error, ValueError):
            return b""


_CHUNK: Final = 1 << 20

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "version": (int,),
    "trail": (str,),
    "day": (str,),
    "count": (int,),
    "digest": (str,),
    "first": (str, type(None)),
    "last": (str, type(None)),
    "previous": (str, type(None)),
    "key": (str,),
    "signature": (str,),
}


def parse(content: bytes) -> Seal:
    """A seal from its file.

    :raises Unreadable: it is none.
    """
    try:
        values: Any = json.loads(content)
    except ValueError:
        raise Unreadable("no JSON") from None
    if not isinstance(values, dict) or set(values) != set(_TYPES):
        raise Unreadable("not the fields of a seal")
    for key, types in _TYPES.items():
        if type(values[key]) not in types:
            raise Unreadable(f"field {key!r} of a wrong type")
    if values["version"] != VERSION:
        raise Unreadable(f"version {values['version']}, which this program does not know")
    if not re.fullmatch(r"[0-9a-f]{64}", values["digest"]):
        raise Unreadable("digest is no SHA-256")
    found = Seal(**values)
    if (
        content != canonical(values) + b"\n"
        or found.signature != base64.b64encode(found.raw_signature()).decode()
    ):
        raise Unreadable("not in canonical form")
    return found


def read(store: Store, day: date) -> Seal | None:
    """Seal of a day; None if it has none.

    :raises Unreadable: the file is no seal.
    """
    try:
        return parse(store.seal(day).read_bytes())
    except FileNotFoundError:
        return None


def lines_of(path: Path) -> Iterator[bytes]:
    """Lines with their ends; what follows the last end is a line of its own. One is in memory at a time."""
    with path.open("rb") as file:
        yield from file


def leaves_file(leaves: Sequence[bytes]) -> bytes:
    """Content of the file with the digests of a day's lines."""
    return b"".join(leaf.hex().encode() + b"\n" for leaf in leaves)


def last_day(now: datetime) -> date:
    """The newest day that is over, with everything that belongs to it."""
    return (now.astimezone(UTC) - GRACE).date() - DAY


def seal_days(
    store: Store,
    key: Ed25519PrivateKey,
    trail: str,
    until: date,
    report: Callable[[str], None],
    *,
    retention_days: int | None = None,
) -> list[Seal]:
    """Seal every day up to `until` that is not sealed, in order; returns the new seals.

    :param retention_days: records of sealed days older than this, seen from `until`, are removed; their seals
        stay.
    :raises Refused: the newest seal cannot be read or is of another trail; nothing is added to it then.
    """
    store.create()
    made: list[Seal] = []
    with store.sealing(), store.locked():
        previous, day = _continue(store, trail)
        if day is None:
            report("no records yet; the trail begins with the first")
        while day is not None and day <= until:
            seal = _seal_day(store, key, trail, day, previous)
            made.append(seal)
            report(f"{day}: {seal.count} records, digest {seal.digest[:16]}…, key {seal.key[:8]}…")
            previous, day = seal.signature, day + DAY
        if retention_days is not None:
            _expire(store, until - timedelta(days=retention_days), report)
    _tell(store)
    return made


def _continue(store: Store, trail: str) -> tuple[str | None, date | None]:
    """Signature to go on from, and the day to seal next; no day while there is nothing to seal."""
    sealed, recorded = store.days("seals", ".json"), store.days("records", ".jsonl")
    if not sealed:
        return None, recorded[0] if recorded else None
    try:
        newest = read(store, sealed[-1])
    except Unreadable as error:
        raise Refused(f"seals/{sealed[-1]}.json", f"{error}; run `verify`") from None
    assert newest is not None
    if newest.trail != trail or newest.day != str(sealed[-1]):
        raise Refused(
            f"seals/{sealed[-1]}.json", f"is of trail {newest.trail!r}, day {newest.day}; run `verify`"
        )
    return newest.signature, sealed[-1] + DAY


def _seal_day(store: Store, key: Ed25519PrivateKey, trail: str, day: date, previous: str | None) -> Seal:
    leaves: list[bytes] = []
    first = last = b""
    for line in _committed(store, day):
        leaves.append(merkle.leaf(line))
        first, last = first or line, line
    seal = Seal(
        version=VERSION,
        trail=trail,
        day=str(day),
        count=len(leaves),
        digest=merkle.root(leaves).hex(),
        first=_id(first),
        last=_id(last),
        previous=previous,
        key=key_id(key.public_key()),
    ).signed(key)
    write(store.leaves(day), leaves_file(leaves))
    # The seal last: a day is sealed when it is there.
    write(store.seal(day), canonical(asdict(seal)) + b"\n")
    return seal


def _committed(store: Store, day: date) -> Iterator[bytes]:
    """Lines of a day that the collector has noted; what a crash left beyond them is cut off."""
    path = store.records(day)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return
    noted = (store.state() or {}).get("lengths", {}).get(f"records/{day}.jsonl")
    end = min(noted, size) if noted is not None else _end_of_lines(path, size)
    if end < size:
        _cut(path, end)
    yield from lines_of(path)


def _end_of_lines(path: Path, size: int) -> int:
    """Where the last complete line ends."""
    rest = 0
    for line in lines_of(path):
        rest = 0 if line.endswith(b"\n") else len(line)
    return size - rest


def _cut(path: Path, end: int) -> None:
    """Replace a file, which belongs to the collector, by its beginning."""
    partial = path.with_name(f".{path.name}.partial")
    with path.open("rb") as source, partial.open("wb") as target:
        while end and (chunk := source.read(min(end, _CHUNK))):
            target.write(chunk)
            end -= len(chunk)
        target.flush()
        os.fsync(target.fileno())
    partial.chmod(0o640)
    partial.replace(path)
    sync_folder(path.parent)


def _id(line: bytes) -> str | None:
    """Id of a record; None for a line that has none."""
    try:
        found = json.loads(line).get("id")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _expire(store: Store, before: date, report: Callable[[str], None]) -> None:
    for day in store.days("records", ".jsonl"):
        if day < before and store.seal(day).exists():
            store.records(day).unlink()
            store.leaves(day).unlink(missing_ok=True)
            report(f"{day}: kept for its time, records removed, seal stays")
    for day in store.days("refused", ".jsonl"):
        if day < before:
            store.refused(day).unlink()


def _tell(store: Store) -> None:
    sealed = store.days("seals", ".json")
    if not sealed:
        return
    newest = read(store, sealed[-1])
    begin = datetime(sealed[-1].year, sealed[-1].month, sealed[-1].day, tzinfo=UTC).timestamp()
    metrics.save(
        store,
        "seal",
        [
            Metric(
                "audit_sealed_day_timestamp_seconds",
                "gauge",
                "Begin of the newest sealed day.",
                single(begin),
            ),
            Metric(
                "audit_sealed_records",
                "gauge",
                "Records of the newest sealed day.",
                single(newest.count if newest else 0),
            ),
        ],
    )
