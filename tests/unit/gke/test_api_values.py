"""Values that are enumerations of Google's APIs, held against the APIs' own discovery documents.

The documents are those of google-api-python-client: nobody here wrote them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, get_args

import pytest

from components.gke import settings as gke
from components.gke.node_pools import _EFFECTS
from components.gke.tuning import SYSCTLS
from tests.unit.gke.test_graph import build
from tests.unit.graph import Registration

DOCUMENTS = files("googleapiclient") / "discovery_cache" / "documents"
CLUSTER, POOL = "gcp:container/cluster:Cluster", "gcp:container/nodePool:NodePool"

REGISTERED: list[tuple[str, str, str, str, str]] = [
    # Resource, path in its inputs, document, message, field.
    (CLUSTER, "datapathProvider", "container.v1", "NetworkConfig", "datapathProvider"),
    (
        CLUSTER,
        "inTransitEncryptionConfig",
        "container.v1",
        "NetworkConfig",
        "inTransitEncryptionConfig",
    ),
    (CLUSTER, "dnsConfig.clusterDns", "container.v1", "DNSConfig", "clusterDns"),
    (CLUSTER, "gatewayApiConfig.channel", "container.v1", "GatewayAPIConfig", "channel"),
    (CLUSTER, "ipAllocationPolicy.stackType", "container.v1", "IPAllocationPolicy", "stackType"),
    (CLUSTER, "releaseChannel.channel", "container.v1", "ReleaseChannel", "channel"),
    (CLUSTER, "databaseEncryption.state", "container.v1", "DatabaseEncryption", "state"),
    (
        CLUSTER,
        "binaryAuthorization.evaluationMode",
        "container.v1",
        "BinaryAuthorization",
        "evaluationMode",
    ),
    (CLUSTER, "securityPostureConfig.mode", "container.v1", "SecurityPostureConfig", "mode"),
    (
        CLUSTER,
        "anonymousAuthenticationConfig.mode",
        "container.v1",
        "AnonymousAuthenticationConfig",
        "mode",
    ),
    (CLUSTER, "loggingConfig.enableComponents", "container.v1", "LoggingComponentConfig", "enableComponents"),
    (
        CLUSTER,
        "monitoringConfig.enableComponents",
        "container.v1",
        "MonitoringComponentConfig",
        "enableComponents",
    ),
    (POOL, "autoscaling.locationPolicy", "container.v1", "NodePoolAutoscaling", "locationPolicy"),
    (POOL, "upgradeSettings.strategy", "container.v1", "UpgradeSettings", "strategy"),
    (POOL, "placementPolicy.type", "container.v1", "PlacementPolicy", "type"),
    (POOL, "nodeConfig.workloadMetadataConfig.mode", "container.v1", "WorkloadMetadataConfig", "mode"),
    (POOL, "nodeConfig.linuxNodeConfig.cgroupMode", "container.v1", "LinuxNodeConfig", "cgroupMode"),
    (POOL, "nodeConfig.taints.effect", "container.v1", "NodeTaint", "effect"),
    (
        POOL,
        "nodeConfig.reservationAffinity.consumeReservationType",
        "container.v1",
        "ReservationAffinity",
        "consumeReservationType",
    ),
    (
        POOL,
        "nodeConfig.guestAccelerators.gpuDriverInstallationConfig.gpuDriverVersion",
        "container.v1",
        "GPUDriverInstallationConfig",
        "gpuDriverVersion",
    ),
    (
        POOL,
        "nodeConfig.guestAccelerators.gpuSharingConfig.gpuSharingStrategy",
        "container.v1",
        "GPUSharingConfig",
        "gpuSharingStrategy",
    ),
    ("gcp:kms/cryptoKey:CryptoKey", "purpose", "cloudkms.v1", "CryptoKey", "purpose"),
    (
        "gcp:kms/cryptoKey:CryptoKey",
        "versionTemplate.algorithm",
        "cloudkms.v1",
        "CryptoKeyVersionTemplate",
        "algorithm",
    ),
    (
        "gcp:kms/cryptoKey:CryptoKey",
        "versionTemplate.protectionLevel",
        "cloudkms.v1",
        "CryptoKeyVersionTemplate",
        "protectionLevel",
    ),
    ("gcp:compute/network:Network", "routingMode", "compute.v1", "NetworkRoutingConfig", "routingMode"),
    ("gcp:compute/subnetwork:Subnetwork", "stackType", "compute.v1", "Subnetwork", "stackType"),
    (
        "gcp:compute/subnetwork:Subnetwork",
        "logConfig.aggregationInterval",
        "compute.v1",
        "SubnetworkLogConfig",
        "aggregationInterval",
    ),
    (
        "gcp:compute/subnetwork:Subnetwork",
        "logConfig.metadata",
        "compute.v1",
        "SubnetworkLogConfig",
        "metadata",
    ),
    ("gcp:compute/firewall:Firewall", "direction", "compute.v1", "Firewall", "direction"),
    ("gcp:compute/firewall:Firewall", "logConfig.metadata", "compute.v1", "FirewallLogConfig", "metadata"),
    (
        "gcp:compute/routerNat:RouterNat",
        "natIpAllocateOption",
        "compute.v1",
        "RouterNat",
        "natIpAllocateOption",
    ),
    (
        "gcp:compute/routerNat:RouterNat",
        "sourceSubnetworkIpRangesToNat",
        "compute.v1",
        "RouterNat",
        "sourceSubnetworkIpRangesToNat",
    ),
    (
        "gcp:compute/routerNat:RouterNat",
        "subnetworks.sourceIpRangesToNats",
        "compute.v1",
        "RouterNatSubnetworkToNat",
        "sourceIpRangesToNat",
    ),
    ("gcp:compute/routerNat:RouterNat", "logConfig.filter", "compute.v1", "RouterNatLogConfig", "filter"),
    ("gcp:dns/managedZone:ManagedZone", "visibility", "dns.v1", "ManagedZone", "visibility"),
]

OFFERED: list[tuple[str, tuple[str, ...], str, str, str]] = [
    # What a setting accepts is what the API has.
    ("logging", get_args(gke.LoggingComponent), "container.v1", "LoggingComponentConfig", "enableComponents"),
    (
        "monitoring",
        get_args(gke.MonitoringComponent),
        "container.v1",
        "MonitoringComponentConfig",
        "enableComponents",
    ),
    ("taints", tuple(_EFFECTS.values()), "container.v1", "NodeTaint", "effect"),
]


@cache
def schemas(document: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((DOCUMENTS / f"{document}.json").read_text())["schemas"]
    return found


def enumeration(document: str, message: str, field: str) -> Mapping[str, bool]:
    """Values of a field, and whether each is on its way out."""
    description = schemas(document)[message]["properties"][field]
    description = description.get("items", description)
    values = description["enum"]
    deprecated = description.get("enumDeprecated", [False] * len(values))
    return dict(zip(values, deprecated, strict=True))


@pytest.fixture(scope="module")
def graph() -> list[Registration]:
    graph, _ = build({"network.nat": {"destinations": ["192.0.2.0/24"]}})
    return graph


def at(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for inner in value:
            yield from at(inner, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping):
        key, _, rest = path.partition(".")
        if key in value:
            yield from at(value[key], rest)


@pytest.mark.parametrize(("token", "path", "document", "message", "field"), REGISTERED)
def test_registered_values_are_the_apis(
    graph: list[Registration], token: str, path: str, document: str, message: str, field: str
) -> None:
    values = {value for item in graph if item.type == token for value in at(item.inputs, path)}
    known = enumeration(document, message, field)
    assert values, "nothing registers it any more"
    assert values <= known.keys()
    assert not any(known[value] for value in values), "deprecated"


@pytest.mark.parametrize(("setting", "values", "document", "message", "field"), OFFERED)
def test_settings_offer_what_the_api_has(
    setting: str, values: tuple[str, ...], document: str, message: str, field: str
) -> None:
    assert set(values) <= enumeration(document, message, field).keys()


def literal(model: Any, field: str) -> set[str]:
    return set(get_args(model.model_fields[field].annotation))


def test_settings_that_are_enumerations() -> None:
    cluster = gke.GkeCluster
    assert (
        literal(cluster, "release_channel") == enumeration("container.v1", "ReleaseChannel", "channel").keys()
    )
    assert literal(cluster, "binary_authorization") <= (
        enumeration("container.v1", "BinaryAuthorization", "evaluationMode").keys()
    )
    assert literal(cluster, "security_posture") <= (
        enumeration("container.v1", "SecurityPostureConfig", "mode").keys()
    )
    assert literal(cluster, "key_protection") <= (
        enumeration("cloudkms.v1", "CryptoKeyVersionTemplate", "protectionLevel").keys()
    )
    drivers = enumeration("container.v1", "GPUDriverInstallationConfig", "gpuDriverVersion")
    assert literal(gke.GkeNodePool, "driver") <= drivers.keys()


def test_tiers_of_filestore() -> None:
    """The driver's names of tiers are its own; each stands for one of the API."""
    names = {"standard": "BASIC_HDD", "premium": "BASIC_SSD", "zonal": "ZONAL", "enterprise": "ENTERPRISE"}
    assert set(get_args(gke.FilestoreTier)) == set(names)
    assert set(names.values()) <= enumeration("file.v1", "Instance", "tier").keys()


def test_kernel_settings_are_those_that_gke_takes() -> None:
    description = schemas("container.v1")["LinuxNodeConfig"]["properties"]["sysctls"]["description"]
    taken = set(re.findall(r"\b(?:net|kernel|fs|vm)\.[a-z0-9_.-]*[a-z0-9]\b", description))
    assert set(SYSCTLS) <= taken


def test_gke_has_no_field_for_the_open_files_of_a_process() -> None:
    """What `tuning.py` says; once there is one, the platform's 65536 belongs there."""
    text = json.dumps([schemas("container.v1")[name] for name in ("LinuxNodeConfig", "NodeKubeletConfig")])
    assert "nofile" not in text.lower()
    assert "rlimit" not in text.lower()
