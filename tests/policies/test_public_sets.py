"""Every id of a public set that the catalogue names has been seen in that set's own source."""

from __future__ import annotations

import json
import re

from policies.catalogue import IDS
from policies.public_sets import PUBLIC_SETS, SAME_AS
from tests.policies.public_sets import RECORD


def test_every_id_is_recorded_with_its_source() -> None:
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    assert set(recorded) == set(PUBLIC_SETS)
    for public_set, entry in recorded.items():
        named = {one for sets in SAME_AS.values() for one in sets.get(public_set, ())}
        assert set(entry["ids"]) == named, public_set
        assert re.fullmatch(r"[0-9a-f]{40}|v\d+\.\d+\.\d+", entry["commit"])
        assert all(
            path.rpartition(".")[2] in ("yaml", "yml", "rego", "py", "go", "md")
            for path in entry["ids"].values()
        )


def test_ids_are_named_for_rules_that_exist() -> None:
    assert set(SAME_AS) <= IDS


def test_no_id_is_named_twice_for_a_rule() -> None:
    for rule, sets in SAME_AS.items():
        for public_set, ids in sets.items():
            assert len(ids) == len(set(ids)), (rule, public_set)
