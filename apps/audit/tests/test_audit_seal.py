"""A sealed trail, and everything that can be done to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_trail import keys, merkle, seal, verify
from audit_trail.cli import main
from audit_trail.errors import Refused
from audit_trail.keys import Ring, load_private, load_ring
from audit_trail.records import canonical
from audit_trail.store import Store

TRAIL = "node-1"
FIRST = date(2026, 11, 17)
DAYS = 4
LINES = 12
EMPTY = FIRST + timedelta(days=2)
UNTIL = FIRST + timedelta(days=DAYS - 1)
DAY = timedelta(days=1)


def line(day: date, number: int, text: str = "") -> bytes:
    """A record's line; what it says does not matter to seals."""
    return canonical({"id": f"{day}-{number}", "resource": text or f"object-{number}"}) + b"\n"


def fill(store: Store, day: date, count: int = LINES) -> None:
    store.records(day).write_bytes(b"".join(line(day, number) for number in range(count)))


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sealed days, the third without records, and the keys beside them."""
    root = tmp_path_factory.mktemp("sealed")
    keys.generate(root / "private.pem", root / "public.pem")
    store = Store(root / "trail")
    store.create()
    for index in range(DAYS):
        if FIRST + index * DAY != EMPTY:
            fill(store, FIRST + index * DAY)
    seal.seal_days(store, load_private(root / "private.pem"), TRAIL, UNTIL, lambda text: None)
    return root


@pytest.fixture
def trail(sealed: Path, tmp_path: Path) -> Store:
    """A copy to do things to."""
    shutil.copytree(sealed / "trail", tmp_path / "trail")
    return Store(tmp_path / "trail")


@pytest.fixture
def ring(sealed: Path) -> Ring:
    return load_ring([sealed / "public.pem"])


@pytest.fixture
def check(trail: Store, ring: Ring) -> Callable[[], list[tuple[str, int, str]]]:
    """Day, line and kind of what is found."""

    def run() -> list[tuple[str, int, str]]:
        verdict = verify.verify(trail, ring, TRAIL, UNTIL)
        return [(str(one.day), one.line, one.kind) for one in verdict.findings]

    return run


Check = Callable[[], list[tuple[str, int, str]]]


def lines(store: Store, day: date) -> list[bytes]:
    return list(seal.lines_of(store.records(day)))


def put(store: Store, day: date, content: list[bytes]) -> None:
    store.records(day).write_bytes(b"".join(content))


def resign(store: Store, day: date, signer: Ed25519PrivateKey, **changes: object) -> None:
    """Seal a day's present content with a key, as whoever altered it would."""
    found = seal.read(store, day)
    assert found is not None
    leaves = [merkle.leaf(one) for one in lines(store, day)]
    store.leaves(day).write_bytes(b"".join(leaf.hex().encode() + b"\n" for leaf in leaves))
    new = replace(found, count=len(leaves), digest=merkle.root(leaves).hex(), **changes)  # type: ignore[arg-type]
    store.seal(day).write_bytes(canonical(asdict(new.signed(signer))) + b"\n")


def test_a_trail_that_nobody_touched_is_whole(trail: Store, ring: Ring) -> None:
    verdict = verify.verify(trail, ring, TRAIL, UNTIL)
    assert verdict.whole
    assert (verdict.days, verdict.records) == (DAYS, (DAYS - 1) * LINES)


def test_a_day_without_records_is_sealed_as_such(trail: Store) -> None:
    found = seal.read(trail, EMPTY)
    assert found is not None
    assert (found.count, found.first, found.last) == (0, None, None)
    assert not trail.records(EMPTY).exists()


def test_f42_an_edited_line_is_named(trail: Store, check: Check) -> None:
    content = lines(trail, FIRST)
    put(trail, FIRST, [*content[:4], line(FIRST, 4, "something else"), *content[5:]])
    assert check() == [(str(FIRST), 5, verify.EDITED)]


def test_f42_one_changed_bit_is_enough(trail: Store, check: Check) -> None:
    content = bytearray(trail.records(FIRST).read_bytes())
    content[-3] ^= 1
    trail.records(FIRST).write_bytes(content)
    assert check() == [(str(FIRST), LINES, verify.EDITED)]


