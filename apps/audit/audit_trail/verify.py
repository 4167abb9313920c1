"""Whether a trail is what was sealed: which line, which day, and in which way it is not.

Only public keys are needed. What is believed is what a key of the ring has signed; everything else, the file
with the digests of lines too, is checked against that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from audit_trail import merkle, metrics, seal
from audit_trail.errors import Unreadable
from audit_trail.keys import Ring
from audit_trail.metrics import Metric, by_label, single
from audit_trail.seal import DAY, Seal, lines_of
from audit_trail.store import Store

EDITED: Final = "edited"
DELETED: Final = "deleted"
INSERTED: Final = "inserted"
REORDERED: Final = "reordered"
TRUNCATED: Final = "truncated"
ALTERED: Final = "altered"
RECORDS_MISSING: Final = "records-missing"
SEAL_MISSING: Final = "seal-missing"
DAY_MISSING: Final = "day-missing"
SWAPPED: Final = "swapped"
WRONG_DAY: Final = "wrong-day"
FORGED: Final = "forged"
UNREADABLE: Final = "unreadable"
CHAIN: Final = "chain"
RETIRED_KEY: Final = "retired-key"
LEAVES: Final = "leaves"
KINDS: Final = (
    EDITED, DELETED, INSERTED, REORDERED, TRUNCATED, ALTERED, RECORDS_MISSING, SEAL_MISSING, DAY_MISSING,
    SWAPPED, WRONG_DAY, FORGED, UNREADABLE, CHAIN, RETIRED_KEY, LEAVES,
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is not as it was sealed."""

    day: date
    line: int
    """First line concerned, from 1; 0 for the day as a whole."""
    kind: str
    message: str

    def __str__(self) -> str:
        place = f"{self.day} line {self.line}" if self.line else f"{self.day}"
        return f"{place}: {self.kind}: {self.message}"


