"""TPU slices: what holds for every topology, and what is said of one that does not exist."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.accelerators.machine_types import machine_type
from components.accelerators.tpu import (
    GENERATIONS,
    Generation,
    TopologyError,
    slice_on,
    topologies,
    topology,
)

KNOWN = [(generation, text) for generation in GENERATIONS for text in topologies(generation)]


@pytest.mark.parametrize(("generation", "text"), KNOWN)
def test_every_slice_adds_up(generation: Generation, text: str) -> None:
    found = topology(generation, text)
    assert found.chips == math.prod(int(side) for side in text.split("x"))
    assert found.chips == found.hosts * found.chips_per_host
    machine = machine_type("gcp", found.machine_type)
    assert machine.accelerator == f"TPU-{generation}"
    assert machine.accelerator_count == found.chips_per_host
    assert found.multi_host == (found.hosts > 1)
    assert slice_on(found.machine_type, text) == found


@pytest.mark.parametrize(("generation", "text"), KNOWN)
def test_a_topology_has_the_dimensions_of_its_generation_in_ascending_order(
    generation: Generation, text: str
) -> None:
    sides = [int(side) for side in text.split("x")]
    if generation in ("v5e", "v6e"):
        assert len(sides) == 2
        assert sides == sorted(sides)
    else:
        assert len(sides) == 3
        assert text == "2x2x1" or sides == sorted(sides)


@given(st.sampled_from(GENERATIONS), st.text(alphabet="0123456789x", max_size=12))
def test_any_text_is_a_slice_or_refused_with_topologies_that_exist(generation: Generation, text: str) -> None:
    try:
        assert topology(generation, text).topology == text
    except TopologyError as error:
        assert text not in topologies(generation)
        nearest = str(error).split("nearest are ")[1].split(", ")
        assert set(nearest) <= set(topologies(generation))
        assert len(nearest) == 3


def test_one_host_of_eight_chips_or_two_of_four() -> None:
    assert topology("v5e", "2x4").machine_type == "ct5lp-hightpu-8t"
    two = topology("v5e", "2x4", "ct5lp-hightpu-4t")
    assert (two.hosts, two.chips_per_host) == (2, 4)


@pytest.mark.parametrize(
    ("machine", "text", "message"),
    [
        ("ct5lp-hightpu-4t", "4x2", "'4x2': TPU v5e has no such topology; nearest are 2x4, 2x2, 4x4"),
        (
            "ct6e-standard-8t",
            "4x4",
            "'4x4': not a topology of ct6e-standard-8t; it is made up of ct6e-standard-4t; ct6e-standard-8t "
            "makes up 2x4",
        ),
        ("ct4p-hightpu-4t", "2x2", "'2x2': TPU v4 has no such topology; nearest are 2x2x1, 2x2x2, 2x2x4"),
        (
            "ct6e-standard-4t",
            "wide",
            "'wide': TPU v6e has no such topology; nearest are 1x1, 2x2, 2x4",
        ),
    ],
)
def test_a_topology_that_the_machine_lacks_is_refused_with_those_it_has(
    machine: str, text: str, message: str
) -> None:
    with pytest.raises(TopologyError) as error:
        slice_on(machine, text)
    assert str(error.value) == message


def test_a_machine_without_tpu_has_no_topology() -> None:
    with pytest.raises(
        TopologyError, match="e2-standard-4 has no TPU; TPU machine types are ct4p-hightpu-4t"
    ):
        slice_on("e2-standard-4", "1x1")
