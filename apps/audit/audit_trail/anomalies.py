"""Rules over records: what deserves that somebody looks.

Each rule is raised once for who or what it is about, then not again before its window is over. What a rule
remembers is plain data, so that the collector can note it together with what it has written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from audit_trail.errors import Refused
from audit_trail.records import ANOMALY, DENIED, KUBERNETES, RAISED, SUCCESS, Record, identity, text

BULK_EXPORT: Final = "bulk-export-at-night"
UNUSUAL_ADMIN: Final = "unusual-admin"
DENIALS: Final = "denials"
RULES: Final = (BULK_EXPORT, UNUSUAL_ADMIN, DENIALS)

_READS: Final = frozenset({"get", "list", "GET"})
_WAYS_IN: Final = frozenset({"exec", "attach", "portforward", "proxy", "ephemeralcontainers"})
_CHANGES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_ADMINISTRATION: Final = frozenset(
    {"rbac.authorization.k8s.io", "admissionregistration.k8s.io", "certificates.k8s.io"}
)
_SUBJECTS: Final = 10_000
"""Most users or addresses that a rule remembers; the one seen longest ago is forgotten first."""


@dataclass(frozen=True)
class Thresholds:
    """When a rule is raised."""

    time_zone: str = "UTC"
    """Zone that the night is in (IANA name)."""
    night_begins: int = 22
    """Hour of the evening."""
    night_ends: int = 6
    """Hour of the morning; the same hour as the beginning makes no night."""
    export_reads: int = 500
    """Reads by one user or address within the window, at night."""
    export_bytes: int = 1 << 30
    """Bytes sent to one address within the window, at night."""
    denials: int = 20
    """Denied requests from one address within the window."""
    window_seconds: int = 600
    """Length of the window."""
    learning_days: int = 7
    """Days from the first record on in which users' first deeds are learned and not raised."""
    ignored_users: tuple[str, ...] = ("system:apiserver",)
    """Users that no rule looks at; their records are kept all the same."""


@dataclass
class _Window:
    """What one user or address did within the current window."""

    begin: float
    count: int = 0
    size: int = 0
    raised: bool = False


