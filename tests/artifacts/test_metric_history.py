"""The history that dashboards and reports are tested with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.history import Span
from tests.harness.prometheus import make_blocks, serve_blocks

SPAN = Span(days=1, dense_hours=1)
EVALUATIONS = "groups: [{name: clock, rules: [{record: evaluated, expr: vector(time())}]}]"


@pytest.mark.slow
def test_rules_are_evaluated_at_the_same_moments_wherever_a_history_is_made(tmp_path: Path) -> None:
    moments = []
    for name in ("here", "there"):
        made = tmp_path / name / "blocks"
        made.mkdir(parents=True)
        make_blocks(made, SPAN, frozenset({"up"}), EVALUATIONS)
        with serve_blocks(made, SPAN) as server:
            (series,) = server.query(f"evaluated[{SPAN.days}d]")
        moments.append([float(value) for _, value in series["values"]])
    assert moments[0] == moments[1]
    assert len(moments[0]) == SPAN.days * 86_400 // SPAN.step
