"""What a node leaves for pods, and how pods share its accelerators."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.accelerators import reservation
from components.accelerators.catalogue import accelerator
from components.accelerators.gce import LOCAL_SSD
from components.accelerators.machine import MachineType
from components.accelerators.machine_types import MACHINE_TYPES, machine_type
from components.accelerators.shapes import (
    EXCLUSIVE,
    Sharing,
    eks_allocatable,
    gke_allocatable,
    schedulable_units,
    sharing_problems,
)
from components.common.problems import Problem
from components.common.quantities import GIB, MIB

MACHINES = [machine for machines in MACHINE_TYPES.values() for machine in machines.values()]


def sharings(machine: MachineType) -> list[Sharing]:
    """Every way to share the machine's accelerators in which there is no problem."""
    card = accelerator(machine.accelerator) if machine.accelerator else None
    ways = [EXCLUSIVE, Sharing("time-slicing", replicas=4)]
    ways += [Sharing("mig", profile=name) for name in (card.mig_profiles if card else ())]
    return [way for way in ways if not sharing_problems(machine, way)]


SHARED = [(machine, way) for machine in MACHINES for way in sharings(machine)]


@given(st.sampled_from(SHARED), st.integers(min_value=30 * GIB, max_value=4096 * GIB))
def test_pods_never_get_more_than_the_machine_has(way: tuple[MachineType, Sharing], disk: int) -> None:
    machine, sharing = way
    of_cloud = {"aws": eks_allocatable, "gcp": gke_allocatable}[machine.cloud]
    allocatable = of_cloud(machine, disk, sharing)
    assert 0 < allocatable["cpu"] < machine.vcpus * 1000
    assert 0 < allocatable["memory"] < machine.memory
    assert 0 < allocatable["ephemeral-storage"] < disk
    assert 0 < allocatable["pods"] <= 737


@given(st.sampled_from(SHARED))
def test_units_of_a_device_that_isolates_do_not_exceed_it(way: tuple[MachineType, Sharing]) -> None:
    machine, sharing = way
    units = schedulable_units(machine.cloud, machine, sharing)
    if units is None:
        assert machine.accelerator is None
        return
    card = accelerator(str(machine.accelerator))
    assert units.count % machine.accelerator_count == 0
    assert units.memory <= card.usable_memory
    if sharing.kind != "time-slicing":
        assert units.count * units.memory <= machine.accelerator_count * (card.usable_memory + GIB)


@given(st.integers(min_value=1, max_value=400), st.integers(min_value=1, max_value=400))
def test_a_larger_machine_leaves_more(cores: int, more: int) -> None:
    small, large = cores * 1000, (cores + more) * 1000
    assert small - reservation.cpu_reserved(small) < large - reservation.cpu_reserved(large)
    assert reservation.gke_memory(cores * 4 * GIB) < reservation.gke_memory((cores + more) * 4 * GIB)
    assert reservation.eks_memory(cores * 4 * GIB, 58) < reservation.eks_memory((cores + more) * 4 * GIB, 58)


@pytest.mark.parametrize(
    ("cores", "reserved"), [(1, 60), (2, 70), (4, 80), (8, 90), (16, 110), (96, 310), (192, 550)]
)
def test_cpu_that_nodes_keep(cores: int, reserved: int) -> None:
    """As in nodeadm's config_test.go and in GKE's documentation."""
    assert reservation.cpu_reserved(cores * 1000) == reserved


def test_memory_that_an_eks_node_keeps() -> None:
    """nodeadm: 11 MiB × 58 pods + 255 MiB = 893 MiB; Karpenter's 7.5 % for what the node does not see."""
    stated = 16 * GIB
    seen = stated * 925 // 1000
    left = eks_allocatable(machine_type("aws", "m7i.xlarge"), 100 * GIB)["memory"]
    assert seen - left == pytest.approx(893 * MIB + 100 * MIB, abs=2)


def test_memory_that_a_gke_node_keeps() -> None:
    """GKE's brackets for 64 GiB: 25 % of 4000 MiB, 20 % of 4000, 10 % of 8000, 6 % of the rest."""
    stated = 64 * GIB
    kube_reserved = 1000 + 800 + 800 + int(0.06 * (65536 - 16000))
    kernel = stated // 64 + 80 * MIB + int(0.00175 * stated) + 1
    assert stated - reservation.gke_memory(stated) == kernel + kube_reserved * MIB + 100 * MIB


@pytest.mark.parametrize(("disk", "reserved"), [(30, 15), (50, 23), (100, 41), (400, 100)])
def test_disk_that_gke_reserves(disk: int, reserved: int) -> None:
    """GKE's documentation: the smallest of half the disk, 6 GiB + 35 % and 100 GiB."""
    size = disk * GIB
    capacity = size - 0.015635 * size - 4.148 * GIB - min(100 * MIB, 0.001 * size)
    assert reservation.gke_boot_disk(size) == pytest.approx(capacity * 0.9 - reserved * GIB, abs=4)