def test_f42_a_deleted_line_is_named(trail: Store, check: Check) -> None:
    content = lines(trail, FIRST)
    put(trail, FIRST, [*content[:6], *content[7:]])
    assert check() == [(str(FIRST), 7, verify.DELETED)]


def test_f42_lines_missing_at_the_end_are_named(trail: Store, check: Check) -> None:
    put(trail, FIRST, lines(trail, FIRST)[:-3])
    assert check() == [(str(FIRST), LINES - 2, verify.TRUNCATED)]


def test_f42_an_inserted_line_is_named(trail: Store, check: Check) -> None:
    content = lines(trail, FIRST)
    put(trail, FIRST, [*content[:3], line(FIRST, 99), *content[3:]])
    assert check() == [(str(FIRST), 4, verify.INSERTED)]


def test_f42_records_in_a_day_that_had_none_are_named(trail: Store, check: Check) -> None:
    put(trail, EMPTY, [line(EMPTY, 0)])
    assert check() == [(str(EMPTY), 1, verify.INSERTED)]


def test_f42_a_repeated_line_is_named(trail: Store, check: Check) -> None:
    content = lines(trail, FIRST)
    put(trail, FIRST, [*content[:3], content[0], *content[3:]])
    assert check() == [(str(FIRST), 4, verify.INSERTED)]


def test_f42_lines_in_another_order_are_named(trail: Store, check: Check) -> None:
    content = lines(trail, FIRST)
    content[2], content[8] = content[8], content[2]
    put(trail, FIRST, content)
    assert check() == [(str(FIRST), 3, verify.REORDERED)]


def test_f42_several_changes_are_all_told(trail: Store, check: Check) -> None:
    content = lines(trail, FIRST)
    put(trail, FIRST, [content[0], line(FIRST, 1, "changed"), *content[2:5], *content[7:]])
    assert check() == [(str(FIRST), 2, verify.DELETED), (str(FIRST), 2, verify.EDITED)]


def test_f42_a_missing_file_of_records_is_named(trail: Store, check: Check) -> None:
    trail.records(FIRST).unlink()
    assert check() == [(str(FIRST), 0, verify.RECORDS_MISSING)]


def test_f42_a_whole_day_that_was_removed_is_named(trail: Store, check: Check) -> None:
    day = FIRST + DAY
    for path in (trail.records(day), trail.leaves(day), trail.seal(day)):
        path.unlink()
    assert check() == [(str(day), 0, verify.DAY_MISSING)]


def test_f42_removed_first_days_are_noticed(trail: Store, check: Check) -> None:
    for path in (trail.records(FIRST), trail.leaves(FIRST), trail.seal(FIRST)):
        path.unlink()
    assert check() == [(str(FIRST + DAY), 0, verify.CHAIN)]


def test_f42_removed_last_days_are_noticed(trail: Store, check: Check) -> None:
    for path in (trail.records(UNTIL), trail.leaves(UNTIL), trail.seal(UNTIL)):
        path.unlink()
    assert check() == [(str(UNTIL), 0, verify.DAY_MISSING)]


def test_f42_a_trail_of_which_nothing_is_left_is_not_whole(trail: Store, check: Check) -> None:
    shutil.rmtree(trail.root / "seals")
    shutil.rmtree(trail.root / "records")
    assert check() == [(str(UNTIL), 0, verify.DAY_MISSING)]


def test_f42_who_knows_when_the_trail_began_misses_its_first_days(trail: Store, ring: Ring) -> None:
    assert verify.verify(trail, ring, TRAIL, UNTIL, since=FIRST).whole
    verdict = verify.verify(trail, ring, TRAIL, UNTIL, since=FIRST - 2 * DAY)
    kinds = [(one.day, one.kind) for one in verdict.findings]
    assert kinds[:2] == [(FIRST - 2 * DAY, verify.DAY_MISSING), (FIRST - DAY, verify.DAY_MISSING)]


