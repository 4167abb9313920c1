"""What is written here about AWS, against data that nobody here wrote: botocore's models, moto's records."""

from __future__ import annotations

import gzip
import json
import re
from importlib import resources
from ipaddress import IPv4Network
from typing import Any, get_args

import boto3  # type: ignore[import-untyped]
import moto
import pytest

from components.accelerators.machine_types import MACHINE_TYPES
from components.eks.cidr import plan_subnets
from components.eks.cluster import LOG_TYPES
from components.eks.offerings import FILE, load_offerings
from components.eks.offerings.generate import generate
from components.eks.pools import CapacityType
from components.eks.settings import EksCluster, LogRetentionDays
from tests.unit.eks.examples import plan


def shapes(service: str, version: str) -> dict[str, Any]:
    file = resources.files("botocore").joinpath(f"data/{service}/{version}/service-2.json.gz")
    return dict(json.loads(gzip.decompress(file.read_bytes()))["shapes"])


EKS = shapes("eks", "2017-11-01")


def test_enumerations_are_those_of_the_eks_api() -> None:
    assert set(LOG_TYPES) == set(EKS["LogType"]["enum"])
    assert set(get_args(CapacityType)) == set(EKS["CapacityTypes"]["enum"])
    support = EksCluster.model_fields["support_type"].annotation
    assert set(get_args(support)) == set(EKS["SupportType"]["enum"])
    for group in plan().node_groups:
        assert group.ami_type in EKS["AMITypes"]["enum"]
        assert all(effect in EKS["TaintEffect"]["enum"] for _, _, effect in group.api_taints)


def test_days_of_retention_are_those_of_cloudwatch_logs() -> None:
    text = shapes("logs", "2014-03-28")["Days"]["documentation"]
    listed = re.search(r"Possible values are:(.*?)\.", text)
    assert listed is not None
    assert set(get_args(LogRetentionDays)) == {int(number) for number in re.findall(r"\d+", listed[1])}


def test_offerings_are_motos() -> None:
    assert FILE.read_text() == generate()


def test_offerings_know_every_type_with_accelerators() -> None:
    known = load_offerings().offered
    assert [
        name for name, entry in MACHINE_TYPES["aws"].items() if entry.accelerator and name not in known
    ] == []


_MACHINES = json.loads(
    gzip.decompress(resources.files("moto.ec2.resources").joinpath("instance_types.json.gz").read_bytes())
)


@pytest.mark.parametrize(
    "name", [name for name, entry in MACHINE_TYPES["aws"].items() if entry.efa_interfaces]
)
def test_fabric_adapters_fit_one_on_each_network_card(name: str) -> None:
    cards = _MACHINES[name]["NetworkInfo"]["NetworkCards"]
    assert MACHINE_TYPES["aws"][name].efa_interfaces <= len(cards)
    assert [card["NetworkCardIndex"] for card in cards] == list(range(len(cards)))
    assert "efa" in cards[0]["InterfaceTypes"]
    assert all("efa-only" in card["InterfaceTypes"] for card in cards[1:])


@pytest.mark.parametrize("cidr", ["10.40.0.0/16", "10.40.96.0/20"])
def test_ec2_as_moto_knows_it_takes_the_subnets(cidr: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    zones = [f"us-east-1{letter}" for letter in "abcdef"]
    with moto.mock_aws():
        ec2 = boto3.client("ec2", region_name="us-east-1")
        vpc = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
        for zone in plan_subnets(IPv4Network(cidr), zones, public=True):
            for subnet in zone.all():
                ec2.create_subnet(VpcId=vpc, CidrBlock=str(subnet), AvailabilityZone=zone.zone)


def test_names_of_groups_fit_the_api() -> None:
    assert re.fullmatch(r"[0-9A-Za-z][A-Za-z0-9\-_]*", plan().node_groups[0].name)
