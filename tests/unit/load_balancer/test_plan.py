"""What the settings of the entry become, and what is wrong with bad ones."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from moto.elbv2.ssl_policies import SSL_POLICIES
from pydantic import ValidationError

from components.common.accounts import AwsAccount, GcpProject
from components.common.cidr import NamedRange
from components.common.problems import Problem
from components.load_balancer.plan import TLS_POLICY, EntryPlan, IpBlock, plan_entry
from components.load_balancer.settings import CERTIFICATE_ARN, Entry

ACCOUNT = AwsAccount("aws", "111122223333", "eu-central-1")
PROJECT = GcpProject("example-project", "444455556666", "europe-west4")
CERTIFICATE = "certificate/00000000-0000-0000-0000-000000000000"
ACM = {"kind": "acm", "certificateArn": f"arn:aws:acm:eu-central-1:111122223333:{CERTIFICATE}"}
SECRET = {"kind": "secret", "secretName": "autoglm-tls"}
VPC = NamedRange("cluster.network.cidr", IPv4Network("10.40.0.0/16"))
PEER = NamedRange("cluster.network.peerCidrs[0]", IPv4Network("10.8.0.0/16"))
PODS = [NamedRange("pods", IPv4Network(cidr)) for cidr in ("10.40.0.0/19", "10.40.32.0/19")]
AWS = "service.beta.kubernetes.io/aws-load-balancer-"


def planned(
    settings: dict[str, Any],
    *,
    account: AwsAccount | GcpProject = ACCOUNT,
    network: Sequence[NamedRange] = (VPC, PEER),
    pods: Sequence[NamedRange] = PODS,
) -> tuple[EntryPlan | None, list[Problem]]:
    complete = {"hostname": "autoglm.example.com", "tls": ACM} | settings
    return plan_entry(Entry.model_validate(complete), account=account, network=network, pods=pods)


def plan(settings: dict[str, Any], **changes: Any) -> EntryPlan:
    found, problems = planned(settings, **changes)
    assert problems == []
    assert found is not None
    return found


def problem(settings: dict[str, Any], **changes: Any) -> Problem:
    found, problems = planned(settings, **changes)
    assert found is None
    (only,) = problems
    return only


def test_the_default_is_internal_and_for_the_networks_that_the_cluster_is_connected_to() -> None:
    entry = plan({})
    assert entry.settings.exposure == "internal"
    assert entry.annotations[f"{AWS}internal"] == "true"
    assert entry.source_ranges == ("10.8.0.0/16", "10.40.0.0/16")


def test_pods_do_not_come_in_as_part_of_the_network() -> None:
    assert plan({}).clients == (
        IpBlock("10.8.0.0/16", ()),
        IpBlock("10.40.0.0/16", ("10.40.0.0/19", "10.40.32.0/19")),
    )


def test_where_all_of_the_network_is_pods_only_the_connected_networks_are_left() -> None:
    assert plan({}, pods=[VPC]).source_ranges == ("10.8.0.0/16",)
    assert problem({}, network=[VPC], pods=[VPC]).message.endswith("name those of the clients")


def test_a_load_balancer_on_aws() -> None:
    assert plan({}).annotations == {
        "autoglm-platform/exposure": "internal",
        f"{AWS}type": "nlb",
        f"{AWS}internal": "true",
        f"{AWS}cross-zone-load-balancing-enabled": "true",
        f"{AWS}target-group-attributes": "preserve_client_ip.enabled=true",
        f"{AWS}healthcheck-interval": "10",
        f"{AWS}healthcheck-healthy-threshold": "2",
        f"{AWS}healthcheck-unhealthy-threshold": "2",
        f"{AWS}ssl-cert": ACM["certificateArn"],
        f"{AWS}ssl-ports": "https",
        f"{AWS}ssl-negotiation-policy": TLS_POLICY,
        f"{AWS}backend-protocol": "tcp",
    }
    assert plan({}).node_ports == 1


def test_the_tls_policy_is_one_of_elastic_load_balancing_without_old_versions() -> None:
    assert set(SSL_POLICIES[TLS_POLICY]["ssl_protocols"]) == {"TLSv1.2", "TLSv1.3"}


def test_tls_on_aws_can_go_on_to_the_servers() -> None:
    entry = plan({"tls": {**ACM, "serverSecretName": "server-tls"}})
    assert entry.annotations[f"{AWS}backend-protocol"] == "ssl"
    assert entry.settings.server_secret == "server-tls"
    assert plan({}).settings.server_secret is None


def test_with_a_secret_the_load_balancer_passes_tls_through() -> None:
    entry = plan({"tls": SECRET})
    assert not [key for key in entry.annotations if "ssl" in key or "backend-protocol" in key]
    assert entry.settings.server_secret == "autoglm-tls"


def test_a_load_balancer_on_google_cloud() -> None:
    internal = plan({"tls": SECRET}, account=PROJECT)
    assert internal.annotations == {
        "autoglm-platform/exposure": "internal",
        "networking.gke.io/load-balancer-type": "Internal",
    }
    assert internal.node_ports == 0
    public = plan({"tls": SECRET, "exposure": "public", "sourceRanges": ["203.0.113.0/24"]}, account=PROJECT)
    assert public.annotations == {
        "autoglm-platform/exposure": "public",
        "networking.gke.io/load-balancer-type": "External",
        "cloud.google.com/l4-rbs": "enabled",
    }


def test_the_endpoint_is_known_in_advance() -> None:
    assert plan({}).endpoint == "https://autoglm.example.com"
    assert plan({"port": 8443}).endpoint == "https://autoglm.example.com:8443"


def test_public_is_for_the_given_networks_only() -> None:
    entry = plan({"exposure": "public", "sourceRanges": ["203.0.113.0/24", "198.51.100.7/32"]})
    assert entry.annotations[f"{AWS}internal"] == "false"
    assert entry.source_ranges == ("198.51.100.7/32", "203.0.113.0/24")
    assert entry.clients == (IpBlock("198.51.100.7/32", ()), IpBlock("203.0.113.0/24", ()))


def test_public_without_networks_is_refused() -> None:
    found = problem({"exposure": "public"})
    assert found.path == "sourceRanges"
    assert found.message.startswith("[]: required for a public load balancer; ")


@pytest.mark.parametrize("exposure", ["internal", "public"])
@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/2", "8.0.0.0/7"])
def test_f52_everyone_is_refused(exposure: str, cidr: str) -> None:
    found = problem({"exposure": exposure, "sourceRanges": [cidr]})
    assert found.path == "sourceRanges[0]"
    assert found.message.startswith(f"{cidr}: admits anyone")


def test_f52_everyone_by_ipv6_is_refused() -> None:
    with pytest.raises(ValidationError, match="is not IPv4"):
        Entry.model_validate({"hostname": "a.example.com", "tls": SECRET, "sourceRanges": ["::/0"]})


def test_f46_overlapping_ranges_are_refused() -> None:
    found = problem({"sourceRanges": ["10.8.0.0/16", "10.8.4.0/24"]})
    assert found.path == "sourceRanges[1]"
    assert "overlaps sourceRanges[0] 10.8.0.0/16" in found.message


def test_ranges_of_pods_are_refused() -> None:
    found = problem({"sourceRanges": ["10.40.33.0/24"]})
    assert found.path == "sourceRanges[0]"
    assert "addresses of pods" in found.message


@pytest.mark.parametrize("cidr", ["10.9.0.0/16", "172.20.0.0/16", "192.168.1.0/24", "100.64.0.0/16"])
def test_private_ranges_are_no_clients_on_the_internet(cidr: str) -> None:
    found = problem({"exposure": "public", "sourceRanges": [cidr]})
    assert found.path == "sourceRanges[0]"
    assert found.message.startswith(f"{cidr}: private addresses")


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("region", "eu-central-1", "us-east-1"),
        ("account", "111122223333", "999999999999"),
        ("partition", "arn:aws:", "arn:aws-cn:"),
    ],
)
def test_a_certificate_from_elsewhere_is_refused(part: str, old: str, new: str) -> None:
    arn = ACM["certificateArn"].replace(old, new)
    found = problem({"tls": {"kind": "acm", "certificateArn": arn}})
    assert found.path == "tls.certificateArn"
    assert found.message.startswith(f"{arn!r}: of {part} ")


def test_google_cloud_has_no_certificates_of_acm() -> None:
    found = problem({}, account=PROJECT)
    assert found.path == "tls.kind"
    assert "write kind: secret" in found.message


def test_all_problems_are_told_at_once() -> None:
    _, problems = planned(
        {"exposure": "public", "sourceRanges": ["0.0.0.0/0", "10.40.0.0/24"]}, account=PROJECT
    )
    assert {found.path for found in problems} == {"sourceRanges[0]", "sourceRanges[1]", "tls.kind"}


@pytest.mark.parametrize(
    "entry",
    [
        {"tls": SECRET},
        {"hostname": "autoglm", "tls": SECRET},
        {"hostname": "Autoglm.example.com", "tls": SECRET},
        {"hostname": "autoglm.example.com"},
        {"hostname": "autoglm.example.com", "tls": SECRET, "port": 0},
        {"hostname": "autoglm.example.com", "tls": SECRET, "sourceRanges": ["10.0.0.1/8"]},
        {"hostname": "autoglm.example.com", "tls": {"kind": "acm", "certificateArn": "arn:aws:iam::1:x"}},
        {"hostname": "autoglm.example.com", "tls": {"kind": "none"}},
    ],
)
def test_there_is_no_entry_without_a_name_and_tls(entry: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Entry.model_validate(entry)


def test_the_pattern_of_certificates_is_one_that_editors_understand() -> None:
    assert "(?P" not in CERTIFICATE_ARN


networks = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False),
    st.integers(int(IPv4Address("10.0.0.0")), int(IPv4Address("10.255.255.255"))),
    st.integers(9, 30),
)


@settings(deadline=None)
@given(
    given_ranges=st.lists(networks, max_size=3),
    connected=st.lists(networks, min_size=1, max_size=3),
    pods=st.lists(networks, max_size=3),
    address=st.integers(int(IPv4Address("10.0.0.0")), int(IPv4Address("10.255.255.255"))).map(IPv4Address),
)
def test_clients_get_in_and_pods_do_not(
    given_ranges: list[IPv4Network],
    connected: list[IPv4Network],
    pods: list[IPv4Network],
    address: IPv4Address,
) -> None:
    entry, problems = planned(
        {"sourceRanges": [str(item) for item in given_ranges]},
        network=[NamedRange("network", item) for item in connected],
        pods=[NamedRange("pods", item) for item in pods],
    )
    assume(entry is not None)
    assert entry is not None
    assert problems == []
    admitted = any(
        address in IPv4Network(block.cidr) and not any(address in IPv4Network(cut) for cut in block.excluded)
        for block in entry.clients
    )
    wanted = any(address in item for item in (given_ranges or connected))
    assert admitted == (wanted and not any(address in item for item in pods))
    assert entry.source_ranges
    for block in entry.clients:
        outer = IPv4Network(block.cidr)
        # The API server takes only what is really within.
        assert all(IPv4Network(cut) != outer and IPv4Network(cut).subnet_of(outer) for cut in block.excluded)