def test_a_trail_that_has_just_begun_is_whole(tmp_path: Path, ring: Ring) -> None:
    store = Store(tmp_path / "new")
    store.create()
    began = datetime(2026, 11, 21, 7, tzinfo=UTC).timestamp()
    store.save_state({"detector": {"began": began}})
    verdict = verify.verify(store, ring, TRAIL, date(2026, 11, 20))
    assert verdict.whole
    assert verdict.days == 0
    assert not verify.verify(store, ring, TRAIL, date(2026, 11, 21)).whole


def test_f42_a_removed_seal_is_named(trail: Store, check: Check) -> None:
    trail.seal(FIRST + DAY).unlink()
    assert check() == [(str(FIRST + DAY), 0, verify.SEAL_MISSING)]


def test_f42_swapped_records_of_two_days_are_named(trail: Store, check: Check) -> None:
    second = FIRST + DAY
    first_content, second_content = lines(trail, FIRST), lines(trail, second)
    put(trail, FIRST, second_content)
    put(trail, second, first_content)
    assert check() == [(str(FIRST), 0, verify.SWAPPED), (str(second), 0, verify.SWAPPED)]


def test_f42_days_that_were_swapped_with_their_seals_are_named(trail: Store, check: Check) -> None:
    second = FIRST + DAY
    for of in (trail.records, trail.leaves, trail.seal):
        aside = trail.root / "aside"
        of(FIRST).rename(aside)
        of(second).rename(of(FIRST))
        aside.rename(of(second))
    assert check() == [(str(FIRST), 0, verify.WRONG_DAY), (str(second), 0, verify.WRONG_DAY)]


def test_f42_an_older_seal_in_the_place_of_a_newer_is_named(trail: Store, check: Check) -> None:
    for of in (trail.records, trail.leaves, trail.seal):
        shutil.copy(of(FIRST), of(UNTIL))
    assert check() == [(str(UNTIL), 0, verify.WRONG_DAY)]


def test_f42_a_day_that_was_sealed_anew_with_another_key_is_named(trail: Store, check: Check) -> None:
    put(trail, FIRST, lines(trail, FIRST)[1:])
    other = Ed25519PrivateKey.generate()
    resign(trail, FIRST, other, key=keys.key_id(other.public_key()))
    assert check() == [(str(FIRST), 0, verify.FORGED)]


def test_f42_another_key_under_the_name_of_the_right_one_is_named(trail: Store, check: Check) -> None:
    put(trail, FIRST, lines(trail, FIRST)[1:])
    resign(trail, FIRST, Ed25519PrivateKey.generate())
    assert check() == [(str(FIRST), 0, verify.FORGED)]


def test_f42_a_whole_trail_that_was_made_with_another_key_is_named(trail: Store, check: Check) -> None:
    shutil.rmtree(trail.root / "seals")
    trail.create()
    seal.seal_days(trail, Ed25519PrivateKey.generate(), TRAIL, UNTIL, lambda text: None)
    assert [kind for _, _, kind in check()] == [verify.FORGED] * DAYS


def test_f42_a_day_sealed_anew_with_the_right_key_breaks_the_chain(
    trail: Store, check: Check, sealed: Path
) -> None:
    put(trail, FIRST, lines(trail, FIRST)[1:])
    resign(trail, FIRST, load_private(sealed / "private.pem"))
    assert check() == [(str(FIRST + DAY), 0, verify.CHAIN)]


@pytest.mark.parametrize("field", ["count", "digest", "first", "last", "previous", "trail", "day"])
def test_f42_every_field_of_a_seal_is_signed(trail: Store, check: Check, field: str) -> None:
    content = json.loads(trail.seal(FIRST + DAY).read_bytes())
    value = content[field]
    content[field] = value + 1 if isinstance(value, int) else value[:-1] + ("0" if value[-1] != "0" else "1")
    trail.seal(FIRST + DAY).write_bytes(canonical(content) + b"\n")
    assert (str(FIRST + DAY), 0, verify.FORGED) in check()


def test_f42_what_is_no_seal_is_named(trail: Store, check: Check) -> None:
    trail.seal(FIRST + DAY).write_bytes(b'{"signature":"none"}\n')
    assert check() == [(str(FIRST + DAY), 0, verify.UNREADABLE)]


