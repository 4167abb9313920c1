"""Our Google Cloud machine types, against the API's own document and the numbers in the names."""

from __future__ import annotations

import re

import pytest

from components.accelerators.catalogue import ACCELERATORS, accelerator
from components.accelerators.gce import GCE
from components.accelerators.machine import MachineType
from components.accelerators.machine_types import machine_type, with_accelerators
from components.accelerators.shapes import Sharing, Taint, accelerator_labels, accelerator_taints
from components.accelerators.tpu import GENERATIONS, slice_on
from components.common.quantities import GIB
from tests.unit.accelerators.recorded import google_schemas


@pytest.mark.parametrize("machine", GCE, ids=lambda machine: machine.name)
def test_the_numbers_in_a_name_are_those_of_the_machine(machine: MachineType) -> None:
    if general := re.fullmatch(r"(e2|n1|n2|c3|g2)-standard-(\d+)", machine.name):
        assert machine.vcpus == int(general[2])
        per_vcpu = machine.memory / machine.vcpus / GIB
        assert per_vcpu == (3.75 if general[1] == "n1" else 4)
    else:
        devices = re.fullmatch(r"(?:a\d|ct\d\w*)-[a-z]+-(\d+)([gt])", machine.name)
        assert devices, machine.name
        assert machine.accelerator_count == int(devices[1])
        card = accelerator(str(machine.accelerator))
        assert card.kind == {"g": "gpu", "t": "tpu"}[devices[2]]


@pytest.mark.parametrize("machine", [m for m in GCE if m.gke_accelerator], ids=lambda m: m.name)
def test_the_accelerator_type_is_one_of_the_card(machine: MachineType) -> None:
    card = accelerator(str(machine.accelerator))
    assert machine.gke_accelerator in card.gke_types
    if gigabytes := re.search(r"-(\d+)gb$", str(machine.gke_accelerator)):
        assert card.memory / GIB == pytest.approx(int(gigabytes[1]), rel=0.01)


def test_an_accelerator_type_belongs_to_one_card() -> None:
    types = [name for card in ACCELERATORS.values() for name in card.gke_types]
    assert len(types) == len(set(types))


def test_the_api_knows_the_tpu_generations() -> None:
    """The TPU API's own names: V5LITE_POD is what everybody calls v5e."""
    known = google_schemas("tpu.v2")["AcceleratorConfig"]["properties"]["type"]["enum"]
    for generation in GENERATIONS:
        assert {"v5e": "V5LITE_POD"}.get(generation, generation.upper()) in known


def test_the_api_has_the_fields_that_the_catalogue_is_for() -> None:
    container, compute = google_schemas("container.v1"), google_schemas("compute.v1")
    assert {"acceleratorCount", "acceleratorType", "gpuPartitionSize", "gpuSharingConfig"} <= set(
        container["AcceleratorConfig"]["properties"]
    )
    assert "TIME_SHARING" in container["GPUSharingConfig"]["properties"]["gpuSharingStrategy"]["enum"]
    assert {"tpuTopology", "type"} <= set(container["PlacementPolicy"]["properties"])
    assert "NO_SCHEDULE" in container["NodeTaint"]["properties"]["effect"]["enum"]
    assert {"guestCpus", "memoryMb", "accelerators", "bundledLocalSsds"} <= set(
        compute["MachineType"]["properties"]
    )


def test_a_t4_is_added_to_an_n1() -> None:
    machine = with_accelerators(machine_type("gcp", "n1-standard-8"), "T4", 2)
    assert (machine.accelerator, machine.accelerator_count) == ("T4", 2)
    assert machine.gke_accelerator == "nvidia-tesla-t4"


@pytest.mark.parametrize(
    ("name", "device", "count", "possible"),
    [
        ("n1-standard-64", "T4", 1, "T4: 4"),
        ("n1-standard-8", "T4", 3, "T4: 1, 2, 4"),
        ("n1-standard-8", "H100-80", 1, "T4: 1, 2, 4"),
        ("e2-standard-4", "T4", 1, "no accelerators"),
    ],
)
def test_what_a_machine_does_not_take_is_refused_with_what_it_takes(
    name: str, device: str, count: int, possible: str
) -> None:
    with pytest.raises(ValueError, match=f"{count} {device}: {name} takes {possible}"):
        with_accelerators(machine_type("gcp", name), device, count)


def test_labels_that_gke_sets() -> None:
    assert accelerator_labels(machine_type("gcp", "a2-ultragpu-1g"), Sharing("mig", profile="3g.40gb")) == {
        "autoglm-platform/accelerator": "A100-80",
        "cloud.google.com/gke-accelerator": "nvidia-a100-80gb",
        "cloud.google.com/gke-gpu-partition-size": "3g.40gb",
    }
    assert accelerator_labels(machine_type("gcp", "g2-standard-4"), Sharing("time-slicing", replicas=4)) == {
        "autoglm-platform/accelerator": "L4",
        "cloud.google.com/gke-accelerator": "nvidia-l4",
        "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing",
        "cloud.google.com/gke-max-shared-clients-per-gpu": "4",
    }
    machine = machine_type("gcp", "ct6e-standard-4t")
    assert accelerator_labels(machine, tpu_slice=slice_on(machine.name, "4x4")) == {
        "autoglm-platform/accelerator": "TPU-v6e",
        "cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice",
        "cloud.google.com/gke-tpu-topology": "4x4",
    }


def test_taints_that_gke_sets() -> None:
    assert accelerator_taints(machine_type("gcp", "g2-standard-4")) == (
        Taint("nvidia.com/gpu", "present", "NoSchedule"),
    )
    assert accelerator_taints(machine_type("gcp", "ct6e-standard-4t")) == (
        Taint("google.com/tpu", "present", "NoSchedule"),
    )
    assert accelerator_taints(machine_type("gcp", "e2-standard-4")) == ()
