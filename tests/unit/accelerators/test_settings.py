"""What people write of taints and sharing."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from components.accelerators import shapes
from components.accelerators.catalogue import ACCELERATORS
from components.accelerators.settings import EXCLUSIVE, Sharing, Taint

SHARING: TypeAdapter[Sharing] = TypeAdapter(Sharing)


def test_sharing_as_the_planners_take_it() -> None:
    assert EXCLUSIVE.shape() == shapes.Sharing()
    assert SHARING.validate_python({"kind": "time-slicing", "replicas": 4}).shape() == shapes.Sharing(
        "time-slicing", replicas=4
    )
    assert SHARING.validate_python({"kind": "mig", "profile": "3g.40gb"}).shape() == shapes.Sharing(
        "mig", profile="3g.40gb"
    )


def test_every_profile_of_the_catalogue_can_be_written() -> None:
    for card in ACCELERATORS.values():
        for profile in card.mig_profiles:
            assert SHARING.validate_python({"kind": "mig", "profile": profile}).shape().profile == profile


@pytest.mark.parametrize(
    "written",
    [
        {"kind": "time-slicing", "replicas": 1},
        {"kind": "time-slicing", "replicas": 49},
        {"kind": "time-slicing", "replicas": "4"},
        {"kind": "mig", "profile": "3g.40GB"},
        {"kind": "mig"},
        {"kind": "mps"},
        {"kind": "exclusive", "replicas": 2},
    ],
)
def test_sharing_that_cannot_be_written(written: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SHARING.validate_python(written)


def test_a_taint_as_the_scheduler_sees_it() -> None:
    assert Taint.model_validate({"key": "dedicated"}).shape() == shapes.Taint("dedicated", "", "NoSchedule")
    written = {"key": "example.com/team", "value": "vision", "effect": "NoExecute"}
    assert Taint.model_validate(written).shape() == shapes.Taint("example.com/team", "vision", "NoExecute")


@pytest.mark.parametrize(
    "written",
    [
        {"key": "Ü"},
        {"key": "a", "value": "-"},
        {"key": "a", "effect": "NO_SCHEDULE"},
        {"key": "a", "value": None},
    ],
)
def test_a_taint_that_kubernetes_would_refuse(written: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Taint.model_validate(written)
