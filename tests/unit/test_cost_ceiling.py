"""What a stack may cost at most, and what its plan says that it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stacks.cost.ceiling import CostCeiling, ceiling_problems
from stacks.cost.estimate import CostEstimate, CostLine
from stacks.cost.stack import planned_cost
from tests.unit.stack_graphs import stack_graph, stack_plan

_AMOUNTS = st.decimals(min_value="0.01", max_value="1000000", places=2)


def estimate_of(stack: str) -> CostEstimate | None:
    plan = stack_plan(stack)
    return planned_cost(
        plan.settings, plan.cluster, models=plan.models, buckets=plan.buckets, entry=plan.entry
    )


def estimate(*lines: tuple[str, Decimal | None], currency: str = "USD") -> CostEstimate:
    return CostEstimate(
        currency=currency,
        lines=tuple(CostLine(name, f"1 × {name}", amount, amount) for name, amount in lines),
        prices_from=None,
        sources=(),
    )


def ceiling(amount: Decimal | int, **more: str) -> CostCeiling:
    return CostCeiling.model_validate({"monthlyUsd": amount, **more})


@given(st.lists(_AMOUNTS, min_size=1, max_size=6), _AMOUNTS)
def test_a_stack_is_refused_exactly_if_it_may_cost_more(amounts: list[Decimal], most: Decimal) -> None:
    cost = estimate(*((f"pool-{index}", amount) for index, amount in enumerate(amounts)))
    problems = ceiling_problems(ceiling(most), cost)
    assert [problem.path for problem in problems] == (["monthlyUsd"] if sum(amounts) > most else [])


@given(st.lists(_AMOUNTS, min_size=1, max_size=6))
def test_the_ceiling_that_a_message_suggests_is_enough(amounts: list[Decimal]) -> None:
    cost = estimate(*((f"pool-{index}", amount) for index, amount in enumerate(amounts)))
    (problem,) = ceiling_problems(ceiling(Decimal("0.001")), cost)
    suggested = Decimal(problem.message.rpartition(" ")[2].replace(",", ""))
    assert ceiling_problems(ceiling(suggested), cost) == []


@given(_AMOUNTS, _AMOUNTS)
def test_a_higher_ceiling_refuses_nothing_that_a_lower_one_lets_through(one: Decimal, other: Decimal) -> None:
    cost = estimate(("pool", Decimal(500)))
    low, high = sorted((one, other))
    if not ceiling_problems(ceiling(low), cost):
        assert ceiling_problems(ceiling(high), cost) == []


def test_a_message_names_the_figures_what_costs_most_and_the_fix() -> None:
    lines = {"h100": 40_000, "l40s": 13_000, "system": 900, "disks": 100}
    cost = estimate(*((name, Decimal(amount)) for name, amount in lines.items()))
    (problem,) = ceiling_problems(ceiling(50_000), cost)
    assert problem.message == (
        "50,000 USD a month: the stack may cost 54,000 to 54,000 USD, most of it h100 (1 × h100: 40,000), "
        "l40s (1 × l40s: 13,000), system (1 × system: 900); lower maxNodes of what costs most, or raise the "
        "ceiling to 54,000"
    )


def test_what_has_no_price_is_refused_unless_it_is_accepted() -> None:
    cost = estimate(("pool", Decimal(100)), ("tpu", None))
    (problem,) = ceiling_problems(ceiling(1_000), cost)
    assert (problem.path, problem.message.partition(":")[0]) == ("unpriced", "tpu")
    assert ceiling_problems(ceiling(1_000, unpriced="accept"), cost) == []
    (problem,) = ceiling_problems(ceiling(99, unpriced="accept"), cost)
    assert "100 USD without tpu" in problem.message


def test_a_ceiling_of_what_has_no_price_at_all_is_refused() -> None:
    assert [problem.path for problem in ceiling_problems(ceiling(10), None)] == ["monthlyUsd"]
    assert (
        "in EUR" in ceiling_problems(ceiling(10), estimate(("pool", Decimal(1)), currency="EUR"))[0].message
    )


def test_without_a_ceiling_nothing_is_refused() -> None:
    assert ceiling_problems(None, estimate(("pool", Decimal(10**9)))) == []
    assert ceiling_problems(None, None) == []


@pytest.mark.parametrize("amount", [0, -1, "NaN", "Infinity", "much"])
def test_a_ceiling_is_an_amount(amount: object) -> None:
    with pytest.raises(ValidationError):
        CostCeiling.model_validate({"monthlyUsd": amount})


COUNTED: Mapping[str, str] = {
    "aws:ec2/natGateway:NatGateway": "NAT gateways",
    "aws:eks/cluster:Cluster": "EKS control plane",
    "aws:kms/key:Key": "KMS keys",
    "gcp:container/cluster:Cluster": "GKE control plane",
    "gcp:kms/cryptoKey:CryptoKey": "Cloud KMS key versions",
}


@pytest.mark.parametrize("stack", ["prod", "staging"])
def test_the_plan_counts_what_a_preview_registers(stack: str) -> None:
    """Keys, control planes, gateways, endpoints and load balancers: their number is known without a graph."""
    cost = estimate_of(stack)
    assert cost is not None
    registrations, _ = stack_graph(stack)
    found = Counter(COUNTED[each.type] for each in registrations if each.type in COUNTED)
    found["VPC interface endpoints"] = sum(
        len(each.inputs["subnetIds"])
        for each in registrations
        if each.type == "aws:ec2/vpcEndpoint:VpcEndpoint" and each.inputs["vpcEndpointType"] == "Interface"
    )
    found["Load balancer"] = sum(
        each.type == "kubernetes:core/v1:Service" and each.inputs["spec"].get("type") == "LoadBalancer"
        for each in registrations
    )
    names = {*COUNTED.values(), "VPC interface endpoints", "Load balancer"}
    planned = {line.name: int(line.what.partition(" ")[0]) for line in cost.lines if line.name in names}
    assert planned == {name: number for name, number in found.items() if number}


def test_a_stack_on_machines_that_are_there_has_no_estimate() -> None:
    assert estimate_of("onprem") is None


def test_a_larger_pool_costs_more_at_its_largest() -> None:
    plan = stack_plan("prod")
    first, *rest = plan.cluster.pools
    below = plan.cluster.below
    assert below is not None
    larger = (replace(first, max_nodes=first.max_nodes + 1), *rest)
    cluster = replace(plan.cluster, below=replace(below, pools=larger))  # type: ignore[call-arg]
    costs = [
        planned_cost(plan.settings, each, models=plan.models, buckets=plan.buckets, entry=plan.entry)
        for each in (plan.cluster, cluster)
    ]
    assert costs[0] is not None
    assert costs[1] is not None
    assert costs[1].high > costs[0].high
    assert costs[1].low == costs[0].low