def test_f42_changed_digests_of_lines_do_not_hide_a_change(trail: Store, check: Check) -> None:
    content = [line(FIRST, 0, "something else"), *lines(trail, FIRST)[1:]]
    put(trail, FIRST, content)
    trail.leaves(FIRST).write_text("".join(f"{merkle.leaf(one).hex()}\n" for one in content))
    assert check() == [(str(FIRST), 0, verify.ALTERED), (str(FIRST), 0, verify.LEAVES)]


def test_f42_removed_digests_of_lines_are_named(trail: Store, check: Check) -> None:
    trail.leaves(FIRST).unlink()
    assert check() == [(str(FIRST), 0, verify.LEAVES)]


def test_a_trail_of_another_node_is_not_this_one(trail: Store, ring: Ring) -> None:
    verdict = verify.verify(trail, ring, "node-2", UNTIL)
    assert {one.kind for one in verdict.findings} == {verify.WRONG_DAY}


def test_keys_rotate_and_old_ones_go_on_to_verify(trail: Store, ring: Ring, check: Check) -> None:
    new, until = Ed25519PrivateKey.generate(), UNTIL + 2 * DAY
    fill(trail, UNTIL + DAY)
    seal.seal_days(trail, new, TRAIL, until, lambda text: None)
    assert not verify.verify(trail, ring, TRAIL, until).whole
    both = Ring((*ring.keys, new.public_key()))
    assert verify.verify(trail, both, TRAIL, until).whole


def test_f42_a_retired_key_seals_no_more(trail: Store, ring: Ring, sealed: Path) -> None:
    new = Ed25519PrivateKey.generate()
    seal.seal_days(trail, new, TRAIL, UNTIL + DAY, lambda text: None)
    seal.seal_days(trail, load_private(sealed / "private.pem"), TRAIL, UNTIL + 2 * DAY, lambda text: None)
    verdict = verify.verify(trail, Ring((*ring.keys, new.public_key())), TRAIL, UNTIL + 2 * DAY)
    assert [(one.day, one.kind) for one in verdict.findings] == [(UNTIL + 2 * DAY, verify.RETIRED_KEY)]


def test_records_go_after_their_time_and_seals_stay(trail: Store, ring: Ring, sealed: Path) -> None:
    until = UNTIL + DAY
    fill(trail, until)
    seal.seal_days(
        trail, load_private(sealed / "private.pem"), TRAIL, until, lambda text: None, retention_days=2
    )
    assert not trail.records(FIRST).exists()
    verdict = verify.verify(trail, ring, TRAIL, until, retention_days=2)
    assert verdict.whole
    assert verdict.expired == 2
    # Gone before its time is not expired.
    trail.records(UNTIL).unlink()
    verdict = verify.verify(trail, ring, TRAIL, until, retention_days=2)
    assert [(one.day, one.kind) for one in verdict.findings] == [(UNTIL, verify.RECORDS_MISSING)]


def test_sealing_twice_changes_nothing(trail: Store, sealed: Path) -> None:
    before = {path.name: path.read_bytes() for path in (trail.root / "seals").iterdir()}
    key = load_private(sealed / "private.pem")
    assert seal.seal_days(trail, key, TRAIL, UNTIL, lambda text: None) == []
    assert {path.name: path.read_bytes() for path in (trail.root / "seals").iterdir()} == before


def test_nothing_is_added_to_a_trail_whose_end_was_changed(trail: Store, sealed: Path) -> None:
    trail.seal(UNTIL).write_bytes(trail.seal(FIRST).read_bytes())
    with pytest.raises(Refused, match="verify"):
        seal.seal_days(trail, load_private(sealed / "private.pem"), TRAIL, UNTIL + DAY, lambda text: None)


