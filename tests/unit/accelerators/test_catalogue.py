"""The accelerators themselves."""

from __future__ import annotations

import pytest

from components.accelerators.catalogue import (
    ACCELERATORS,
    AUTOGLM,
    DRIVER_MINIMUM,
    Accelerator,
    accelerator,
    support,
)
from components.accelerators.lookup import UnknownNameError
from components.accelerators.machine_types import MACHINE_TYPES, machine_type
from components.common.quantities import GIB


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


GPUS = [card for card in ACCELERATORS.values() if card.kind == "gpu"]
PARTITIONED = [(card, profile) for card in GPUS for profile in card.mig_profiles.values()]


def test_every_accelerator_that_was_asked_for_is_there() -> None:
    assert set(ACCELERATORS) == {
        *("T4", "L4", "A10G", "L40S", "A100-40", "A100-80", "H100-80", "H200", "B200"),
        *("TPU-v4", "TPU-v5e", "TPU-v5p", "TPU-v6e"),
        *("Inferentia2", "Trainium", "Trainium2"),
        *("Ascend-910B", "MLU370-X8", "MLU590"),
    }


def test_resource_names() -> None:
    names = {card.kind: card.resource for card in ACCELERATORS.values()}
    assert names == {
        "gpu": "nvidia.com/gpu",
        "tpu": "google.com/tpu",
        "neuron": "aws.amazon.com/neuron",
        "npu": "huawei.com/Ascend910",
        "mlu": "cambricon.com/mlu",
    }


@pytest.mark.parametrize("card", ACCELERATORS.values(), ids=lambda card: card.name)
def test_no_plan_reckons_with_more_memory_than_is_stated(card: Accelerator) -> None:
    assert 0.85 * card.memory < card.usable_memory < card.memory


@pytest.mark.parametrize("card", GPUS, ids=lambda card: card.name)
def test_no_card_is_driven_by_an_older_driver_than_the_platform_accepts(card: Accelerator) -> None:
    assert card.driver_minimum
    assert _version(card.driver_minimum) >= _version(DRIVER_MINIMUM) >= (535, 104)
    assert card.cuda_minimum


@pytest.mark.parametrize(("card", "profile"), PARTITIONED, ids=lambda item: item.name)
def test_instances_of_a_card_fit_into_it(card: Accelerator, profile: object) -> None:
    partition = card.mig_profiles[profile.name]  # type: ignore[attr-defined]
    slices, gigabytes = partition.name.split(".")
    assert partition.max_instances * int(slices.removesuffix("g")) <= 7
    assert partition.max_instances * partition.memory <= card.usable_memory + GIB
    assert partition.memory < int(gigabytes.removesuffix("gb")) * GIB
    assert partition.resource == f"nvidia.com/mig-{partition.name}"


def test_cards_are_partitioned_differently() -> None:
    names = {card.name: set(card.mig_profiles) for card in GPUS}
    assert "3g.20gb" in names["A100-40"]
    assert names["A100-80"] == names["H100-80"]
    assert "3g.71gb" in names["H200"]
    assert "3g.90gb" in names["B200"]
    assert names["L4"] == names["T4"] == names["A10G"] == names["L40S"] == set()


@pytest.mark.parametrize("card", ACCELERATORS.values(), ids=lambda card: card.name)
def test_every_verdict_has_its_reason(card: Accelerator) -> None:
    verdict = support(AUTOGLM, card)
    assert verdict == support(AUTOGLM, card.name)
    assert verdict.reason
    assert "nothing is known" not in verdict.reason


def test_only_nvidia_cards_that_compute_bfloat16_are_proven() -> None:
    proven = {name for name in ACCELERATORS if support(AUTOGLM, name).proven}
    assert proven == {"L4", "A10G", "L40S", "A100-40", "A100-80", "H100-80", "H200"}
    assert all((ACCELERATORS[name].compute_capability or (0, 0)) >= (8, 0) for name in proven)


def test_a_model_that_nothing_is_known_of_is_unproven_everywhere() -> None:
    assert not any(support("SomethingElse", card).proven for card in ACCELERATORS.values())


def test_every_machine_has_an_accelerator_of_the_catalogue() -> None:
    for machines in MACHINE_TYPES.values():
        for machine in machines.values():
            assert (machine.accelerator is None) == (machine.accelerator_count == 0)
            assert machine.accelerator is None or machine.accelerator in ACCELERATORS
            assert set(machine.attachable) <= set(ACCELERATORS)


def test_a_name_that_is_not_known_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'H100': not a known accelerator; nearest are H200, H100-80"):
        accelerator("H100")
    with pytest.raises(UnknownNameError) as error:
        machine_type("aws", "p5.8xlarge")
    assert str(error.value).startswith(
        "'p5.8xlarge': not a known EC2 instance type; nearest are p5.48xlarge, "
    )
    with pytest.raises(UnknownNameError, match=r"'g6\.xlarge': not a known Google Cloud machine type"):
        machine_type("gcp", "g6.xlarge")
