"""Roles of the machines, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from components.common.quantities import GIB, MIB
from components.hosts.reservations import allocatable, kubelet_fields
from tests.unit.hosts.examples import NODES, VIRTUAL_IP, plan, refused


def test_roles() -> None:
    roles = {host.name: host.role for host in plan().hosts}
    assert roles == {
        "node-1": "first-control-plane",
        "node-2": "control-plane",
        "node-3": "control-plane",
        "gpu-1": "worker",
        "npu-1": "worker",
        "mlu-1": "worker",
    }


def test_the_endpoint_is_the_virtual_address_or_its_name() -> None:
    assert plan().endpoint == "192.168.1.101:8443"
    assert plan({"endpointName": "api.example.com"}).endpoint == "api.example.com:8443"


def test_f45_even_number_of_members() -> None:
    four = [*NODES, {"name": "node-4", "address": "192.168.1.14"}]
    virtual_ip = VIRTUAL_IP | {"nodes": four}
    assert refused({"nodes": four, "virtualIp": virtual_ip}) == [
        "controlPlane.nodes: 4 control-plane nodes: an even number bears no more losses than 3; "
        "add or remove one"
    ]


def test_f45_even_number_of_external_members() -> None:
    etcd = {"kind": "external", "endpoints": [f"https://192.168.1.{n}:2379" for n in (11, 12, 13, 14)]}
    (problem,) = refused({"etcd": etcd})
    assert problem.startswith("controlPlane.etcd.endpoints: 4 etcd members: an even number")


def test_a_control_plane_of_one_is_refused() -> None:
    one = NODES[:1]
    problems = refused({"nodes": one, "virtualIp": VIRTUAL_IP | {"nodes": one}})
    assert (
        "controlPlane.nodes: 1 control-plane nodes: the loss of one stops the cluster; give three or five"
        in (problems)
    )


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({"podCidr": "10.96.0.0/12"}, "serviceCidr: 10.96.0.0/16: overlaps podCidr"),
        ({"podCidr": "192.168.0.0/16"}, "controlPlane.virtualIp.address: 192.168.1.0/24: overlaps podCidr"),
    ],
)
def test_f46_overlapping_ranges(changes: dict[str, Any], begins: str) -> None:
    (problem,) = refused(**changes)
    assert problem.startswith(begins)


def test_the_apis_address_is_on_the_nodes_that_run_it() -> None:
    others = [{"name": "x", "address": "192.168.1.11"}, *NODES[1:]]
    (problem,) = refused({"virtualIp": VIRTUAL_IP | {"nodes": others}})
    assert problem.startswith(
        "controlPlane.virtualIp.nodes[0]: x (192.168.1.11): not one of controlPlane.nodes"
    )


def test_the_apis_address_leads_to_the_api() -> None:
    frontend = {"kind": "model-api", "plainHttp": True}
    (problem,) = refused({"virtualIp": VIRTUAL_IP | {"frontend": frontend}})
    assert problem.startswith("controlPlane.virtualIp.frontend.kind: model-api: this address is for the API")


def test_two_addresses_of_one_machine() -> None:
    nodes = [{"name": "node-1", "address": "192.168.1.19"}, *NODES[1:]]
    (problem,) = refused({"nodes": nodes, "virtualIp": VIRTUAL_IP | {"nodes": nodes}})
    assert (
        problem
        == "controlPlane.nodes[0].address: 192.168.1.19: nodePools have 192.168.1.11 for node-1; correct one"
    )


def test_problems_of_the_virtual_ip_are_told_with_their_path() -> None:
    problems = refused({"virtualIp": VIRTUAL_IP | {"routerId": 256}})
    assert problems[0].startswith("controlPlane.virtualIp.routerId: 256: ")


def test_what_pods_can_have_and_what_the_kubelet_is_told_agree() -> None:
    fields: dict[str, Any] = kubelet_fields(16_000)
    amounts = allocatable(16_000, 64 * GIB, 400 * GIB)
    reserved = int(fields["kubeReserved"]["cpu"][:-1]) + int(fields["systemReserved"]["cpu"][:-1])
    assert amounts["cpu"] == 16_000 - reserved
    assert fields["kubeReserved"]["memory"] == fields["systemReserved"]["memory"] == "1Gi"
    assert fields["evictionHard"]["memory.available"] == "500Mi"
    assert amounts["memory"] == 62 * GIB - 500 * MIB
    assert amounts["ephemeral-storage"] == 359 * GIB


def test_a_machine_too_small_for_itself_offers_nothing() -> None:
    assert allocatable(100, GIB, GIB) == {"cpu": 0, "memory": 0, "ephemeral-storage": 0, "pods": 110}