@dataclass(frozen=True)
class Verdict:
    """What a verification has found."""

    findings: tuple[Finding, ...]
    days: int
    """Days that were looked at."""
    records: int
    """Records whose content was compared with a seal."""
    expired: int
    """Days whose records are no longer kept, and whose seals are whole."""

    @property
    def whole(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify(
    store: Store,
    ring: Ring,
    trail: str,
    until: date,
    *,
    since: date | None = None,
    retention_days: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """Compare all days up to `until` with their seals.

    :param until: newest day that has to be sealed: a trail whose end was cut off is not whole.
    :param since: day on which the trail is known to have begun; without it, what its oldest seal says.
    :param retention_days: records of days older than this, seen from `until`, may have been removed.
    """
    with store.sealing(shared=True):
        return _Verification(store, ring, trail, until, retention_days, progress).run(since)


class _Verification:
    def __init__(
        self,
        store: Store,
        ring: Ring,
        trail: str,
        until: date,
        retention_days: int | None,
        progress: Callable[[str], None],
    ) -> None:
        self._store, self._ring, self._trail, self._until, self._progress = (
            store,
            ring,
            trail,
            until,
            progress,
        )
        self._oldest = until - timedelta(days=retention_days) if retention_days is not None else date.min
        self._seals: dict[date, Seal] = {}
        self._roots: dict[date, str] = {}
        self._findings: list[Finding] = []
        self._records = self._expired = 0

    def run(self, since: date | None) -> Verdict:
        sealed = self._store.days("seals", ".json")
        recorded = self._store.days("records", ".jsonl")
        present = sorted({*sealed, *(day for day in recorded if day <= self._until)})
        if since is not None and since <= self._until:
            present = sorted({since, *present})
        if not present and self._is_new():
            return self._verdict(0)
        if not present:
            self._add(self._until, DAY_MISSING, "no seals and no records: nothing is left of the trail")
            return self._verdict(0)
        days = [
            present[0] + DAY * index for index in range((max(self._until, present[-1]) - present[0]).days + 1)
        ]
        for day in days:
            self._load(day, has_seal=day in sealed, has_records=day in recorded)
        self._chain(days)
        for number, day in enumerate(days, 1):
            if number % 10 == 0 or number == len(days):
                self._progress(f"{number} of {len(days)} days, {self._records} records")
            if day in self._seals:
                self._compare(day, self._seals[day])
        return self._verdict(len(days))

    def _is_new(self) -> bool:
        """Whether the collector has noted that its first record is of a day that need not be sealed yet."""
        began = ((self._store.state() or {}).get("detector") or {}).get("began")
        return began is not None and datetime.fromtimestamp(began, UTC).date() > self._until

    def _verdict(self, days: int) -> Verdict:
        return Verdict(tuple(sorted(self._findings)), days, self._records, self._expired)

    def _add(self, day: date, kind: str, message: str, line: int = 0) -> None:
        self._findings.append(Finding(day, line, kind, message))

    def _load(self, day: date, *, has_seal: bool, has_records: bool) -> None:
        """Keep the day's seal if a key of the ring has signed it for this day and trail."""
        if not has_seal:
            if has_records:
                self._add(
                    day, SEAL_MISSING, "records without a seal; nothing shows that they are as they were"
                )
            else:
                self._add(
                    day, DAY_MISSING, "neither records nor a seal; a day without records is sealed, too"
                )
            return
        try:
            found = seal.read(self._store, day)
        except Unreadable as error:
            self._add(day, UNREADABLE, f"the seal: {error}")
            return
        assert found is not None
        if self._ring.position(found.key) is None:
            self._add(day, FORGED, f"the seal names key {found.key!r}, which is none of the trail's")
        elif not self._ring.valid(found.key, found.raw_signature(), found.content()):
            self._add(day, FORGED, f"the seal was changed: key {found.key!r} has not signed it")
        elif found.trail != self._trail:
            self._add(day, WRONG_DAY, f"the seal is of trail {found.trail!r}")
        elif found.day != str(day):
            self._add(day, WRONG_DAY, f"the seal is the one of {found.day}")
        else:
            self._seals[day] = found

    def _chain(self, days: Sequence[date]) -> None:
        """Each seal holds the signature of the one before, and keys follow each other."""
        newest_key = -1
        for index, day in enumerate(days):
            found = self._seals.get(day)
            if found is None:
                continue
            if index == 0:
                if found.previous is not None:
                    self._add(
                        day, CHAIN, "the seal follows one of an earlier day: the days before are missing"
                    )
            elif found.previous is None:
                self._add(day, CHAIN, "the seal begins a trail, and there are days before it")
            elif (before := self._seals.get(day - DAY)) is not None and before.signature != found.previous:
                self._add(
                    day, CHAIN, f"the seal does not follow that of {before.day}: one of them was replaced"
                )
            position = self._ring.position(found.key)
            assert position is not None
            if position < newest_key:
                self._add(day, RETIRED_KEY, f"signed by key {found.key!r}, which a later one had replaced")
            newest_key = max(newest_key, position)

    def _compare(self, day: date, sealed: Seal) -> None:
        path = self._store.records(day)
        if not path.exists():
            if sealed.count and day >= self._oldest:
                self._add(day, RECORDS_MISSING, f"{sealed.count} records were sealed, and their file is gone")
            elif sealed.count:
                self._expired += 1
            return
        leaves = [merkle.leaf(line) for line in lines_of(path)]
        actual = merkle.root(leaves).hex()
        if actual == sealed.digest and len(leaves) == sealed.count:
            self._records += len(leaves)
            self._check_leaves(day, leaves)
            return
        if owner := next(
            (other for other, one in self._seals.items() if one.digest == actual and leaves), None
        ):
            self._add(day, SWAPPED, f"the records are those of {owner}")
            return
        expected = self._leaves(day, sealed)
        if expected is None:
            self._add(day, LEAVES, "the digests of lines are missing or changed; the line cannot be told")
            more = len(leaves) - sealed.count
            kind = INSERTED if more > 0 else DELETED if more < 0 else ALTERED
            self._add(day, kind, f"{len(leaves)} records, {sealed.count} were sealed, with another digest")
            return
        for finding in differences(expected, leaves):
            self._add(day, finding[0], finding[2], finding[1])

    def _leaves(self, day: date, sealed: Seal) -> list[bytes] | None:
        """Digests of the lines as they were sealed, if they are what was signed."""
        try:
            found = [bytes.fromhex(word) for word in self._store.leaves(day).read_text("ascii").splitlines()]
        except (OSError, ValueError):
            return None
        return found if merkle.root(found).hex() == sealed.digest and len(found) == sealed.count else None

    def _check_leaves(self, day: date, leaves: Sequence[bytes]) -> None:
        try:
            kept = self._store.leaves(day).read_bytes()
        except OSError:
            kept = None
        if kept != seal.leaves_file(leaves):
            self._add(
                day, LEAVES, "the digests of lines are missing or changed; the records themselves are whole"
            )


def differences(expected: Sequence[bytes], actual: Sequence[bytes]) -> Iterator[tuple[str, int, str]]:
    """Kind, first line and description of how two sequences differ."""
    begin = 0
    while begin < min(len(expected), len(actual)) and expected[begin] == actual[begin]:
        begin += 1
    end = 0
    while (
        end < min(len(expected), len(actual)) - begin
        and expected[len(expected) - 1 - end] == actual[len(actual) - 1 - end]
    ):
        end += 1
    before = expected[begin : len(expected) - end]
    after = actual[begin : len(actual) - end]
    line = begin + 1
    if not before and not after:
        return
    if not after:
        if begin == len(actual):
            yield TRUNCATED, line, f"the last {len(before)} of {len(expected)} records are gone"
        else:
            yield DELETED, line, f"{len(before)} records are gone that stood here"
    elif not before:
        yield INSERTED, line, f"{len(after)} records that were not sealed"
    elif Counter(before) == Counter(after):
        yield REORDERED, line, f"{len(after)} records up to line {len(actual) - end} stand in another order"
    else:
        yield from _mixed(before, after, line)


def _mixed(before: Sequence[bytes], after: Sequence[bytes], line: int) -> Iterator[tuple[str, int, str]]:
    """Several changes at once: what is gone, and what is new. The first of them is at `line`."""
    lost = sum((Counter(before) - Counter(after)).values())
    added = sum((Counter(after) - Counter(before)).values())
    if pairs := min(lost, added):
        yield EDITED, line, f"{pairs} records from here on are not what was sealed"
    if lost > pairs:
        yield DELETED, line, f"{lost - pairs} records are gone that stood here or below"
    if added > pairs:
        yield INSERTED, line, f"{added - pairs} records that were not sealed, here or below"


def tell(store: Store, verdict: Verdict, now: datetime) -> None:
    """Leave the figures for Prometheus."""
    kinds: Mapping[str, int] = Counter(finding.kind for finding in verdict.findings)
    metrics.save(
        store,
        "verify",
        [
            Metric(
                "audit_verify_success",
                "gauge",
                "Whether the trail is as it was sealed.",
                single(verdict.whole),
            ),
            Metric(
                "audit_verify_timestamp_seconds",
                "gauge",
                "When that was looked at.",
                single(now.astimezone(UTC).timestamp()),
            ),
            Metric(
                "audit_verify_findings",
                "gauge",
                "What is not as it was sealed.",
                by_label("kind", {kind: kinds.get(kind, 0) for kind in KINDS}),
            ),
        ],
    )
