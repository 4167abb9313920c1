"""Our EC2 instance types against what EC2 itself says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from components.accelerators.catalogue import accelerator
from components.accelerators.ec2 import EC2
from components.accelerators.machine import MachineType
from components.common.quantities import MIB
from tests.unit.accelerators.recorded import ec2_enumeration, ec2_instance_types

NOT_RECORDED: Mapping[str, str] = {}
"""Instance types that moto has not recorded, with the reason why we have them all the same."""
DISAGREEMENTS: Mapping[tuple[str, str], str] = {
    ("trn2.3xlarge", "device memory"): "EC2 says 512 GiB of each Trainium2; Neuron's documentation 96 GiB",
    ("trn2.48xlarge", "device memory"): "EC2 says 512 GiB of each Trainium2; Neuron's documentation 96 GiB",
}
"""What we have against EC2's own word, with the reason."""


def _devices(recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    """The accelerators of an instance type; EC2 keeps GPUs and Neuron devices apart."""
    lists = [
        *recorded.get("GpuInfo", {}).get("Gpus", []),
        *recorded.get("NeuronInfo", {}).get("NeuronDevices", []),
    ]
    assert len(lists) <= 1, f"{recorded['InstanceType']} has two kinds of accelerator"
    return dict(*lists)


def _default_card(recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    network = recorded["NetworkInfo"]
    card: Mapping[str, Any]
    (card,) = (
        card
        for card in network["NetworkCards"]
        if card["NetworkCardIndex"] == network["DefaultNetworkCardIndex"]
    )
    return card


def facts(machine: MachineType, recorded: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    """Name of a fact, our value, EC2's value."""
    devices, network = _devices(recorded), recorded["NetworkInfo"]
    card = accelerator(machine.accelerator) if machine.accelerator else None
    yield "vCPUs", machine.vcpus, recorded["VCpuInfo"]["DefaultVCpus"]
    yield "memory", machine.memory, recorded["MemoryInfo"]["SizeInMiB"] * MIB
    yield "architecture", [machine.architecture], recorded["ProcessorInfo"]["SupportedArchitectures"]
    yield "devices", machine.accelerator_count, devices.get("Count", 0)
    yield "device", card.ec2_name if card else None, devices.get("Name")
    size = devices.get("MemoryInfo", {}).get("SizeInMiB")
    yield "device memory", card.memory if card else None, size and size * MIB
    stored = recorded.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0)
    yield "instance store", machine.instance_store, stored * 10**9
    efa = network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0)
    yield "EFA", machine.efa_interfaces, efa if network["EfaSupported"] else 0
    strategies = recorded["PlacementGroupInfo"]["SupportedStrategies"]
    yield "placement group", machine.placement_group, "cluster" in strategies
    yield "interfaces", machine.network_interfaces, _default_card(recorded)["MaximumNetworkInterfaces"]
    yield "addresses", machine.addresses_per_interface, network["Ipv4AddressesPerInterface"]


@pytest.mark.parametrize("machine", EC2, ids=lambda machine: machine.name)
def test_an_instance_type_is_what_ec2_says_of_it(machine: MachineType) -> None:
    recorded = ec2_instance_types().get(machine.name)
    if recorded is None:
        assert machine.name in NOT_RECORDED, f"{machine.name} is not in moto's data: give the reason for it"
        return
    for name, ours, theirs in facts(machine, recorded):
        if (machine.name, name) not in DISAGREEMENTS:
            assert ours == theirs, f"{machine.name}, {name}: the catalogue has {ours}, EC2 {theirs}"


def test_no_exception_is_out_of_date() -> None:
    machines = {machine.name: machine for machine in EC2}
    for name in NOT_RECORDED:
        assert name in machines, f"{name} is no longer in the catalogue"
        assert name not in ec2_instance_types(), f"moto has {name} by now: remove the exception"
    for name, fact in DISAGREEMENTS:
        values = {
            key: (ours, theirs) for key, ours, theirs in facts(machines[name], ec2_instance_types()[name])
        }
        ours, theirs = values[fact]
        assert ours != theirs, f"EC2 says {theirs} of {name}, {fact}, as we do: remove the exception"


def test_the_api_knows_every_instance_type() -> None:
    assert {machine.name for machine in EC2} - ec2_enumeration("InstanceType") == set()


def test_every_size_of_our_families_with_accelerators_is_there() -> None:
    """An instance type that somebody may well write is not missing by oversight."""
    families = {machine.name.split(".")[0] for machine in EC2 if machine.accelerator}
    recorded = {name for name in ec2_instance_types() if name.split(".")[0] in families}
    assert recorded - {machine.name for machine in EC2} == set()


def test_pods_of_a_node_by_the_addresses_of_its_interfaces() -> None:
    """As in eni-max-pods.txt of awslabs/amazon-eks-ami."""
    pods = {machine.name: machine.max_pods for machine in EC2}
    listed = {"m7i.large": 29, "m7i.xlarge": 58, "g5.48xlarge": 345, "g6e.12xlarge": 292, "g6e.48xlarge": 492}
    listed |= {"p4d.24xlarge": 737, "p5.48xlarge": 100, "p5en.48xlarge": 198, "trn1.32xlarge": 247}
    assert {name: pods[name] for name in listed} == listed
