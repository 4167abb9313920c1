"""One form for every audit record, wherever it comes from.

`docs/audit.schema.json` is generated from here: `python -m audit_trail schema`.
"""

from __future__ import annotations

import builtins
import hashlib
import ipaddress
import json
import re
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from typing import Any, Final

from audit_trail.errors import Unreadable

KUBERNETES: Final = "kubernetes"
GATEWAY: Final = "gateway"
MODEL: Final = "model"
ANOMALY: Final = "anomaly"
SOURCES: Final = (KUBERNETES, GATEWAY, MODEL, ANOMALY)

SUCCESS: Final = "success"
DENIED: Final = "denied"
FAILURE: Final = "failure"
RAISED: Final = "raised"
RESULTS: Final = (SUCCESS, DENIED, FAILURE, RAISED)

TEXT: Final = 1024
"""Longest text of a field, in characters; what is longer is cut, and ends with an ellipsis."""

_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_ID: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Record:
    """Who did what to what, from where, and with what result."""

    id: str
    """SHA-256 of what identifies the line that it was read from: the same line has the same id."""
    timestamp: str
    """When it was asked for: UTC with microseconds, RFC 3339."""
    source: str
    """`kubernetes`: API server. `gateway`: proxy of the model API. `model`: model server. `anomaly`: rule."""
    action: str
    """Verb of the Kubernetes API, its subresource where that is the action (exec), an HTTP method, a rule."""
    resource: str
    """`resource[.group][/subresource]` of the Kubernetes API; the path, without query, of an HTTP request."""
    result: str
    """`success`, `denied` (401, 403), `failure`, or `raised` by a rule."""
    user: str | None = None
    """Who asked, where the source knows it."""
    ip: str | None = None
    """Address that the request came from."""
    status: int | None = None
    """HTTP status."""
    trace_id: str | None = None
    """W3C trace id, 32 hexadecimal digits; the audit id of a Kubernetes request."""
    namespace: str | None = None
    """Namespace of the Kubernetes object."""
    name: str | None = None
    """Name of the Kubernetes object."""
    bytes: int | None = None
    """Bytes sent to the client."""
    node: str | None = None
    """Node whose log it was read from."""
    detail: str | None = None
    """What a rule has seen."""

    @property
    def day(self) -> date:
        """UTC day of the timestamp."""
        return date.fromisoformat(self.timestamp[:10])

    def line(self) -> builtins.bytes:
        """Canonical JSON (sorted keys, no spaces, UTF-8) without what is unknown, and a line feed."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return canonical({key: value for key, value in values.items() if value is not None}) + b"\n"


def canonical(value: Any) -> bytes:
    """The one text of a value that has no floats: what digests and signatures are made of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def identity(*parts: str) -> str:
    """Identity of a record, from what identifies its line."""
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def text(value: object) -> str | None:
    """A text of a field, cut to what a field holds; None for what is no text or empty."""
    if not isinstance(value, str) or not value:
        return None
    # A surrogate cannot be written as UTF-8; the line came with broken bytes or escapes.
    clean = value.encode("utf-8", "replace").decode()
    return clean if len(clean) <= TEXT else clean[: TEXT - 1] + "…"


def utc(moment: datetime) -> str:
    """A moment as records have it. A moment without zone is refused, not guessed."""
    if moment.tzinfo is None:
        raise Unreadable("a time without zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(value: object) -> str:
    """The timestamp of RFC 3339 text with any number of digits of a second."""
    match = re.fullmatch(
        r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)",
        value if isinstance(value, str) else "",
    )
    if match is None:
        raise Unreadable("no timestamp")
    seconds, fraction, zone = match.groups()
    try:
        return utc(
            datetime.fromisoformat(f"{seconds}.{(fraction or '0')[:6]:0<6}{zone.replace('Z', '+00:00')}")
        )
    except (ValueError, OverflowError):
        raise Unreadable("a timestamp that no calendar has") from None


def address(value: object) -> str | None:
    """An address in its usual text; IPv4 in IPv6 as IPv4; None for what is none."""
    try:
        found = ipaddress.ip_address(value if isinstance(value, str) else "")
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def result_of(status: int) -> str:
    """Result that an HTTP status stands for."""
    if status in (401, 403):
        return DENIED
    return SUCCESS if status < 400 else FAILURE


_NAME: Final = 64
"""Characters of an unknown field's name that are told."""
_NUMBERS: Final = {"status": (100, 599), "bytes": (0, 1 << 63)}
_REQUIRED: Final = ("id", "timestamp", "source", "action", "resource", "result")


def from_values(values: object) -> Record:
    """A record from the fields of a JSON object, none of them trusted.

    :raises Unreadable: it is none; the message names the field, and repeats no value.
    """
    if not isinstance(values, dict):
        raise Unreadable("no object")
    known = {one.name for one in fields(Record)}
    if unknown := sorted(set(values) - known):
        raise Unreadable(f"unknown field {unknown[0][:_NAME]!r}")
    if missing := [name for name in _REQUIRED if name not in values]:
        raise Unreadable(f"no field {missing[0]!r}")
    for key, value in values.items():
        if key in _NUMBERS:
            low, high = _NUMBERS[key]
            if type(value) is not int or not low <= value <= high:
                raise Unreadable(f"field {key!r} is no number from {low} to {high}")
        elif not isinstance(value, str) or len(value) > TEXT or not _encodes(value):
            raise Unreadable(f"field {key!r} is no text of at most {TEXT} characters")
    record = Record(**values)
    if not _TIMESTAMP.fullmatch(record.timestamp) or not _ID.fullmatch(record.id):
        raise Unreadable("timestamp or id not as records have it")
    if parse_time(record.timestamp) != record.timestamp:
        raise Unreadable("a timestamp that no calendar has")
    if record.source not in SOURCES or record.result not in RESULTS:
        raise Unreadable("unknown source or result")
    return record


def _encodes(value: str) -> bool:
    """Whether UTF-8 has it: JSON's escapes can name half a character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse(line: bytes) -> Record:
    """A record from its canonical line.

    :raises Unreadable: it is none, or not in its canonical form.
    """
    try:
        values = json.loads(line)
    except ValueError:
        raise Unreadable("no JSON") from None
    record = from_values(values)
    if record.line() != line:
        raise Unreadable("not in canonical form")
    return record


def _docstrings() -> dict[str, str]:
    import ast
    import inspect
    import textwrap

    body = ast.parse(textwrap.dedent(inspect.getsource(Record))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[before.target.id] = " ".join(str(after.value.value).split())
    return found


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a record."""
    special: dict[str, dict[str, Any]] = {
        "id": {"type": "string", "pattern": f"^{_ID.pattern}$"},
        "timestamp": {"type": "string", "format": "date-time", "pattern": f"^{_TIMESTAMP.pattern}$"},
        "source": {"enum": list(SOURCES)},
        "result": {"enum": list(RESULTS)},
        **{
            name: {"type": "integer", "minimum": low, "maximum": high}
            for name, (low, high) in _NUMBERS.items()
        },
    }
    told = _docstrings()
    properties = {
        one.name: {
            "description": told[one.name],
            **special.get(one.name, {"type": "string", "maxLength": TEXT}),
        }
        for one in fields(Record)
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Audit record",
        "description": "Who did what to what, from where, and with what result. One line of the trail.",
        "type": "object",
        "additionalProperties": False,
        "required": list(_REQUIRED),
        "properties": properties,
    }