def test_local_ssds_hold_the_files_of_pods() -> None:
    machine = machine_type("gcp", "a3-highgpu-8g")
    assert machine.instance_store == 16 * LOCAL_SSD
    with_ssds = gke_allocatable(machine, 100 * GIB, local_ssds=16)["ephemeral-storage"]
    assert 5000 * GIB < with_ssds < 16 * LOCAL_SSD * 9 // 10


def test_images_on_the_same_disk_are_set_aside() -> None:
    machine = machine_type("aws", "g6e.2xlarge")
    free = eks_allocatable(machine, 200 * GIB)["ephemeral-storage"]
    assert eks_allocatable(machine, 200 * GIB, images=30 * GIB)["ephemeral-storage"] == free - 30 * GIB
    assert eks_allocatable(machine, 200 * GIB, images=999 * GIB)["ephemeral-storage"] == 0


def test_the_node_configuration_may_set_the_number_of_pods() -> None:
    machine = machine_type("aws", "m7i.xlarge")
    more = eks_allocatable(machine, 100 * GIB, max_pods=110)
    assert more["pods"] == 110
    assert eks_allocatable(machine, 100 * GIB)["memory"] - more["memory"] == (110 - 58) * 11 * MIB


def test_partitions_are_named_by_profile_on_eks_and_as_gpus_on_gke() -> None:
    mig = Sharing("mig", profile="3g.40gb")
    on_eks = eks_allocatable(machine_type("aws", "p5.48xlarge"), 100 * GIB, mig)
    assert on_eks["nvidia.com/mig-3g.40gb"] == 16
    assert "nvidia.com/gpu" not in on_eks
    on_gke = gke_allocatable(machine_type("gcp", "a3-highgpu-8g"), 100 * GIB, mig)
    assert on_gke["nvidia.com/gpu"] == 16


def test_time_slicing_multiplies_the_count_and_not_the_memory() -> None:
    machine = machine_type("aws", "g6.12xlarge")
    units = schedulable_units("aws", machine, Sharing("time-slicing", replicas=3))
    assert units is not None
    assert (units.resource, units.count) == ("nvidia.com/gpu", 12)
    assert units.memory == accelerator("L4").usable_memory


@pytest.mark.parametrize(
    ("cloud", "machine", "sharing", "problem"),
    [
        (
            "aws",
            "m7i.large",
            Sharing("mig", profile="3g.40gb"),
            Problem("kind", "'mig': m7i.large has no accelerator; write exclusive"),
        ),
        (
            "aws",
            "g6.xlarge",
            Sharing("mig", profile="3g.40gb"),
            Problem("kind", "'mig': L4 cannot be partitioned; write exclusive or time-slicing"),
        ),
        (
            "aws",
            "p5e.48xlarge",
            Sharing("mig", profile="3g.40gb"),
            Problem(
                "profile",
                "'3g.40gb': not a profile of H200; write one of 3g.71gb, 7g.141gb, 4g.71gb, 2g.35gb, "
                "1g.35gb, 1g.18gb",
            ),
        ),
        (
            "gcp",
            "a2-highgpu-1g",
            Sharing("mig", profile="4g.20gb"),
            Problem(
                "profile",
                "'4g.20gb': not a profile of A100-40 on GKE; write one of 3g.20gb, 7g.40gb, 2g.10gb, 1g.5gb",
            ),
        ),
        (
            "gcp",
            "a2-highgpu-1g",
            Sharing("mig"),
            Problem("profile", "missing: A100-40 has 1g.5gb, 2g.10gb, 3g.20gb, 7g.40gb; write one"),
        ),
        (
            "gcp",
            "ct6e-standard-4t",
            Sharing("time-slicing", replicas=2),
            Problem("kind", "'time-slicing': TPU-v6e cannot be shared; write exclusive"),
        ),
        (
            "aws",
            "g6.xlarge",
            Sharing("time-slicing", replicas=1),
            Problem("replicas", "1: write 2 to 48"),
        ),
        (
            "aws",
            "g6.xlarge",
            Sharing("exclusive", replicas=2),
            Problem("replicas", "2: only for kind time-slicing; remove it"),
        ),
        (
            "aws",
            "p4d.24xlarge",
            Sharing("exclusive", profile="3g.20gb"),
            Problem("profile", "'3g.20gb': only for kind mig; remove it"),
        ),
    ],
)
def test_sharing_that_cannot_be(cloud: str, machine: str, sharing: Sharing, problem: Problem) -> None:
    assert sharing_problems(MACHINE_TYPES[cloud][machine], sharing) == [problem]  # type: ignore[index]


def test_units_are_refused_for_a_profile_that_the_card_lacks() -> None:
    with pytest.raises(ValueError, match=r"'3g\.71gb': H100-80 has no such profile"):
        schedulable_units("aws", machine_type("aws", "p5.48xlarge"), Sharing("mig", profile="3g.71gb"))