@dataclass
class Detector:
    """The rules, and what they remember."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    windows: dict[str, dict[str, _Window]] = field(default_factory=dict)
    """By rule and by user or address."""
    deeds: dict[str, float] = field(default_factory=dict)
    """When `user|kind of deed` was seen last."""
    began: float | None = None
    """Time of the first record."""

    def __post_init__(self) -> None:
        try:
            self._zone = ZoneInfo(self.thresholds.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise Refused("--time-zone", f"{self.thresholds.time_zone!r}: no such zone") from None

    def observe(self, record: Record) -> list[Record]:
        """What a record raises."""
        if record.source == ANOMALY or record.user in self.thresholds.ignored_users:
            return []
        moment = datetime.fromisoformat(record.timestamp)
        now = moment.timestamp()
        if self.began is None:
            self.began = now
        return [
            *self._bulk_export(record, moment, now),
            *self._unusual_admin(record, now),
            *self._denials(record, now),
        ]

    def at_night(self, moment: datetime) -> bool:
        """Whether it is night in the zone of the settings."""
        hour = moment.astimezone(self._zone).hour
        begins, ends = self.thresholds.night_begins, self.thresholds.night_ends
        return begins <= hour < ends if begins <= ends else hour >= begins or hour < ends

    def _bulk_export(self, record: Record, moment: datetime, now: float) -> Iterator[Record]:
        subject = record.user or record.ip
        exported = record.bytes or 0
        if subject is None or record.result != SUCCESS or not (record.action in _READS or exported):
            return
        if not self.at_night(moment):
            return
        window = self._window(BULK_EXPORT, subject, now)
        window.count += record.action in _READS
        window.size += exported
        limits = self.thresholds
        if not window.raised and (window.count >= limits.export_reads or window.size >= limits.export_bytes):
            window.raised = True
            yield _raised(
                BULK_EXPORT,
                record,
                f"{window.count} reads and {window.size} bytes within {limits.window_seconds} s",
            )

    def _unusual_admin(self, record: Record, now: float) -> Iterator[Record]:
        deed = _deed(record)
        if deed is None or record.user is None or self.began is None:
            return
        key = f"{record.user}|{deed}"
        known = key in self.deeds
        self.deeds.pop(key, None)
        self.deeds[key] = now
        if len(self.deeds) > _SUBJECTS:
            del self.deeds[next(iter(self.deeds))]
        if not known and now - self.began >= self.thresholds.learning_days * 86400:
            yield _raised(UNUSUAL_ADMIN, record, f"first {deed} by this user")

    def _denials(self, record: Record, now: float) -> Iterator[Record]:
        if record.result != DENIED or record.ip is None:
            return
        window = self._window(DENIALS, record.ip, now)
        window.count += 1
        if not window.raised and window.count >= self.thresholds.denials:
            window.raised = True
            yield _raised(
                DENIALS,
                replace(record, user=None),
                f"{window.count} denials within {self.thresholds.window_seconds} s",
            )

    def _window(self, rule: str, subject: str, now: float) -> _Window:
        windows = self.windows.setdefault(rule, {})
        window = windows.get(subject)
        # Records of several logs arrive somewhat out of order: only what is newer opens a window.
        if window is None or now - window.begin >= self.thresholds.window_seconds:
            windows.pop(subject, None)
            window = windows[subject] = _Window(now)
            if len(windows) > _SUBJECTS:
                del windows[next(iter(windows))]
        return window

    def state(self) -> dict[str, Any]:
        """What it remembers, as plain data."""
        return {
            "began": self.began,
            "deeds": self.deeds,
            "windows": {
                rule: {
                    subject: [window.begin, window.count, window.size, window.raised]
                    for subject, window in windows.items()
                }
                for rule, windows in self.windows.items()
            },
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what it remembered."""
        self.began = state["began"]
        self.deeds = dict(state["deeds"])
        self.windows = {
            rule: {subject: _Window(*values) for subject, values in windows.items()}
            for rule, windows in state["windows"].items()
        }


def _deed(record: Record) -> str | None:
    """Kind of administration that a record of the API server tells of; None for everyday work."""
    if record.source != KUBERNETES or record.result != SUCCESS:
        return None
    resource = record.resource.partition("/")[0]
    group = resource.partition(".")[2]
    if record.action in _WAYS_IN:
        return f"{record.action} into {resource}"
    if resource == "secrets" and record.action in ("get", "list", "watch"):
        return f"read of secrets in {record.namespace or 'all namespaces'}"
    if record.resource == "serviceaccounts/token":
        return "token for a service account"
    if record.action in _CHANGES and (group in _ADMINISTRATION or resource == "secrets"):
        return f"{record.action} of {resource}"
    return None


def _raised(rule: str, cause: Record, detail: str) -> Record:
    return Record(
        id=identity(ANOMALY, rule, cause.id),
        timestamp=cause.timestamp,
        source=ANOMALY,
        action=rule,
        resource=cause.resource,
        result=RAISED,
        user=cause.user,
        ip=cause.ip,
        trace_id=cause.trace_id,
        namespace=cause.namespace,
        name=cause.name,
        node=cause.node,
        detail=text(detail),
    )


def inspect(records: Iterable[Record], thresholds: Thresholds) -> Iterator[Record]:
    """What the rules raise over records that are given in order."""
    detector = Detector(thresholds)
    for record in records:
        yield from detector.observe(record)


def parse_thresholds(values: dict[str, Any]) -> Thresholds:
    """Thresholds from their settings' names."""
    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    try:
        return Thresholds(**given)
    except TypeError as error:
        raise Refused("--thresholds", str(error)) from None