def test_a_day_that_is_not_over_is_not_sealed(
    sealed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    today = datetime.now(UTC).date()
    arguments = ["seal", f"--store={tmp_path}", f"--trail={TRAIL}", f"--key={sealed / 'private.pem'}"]
    assert main([*arguments, f"--until={today}"]) == 2
    assert "not over" in capsys.readouterr().err
    assert seal.last_day(datetime(2026, 11, 21, 0, 59, tzinfo=UTC)) == date(2026, 11, 19)
    assert seal.last_day(datetime(2026, 11, 21, 1, 0, tzinfo=UTC)) == date(2026, 11, 20)


def test_verify_tells_by_its_status(trail: Store, sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", f"--store={trail.root}", f"--trail={TRAIL}", f"--until={UNTIL}", "--metrics"]
    public = f"--public-key={sealed / 'public.pem'}"
    assert main([*arguments, public]) == 0
    assert "whole: 4 days, 36 records" in capsys.readouterr().out
    assert "audit_verify_success 1\n" in (trail.root / "metrics" / "verify.prom").read_text()
    put(trail, FIRST, lines(trail, FIRST)[1:])
    assert main([*arguments, public]) == 1
    assert f"{FIRST} line 1: deleted" in capsys.readouterr().out
    figures = (trail.root / "metrics" / "verify.prom").read_text()
    assert "audit_verify_success 0\n" in figures
    assert 'audit_verify_findings{kind="deleted"} 1\n' in figures
    assert main([*arguments, f"--public-key={trail.root / 'none.pem'}"]) == 2


def test_verification_needs_no_private_key_and_writes_nothing(trail: Store, sealed: Path) -> None:
    before = {str(path): path.stat().st_mtime_ns for path in trail.root.rglob("*") if path.is_file()}
    assert main(["verify", f"--store={trail.root}", f"--trail={TRAIL}", f"--until={UNTIL}",
                 f"--public-key={sealed / 'public.pem'}"]) == 0  # fmt: skip
    assert {str(path): path.stat().st_mtime_ns for path in trail.root.rglob("*") if path.is_file()} == before


def test_a_private_key_is_never_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "key.pem"
    bad.write_text("-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n")
    assert main(["seal", f"--store={tmp_path / 's'}", "--trail=x", f"--key={bad}"]) == 2
    told = capsys.readouterr()
    assert "CANARY" not in told.out + told.err


def test_a_key_is_not_written_over(tmp_path: Path) -> None:
    keys.generate(tmp_path / "private.pem", tmp_path / "public.pem")
    assert (tmp_path / "private.pem").stat().st_mode & 0o077 == 0
    with pytest.raises(Refused, match="exists"):
        keys.generate(tmp_path / "private.pem", tmp_path / "public.pem")


def test_the_digest_is_the_tree_hash_of_rfc_6962() -> None:
    """Vectors of the reference implementation, certificate-transparency's merkle tree tests."""
    inputs = [
        b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57", bytes(range(0x60, 0x70)),
    ]  # fmt: skip
    roots = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for count, expected in roots.items():
        assert merkle.root([merkle.leaf(one) for one in inputs[:count]]).hex() == expected


@given(
    before=st.lists(st.integers(0, 5).map(lambda number: bytes([number])), max_size=12),
    after=st.lists(st.integers(0, 5).map(lambda number: bytes([number])), max_size=12),
)
@settings(max_examples=300, deadline=None)
def test_every_difference_is_found_and_nothing_else(before: list[bytes], after: list[bytes]) -> None:
    found = list(verify.differences(before, after))
    assert bool(found) == (before != after)
    for kind, number, _ in found:
        assert kind in verify.KINDS
        assert 1 <= number <= max(len(before), len(after))
        # What stands before the first line that is named is as it was.
    if found:
        same = min(number for _, number, _ in found) - 1
        assert before[:same] == after[:same]


@given(data=st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_f42_no_change_of_a_single_file_goes_unnoticed(sealed: Path, ring: Ring, data: st.DataObject) -> None:
    """A byte changed, added or removed anywhere in what was sealed: records, digests of lines or seals."""
    root = sealed / "trail"
    path = data.draw(
        st.sampled_from(
            sorted(
                p
                for p in root.rglob("20*")
                if p.suffix in (".json", ".jsonl", ".leaves") and p.stat().st_size
            )
        )
    )
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    changed = data.draw(
        st.sampled_from(
            [
                content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
                content[:place] + content[place + 1 :],
                content[:place] + b"x" + content[place:],
                content[:place],
            ]
        )
    )
    try:
        path.write_bytes(changed)
        assert not verify.verify(Store(root), ring, TRAIL, UNTIL).whole
    finally:
        path.write_bytes(content)
