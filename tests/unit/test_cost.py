"""The cost estimate: sums, what has no price, and where prices come from."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.accelerators.machine_types import MACHINE_TYPES, machine_type, with_accelerators
from stacks.cost.estimate import CostEstimate, PricedItem, PricedPool, estimate
from stacks.cost.prices import PriceTable, load_prices

TABLE = PriceTable.model_validate(
    {
        "currency": "USD",
        "sources": {
            "nodes": {
                "repository": "a/nodes",
                "path": "n",
                "commit": "1" * 40,
                "date": "2026-07-20",
                "note": "machines",
            },
            "items": {
                "repository": "a/items",
                "path": "i",
                "commit": "2" * 40,
                "date": "2025-01-02",
                "note": "items",
            },
        },
        "nodes": {
            "aws": {
                "us-east-1": [{"source": "nodes", "hourly": {"m7i.xlarge": "0.2", "p5.48xlarge": "55.04"}}]
            },
            "gcp": {"us-central1": [{"source": "nodes", "hourly": {"n1-standard-4": "0.19"}}]},
        },
        "items": {
            "aws": {
                "us-east-1": {
                    "eks-control-plane": {
                        "title": "EKS cluster",
                        "price": "0.10",
                        "unit": "hour",
                        "source": "items",
                    },
                    "ebs-gp3": {"title": "gp3", "price": "0.08", "unit": "gb-month", "source": "items"},
                    "kms-key": {"title": "key", "price": "1.00", "unit": "month", "source": "items"},
                }
            }
        },
    }
)
SYSTEM = PricedPool("system", "aws", "us-east-1", machine_type("aws", "m7i.xlarge"), 3, 6)
H100 = PricedPool("h100", "aws", "us-east-1", machine_type("aws", "p5.48xlarge"), 0, 2)
ELSEWHERE = PricedPool("elsewhere", "aws", "eu-central-1", machine_type("aws", "m7i.xlarge"), 3, 6)


def test_a_month_has_730_hours() -> None:
    found = estimate([SYSTEM], [], TABLE)
    assert (found.low, found.high) == (Decimal("438.00"), Decimal("876.00"))


def test_items_are_counted_by_the_hour_by_the_month_or_by_the_gigabyte() -> None:
    found = estimate(
        [],
        [
            PricedItem("Control plane", "aws", "us-east-1", "eks-control-plane"),
            PricedItem("Keys", "aws", "us-east-1", "kms-key", 3),
            PricedItem("Node disks", "aws", "us-east-1", "ebs-gp3", 300, 900),
        ],
        TABLE,
    )
    assert [(line.low, line.high) for line in found.lines] == [
        (Decimal(73), Decimal(73)),
        (Decimal(3), Decimal(3)),
        (Decimal(24), Decimal(72)),
    ]


def test_what_has_no_price_is_named_and_never_taken_as_free() -> None:
    filestore = PricedItem("Filestore", "gcp", "us-central1", "filestore", 1024)
    found = estimate([SYSTEM, ELSEWHERE], [filestore], TABLE)
    assert found.unpriced == ("elsewhere", "Filestore")
    assert found.low == Decimal("438.00")
    assert found.rows()[1][2:4] == ("unpriced", "unpriced")
    assert found.rows()[-1] == ("Sum", "", "438", "876", "without elsewhere, Filestore")


def test_what_costs_the_same_everywhere_is_priced_in_every_region() -> None:
    table = load_prices()
    for region in ("us-central1", "europe-west4"):
        fee = PricedItem("Control plane", "gcp", region, "gke-control-plane")
        assert estimate([], [fee], table).low == Decimal("73.00")
    assert estimate(
        [], [PricedItem("Control plane", "aws", "eu-west-1", "eks-control-plane")], table
    ).unpriced


def test_accelerators_that_are_added_to_a_machine_are_not_in_its_price() -> None:
    plain = machine_type("gcp", "n1-standard-4")
    pool = PricedPool("n1", "gcp", "us-central1", plain, 1, 1)
    assert estimate([pool], [], TABLE).unpriced == ()
    with_t4 = PricedPool("t4", "gcp", "us-central1", with_accelerators(plain, "T4", 1), 1, 1)
    assert estimate([with_t4], [], TABLE).unpriced == ("t4",)


def test_reserved_capacity_costs_as_much_empty_as_full() -> None:
    reserved = PricedPool("h100", "aws", "us-east-1", H100.machine, 0, 2, "reservation")
    (line,) = estimate([reserved], [], TABLE).lines
    assert line.low == line.high == Decimal("80358.40")
    assert "whether it is used or not" in line.note


def test_spot_capacity_is_taken_at_its_upper_bound() -> None:
    spot = PricedPool("h100", "aws", "us-east-1", H100.machine, 0, 2, "spot")
    (line,) = estimate([spot], [], TABLE).lines
    assert (line.low, line.high) == (Decimal(0), Decimal("80358.40"))
    assert "at most the on-demand price" in line.note


def test_the_title_says_estimate_and_how_old_the_prices_are() -> None:
    nodes_only = estimate([SYSTEM], [], TABLE)
    assert nodes_only.title.startswith("Monthly cost (USD), an estimate from list prices of 2026-07-20,")
    both = estimate([SYSTEM], [PricedItem("Keys", "aws", "us-east-1", "kms-key")], TABLE)
    assert "of 2025-01-02 to 2026-07-20," in both.title
    assert both.sources == ("a/nodes@111111111111, 2026-07-20", "a/items@222222222222, 2025-01-02")
    nothing = estimate([ELSEWHERE], [], TABLE)
    assert "an estimate" in nothing.title
    assert nothing.low == 0
    assert nothing.prices_from is None


pools = st.builds(
    lambda name, machine, least, more: PricedPool(name, "aws", "us-east-1", machine, least, least + more),
    st.text(max_size=5),
    st.sampled_from(list(MACHINE_TYPES["aws"].values())),
    st.integers(0, 20),
    st.integers(0, 20),
)


@given(st.lists(pools), st.lists(pools))
def test_an_estimate_is_the_sum_of_its_parts(one: list[PricedPool], other: list[PricedPool]) -> None:
    whole, parts = estimate([*one, *other], [], TABLE), (estimate(one, [], TABLE), estimate(other, [], TABLE))
    assert whole.low == sum(part.low for part in parts)
    assert whole.high == sum(part.high for part in parts)
    assert whole.low <= whole.high
    assert len(whole.unpriced) == sum(line.low is None for line in whole.lines)


def test_every_price_of_the_table_has_a_dated_source() -> None:
    table = load_prices()
    for source in table.sources.values():
        assert datetime.date(2024, 1, 1) <= source.date <= datetime.date(2026, 12, 31)
    used = {
        block.source for regions in table.nodes.values() for blocks in regions.values() for block in blocks
    }
    used |= {
        i.source for regions in table.items.values() for items in regions.values() for i in items.values()
    }
    assert used == set(table.sources)


def test_the_table_prices_only_machines_that_we_know() -> None:
    for cloud, regions in load_prices().nodes.items():
        for blocks in regions.values():
            priced = [name for block in blocks for name in block.hourly]
            assert set(priced) <= set(MACHINE_TYPES[cloud])
            assert len(priced) == len(set(priced))


def test_machines_of_one_family_cost_in_proportion() -> None:
    """A slip in a digit would show."""
    table = load_prices()
    for family in ("m7i", "m6i", "c7i"):
        large, larger = (table.node("aws", "us-east-1", f"{family}.{size}") for size in ("xlarge", "8xlarge"))
        assert large
        assert larger
        assert larger[0] / large[0] == 8
    one, eight = (table.node("gcp", "us-central1", f"a2-ultragpu-{count}g") for count in (1, 8))
    assert one
    assert eight
    assert eight[0] / one[0] == pytest.approx(8, rel=1e-4)


def test_nothing_in_the_table_is_free() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        PriceTable.model_validate(
            TABLE.model_dump(mode="json", by_alias=True)
            | {"nodes": {"aws": {"us-east-1": [{"source": "nodes", "hourly": {"m7i.xlarge": "0"}}]}}}
        )


def test_a_source_that_is_not_described_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(
        "currency: USD\nsources: {}\nitems: {}\n"
        'nodes: {aws: {us-east-1: [{source: hearsay, hourly: {m7i.large: "0.1"}}]}}\n'
    )
    with pytest.raises(ValidationError, match="sources: hearsay missing; describe each source"):
        load_prices(file)


def test_rows_are_what_a_text_table_shows() -> None:
    found: CostEstimate = estimate([SYSTEM, H100], [], TABLE)
    assert found.rows() == (
        ("system", "3 to 6 × m7i.xlarge", "438", "876", ""),
        ("h100", "0 to 2 × p5.48xlarge", "0", "80,358", ""),
        ("Sum", "", "438", "81,234", ""),
    )
