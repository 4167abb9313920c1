"""Which enumeration of an API each enum-like input must take its value from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tests.harness.api_models import (
    Aws,
    Google,
    Values,
    Written,
    enumerated_members,
    enumerated_properties,
)
from tests.harness.sdk_types import Leaf

ENUMERATIONS: Final[Mapping[tuple[str, str], Values]] = {
    # EKS
    ("aws:eks/accessPolicyAssociation:AccessPolicyAssociation", "accessScope.type"): Aws(
        "eks", "AccessScopeType"
    ),
    ("aws:eks/addon:Addon", "resolveConflictsOnCreate"): Aws("eks", "ResolveConflicts"),
    ("aws:eks/addon:Addon", "resolveConflictsOnUpdate"): Aws("eks", "ResolveConflicts"),
    ("aws:eks/cluster:Cluster", "accessConfig.authenticationMode"): Aws("eks", "AuthenticationMode"),
    ("aws:eks/cluster:Cluster", "encryptionConfig.resources[]"): Written(
        "EKS API reference, EncryptionConfig.resources", frozenset({"secrets"})
    ),
    ("aws:eks/cluster:Cluster", "enabledClusterLogTypes[]"): Aws("eks", "LogType"),
    ("aws:eks/cluster:Cluster", "kubernetesNetworkConfig.ipFamily"): Aws("eks", "IpFamily"),
    ("aws:eks/cluster:Cluster", "upgradePolicy.supportType"): Aws("eks", "SupportType"),
    ("aws:eks/nodeGroup:NodeGroup", "amiType"): Aws("eks", "AMITypes"),
    ("aws:eks/nodeGroup:NodeGroup", "capacityType"): Aws("eks", "CapacityTypes"),
    ("aws:eks/nodeGroup:NodeGroup", "instanceTypes[]"): Aws("ec2", "InstanceType"),
    ("aws:eks/nodeGroup:NodeGroup", "taints[].effect"): Aws("eks", "TaintEffect"),
    # EC2
    ("aws:ec2/flowLog:FlowLog", "logDestinationType"): Aws("ec2", "LogDestinationType"),
    ("aws:ec2/flowLog:FlowLog", "trafficType"): Aws("ec2", "TrafficType"),
    ("aws:ec2/launchTemplate:LaunchTemplate", "blockDeviceMappings[].ebs.volumeType"): Aws(
        "ec2", "VolumeType"
    ),
    ("aws:ec2/launchTemplate:LaunchTemplate", "metadataOptions.httpTokens"): Aws(
        "ec2", "LaunchTemplateHttpTokensState"
    ),
    # KMS
    ("aws:kms/key:Key", "customerMasterKeySpec"): Aws("kms", "CustomerMasterKeySpec"),
    ("aws:kms/key:Key", "keyUsage"): Aws("kms", "KeyUsageType"),
    # S3
    ("aws:s3/bucketVersioning:BucketVersioning", "versioningConfiguration.status"): Aws(
        "s3", "BucketVersioningStatus"
    ),
    # GKE
    ("gcp:container/cluster:Cluster", "datapathProvider"): Google(
        "container.v1", "NetworkConfig", "datapathProvider"
    ),
    ("gcp:container/cluster:Cluster", "releaseChannel.channel"): Google(
        "container.v1", "ReleaseChannel", "channel"
    ),
    ("gcp:container/nodePool:NodePool", "autoscaling.locationPolicy"): Google(
        "container.v1", "NodePoolAutoscaling", "locationPolicy"
    ),
    (
        "gcp:container/nodePool:NodePool",
        "nodeConfig.guestAccelerators[].gpuDriverInstallationConfig.gpuDriverVersion",
    ): Google("container.v1", "GPUDriverInstallationConfig", "gpuDriverVersion"),
    ("gcp:container/nodePool:NodePool", "nodeConfig.taints[].effect"): Google(
        "container.v1", "NodeTaint", "effect"
    ),
    ("gcp:container/nodePool:NodePool", "nodeConfig.workloadMetadataConfig.mode"): Google(
        "container.v1", "WorkloadMetadataConfig", "mode"
    ),
    # Cloud Storage
    ("gcp:storage/bucket:Bucket", "publicAccessPrevention"): Written(
        "storage.v1 Bucket.iamConfiguration.publicAccessPrevention", frozenset({"enforced", "inherited"})
    ),
}
"""By type token and property path."""

FREE: Final[Mapping[tuple[str, str], str]] = {
    ("gcp:container/nodePool:NodePool", "nodeConfig.guestAccelerators[].type"): (
        "no API document lists accelerator types; the catalogue's tests check those that we use"
    ),
}
"""Texts that look like enumerations to :func:`looks_enumerated` and are none, with the reason."""

SINGLE: Final = frozenset({"EKS API reference, EncryptionConfig.resources"})
"""Enumerations of a single value, by name."""

_AWS_SERVICES: Final = {"alb": "elbv2", "lb": "elbv2", "cloudwatch": "logs", "route53": "route53"}
"""Botocore's name of a service where the SDK's module has another."""

_GOOGLE_APIS: Final = {
    "artifactregistry": "artifactregistry.v1",
    "compute": "compute.v1",
    "container": "container.v1",
    "dns": "dns.v1",
    "filestore": "file.v1",
    "kms": "cloudkms.v1",
    "logging": "logging.v2",
    "storage": "storage.v1",
}

_PROSE: Final = re.compile(
    r"(valid|possible|allowed|accepted|supported|available|permitted)\s+(values|options|types|choices)"
    r"|(must|can|should) be (one of|either)|one of the following|(is|are) either",
    re.IGNORECASE,
)
"""How the SDK's documentation introduces the values of an enumeration."""


def looks_enumerated(leaf: Leaf) -> str | None:
    """Why an input seems to be an enumeration; None if nothing says so.

    Either the SDK's documentation lists its values, or the service's API has an enumeration of that name.
    """
    if _PROSE.search(leaf.documentation):
        return "its documentation lists values"
    package, module, _ = leaf.type.split(":")
    service = module.split("/")[0]
    name = leaf.path.rsplit(".", 1)[-1].removesuffix("[]").lower()
    if package == "aws":
        shapes = enumerated_members(_AWS_SERVICES.get(service, service)).get(name, ())
        return f"botocore enumerates it: {', '.join(shapes)}" if shapes else None
    if package == "gcp" and service in _GOOGLE_APIS:
        api = _GOOGLE_APIS[service]
        schemas = enumerated_properties(api).get(name, ())
        return f"{api} enumerates it: {', '.join(schemas)}" if schemas else None
    return None


def is_covered(leaf: Leaf) -> bool:
    """Whether it is known what the input may be."""
    place = (leaf.type, leaf.path)
    return place in ENUMERATIONS or place in FREE or leaf.type.startswith("kubernetes:")


def wrong_value(leaf: Leaf) -> str | None:
    """What is wrong with the value of an input; None for values of the enumeration, and without one."""
    allowed = ENUMERATIONS.get((leaf.type, leaf.path))
    where = f"{leaf.resource}: {leaf.path}: {leaf.value!r}"
    if allowed is not None:
        return None if leaf.value in allowed.values else f"{where} is none of {allowed.name}"
    if leaf.type.startswith("kubernetes:") and _PROSE.search(leaf.documentation):
        # The SDK's documentation is the API's own, and the only place that has the values.
        words = re.findall(r"[\w/.-]+", leaf.documentation)
        return (
            None
            if leaf.value in {word.rstrip(".") for word in words}
            else f"{where} is not in its documentation"
        )
    return None
