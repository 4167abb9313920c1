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

_FLAG_AS_TEXT: Final = Written(
    "Terraform provider google, insecure_kubelet_readonly_port_enabled", frozenset({"TRUE", "FALSE"})
)
_PROTOCOLS: Final = Written(
    "compute.v1 Firewall.allowed[].IPProtocol",
    frozenset({"tcp", "udp", "icmp", "esp", "ah", "ipip", "sctp", "all"}),
)
_GCS_CLASSES: Final = Written(
    "storage.v1 Bucket.storageClass",
    frozenset({"STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL"}),
)

ENUMERATIONS: Final[Mapping[tuple[str, str], Values]] = {
    # EKS
    ("aws:eks/accessEntry:AccessEntry", "type"): Written(
        "EKS API reference, CreateAccessEntry.type",
        frozenset(
            {"EC2", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "HYBRID_LINUX", "HYPERPOD_LINUX", "STANDARD"}
        ),
    ),
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
    ("aws:eks/nodeGroup:NodeGroup", "updateConfig.updateStrategy"): Aws("eks", "NodegroupUpdateStrategies"),
    # EC2
    ("aws:ec2/flowLog:FlowLog", "logDestinationType"): Aws("ec2", "LogDestinationType"),
    ("aws:ec2/flowLog:FlowLog", "trafficType"): Aws("ec2", "TrafficType"),
    **{
        ("aws:ec2/launchTemplate:LaunchTemplate", path): Aws("ec2", shape)
        for path, shape in (
            ("blockDeviceMappings[].ebs.volumeType", "VolumeType"),
            ("metadataOptions.httpEndpoint", "LaunchTemplateInstanceMetadataEndpointState"),
            ("metadataOptions.httpTokens", "LaunchTemplateHttpTokensState"),
            ("metadataOptions.instanceMetadataTags", "LaunchTemplateInstanceMetadataTagsState"),
            ("tagSpecifications[].resourceType", "ResourceType"),
        )
    },
    ("aws:ec2/vpcEndpoint:VpcEndpoint", "vpcEndpointType"): Aws("ec2", "VpcEndpointType"),
    # ECR, EFS
    ("aws:ecr/repository:Repository", "encryptionConfigurations[].encryptionType"): Aws(
        "ecr", "EncryptionType"
    ),
    ("aws:ecr/repository:Repository", "imageTagMutability"): Aws("ecr", "ImageTagMutability"),
    ("aws:efs/backupPolicy:BackupPolicy", "backupPolicy.status"): Aws("efs", "Status"),
    ("aws:efs/fileSystem:FileSystem", "performanceMode"): Aws("efs", "PerformanceMode"),
    ("aws:efs/fileSystem:FileSystem", "throughputMode"): Aws("efs", "ThroughputMode"),
    # KMS
    ("aws:kms/key:Key", "customerMasterKeySpec"): Aws("kms", "CustomerMasterKeySpec"),
    ("aws:kms/key:Key", "keyUsage"): Aws("kms", "KeyUsageType"),
    # S3
    **{
        (f"aws:s3/{token}", path): Aws("s3", shape)
        for token, path, shape in (
            (
                "bucketLifecycleConfiguration:BucketLifecycleConfiguration",
                "rules[].status",
                "ExpirationStatus",
            ),
            (
                "bucketLifecycleConfiguration:BucketLifecycleConfiguration",
                "rules[].transitions[].storageClass",
                "TransitionStorageClass",
            ),
            (
                "bucketObjectLockConfiguration:BucketObjectLockConfiguration",
                "objectLockEnabled",
                "ObjectLockEnabled",
            ),
            (
                "bucketObjectLockConfiguration:BucketObjectLockConfiguration",
                "rule.defaultRetention.mode",
                "ObjectLockRetentionMode",
            ),
            ("bucketOwnershipControls:BucketOwnershipControls", "rule.objectOwnership", "ObjectOwnership"),
            (
                "bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
                "rules[].applyServerSideEncryptionByDefault.sseAlgorithm",
                "ServerSideEncryption",
            ),
            (
                "bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
                "rules[].blockedEncryptionTypes[]",
                "EncryptionType",
            ),
            (
                "bucketVersioning:BucketVersioning",
                "versioningConfiguration.status",
                "BucketVersioningStatus",
            ),
        )
    },
    # GKE
    **{
        ("gcp:container/cluster:Cluster", path): Google("container.v1", schema, name)
        for path, schema, name in (
            ("anonymousAuthenticationConfig.mode", "AnonymousAuthenticationConfig", "mode"),
            ("binaryAuthorization.evaluationMode", "BinaryAuthorization", "evaluationMode"),
            ("databaseEncryption.state", "DatabaseEncryption", "state"),
            ("datapathProvider", "NetworkConfig", "datapathProvider"),
            ("dnsConfig.clusterDns", "DNSConfig", "clusterDns"),
            ("gatewayApiConfig.channel", "GatewayAPIConfig", "channel"),
            ("inTransitEncryptionConfig", "NetworkConfig", "inTransitEncryptionConfig"),
            ("ipAllocationPolicy.stackType", "IPAllocationPolicy", "stackType"),
            ("loggingConfig.enableComponents[]", "LoggingComponentConfig", "enableComponents"),
            ("monitoringConfig.enableComponents[]", "MonitoringComponentConfig", "enableComponents"),
            ("releaseChannel.channel", "ReleaseChannel", "channel"),
            ("securityPostureConfig.mode", "SecurityPostureConfig", "mode"),
        )
    },
    **{
        ("gcp:container/nodePool:NodePool", path): Google("container.v1", schema, name)
        for path, schema, name in (
            ("autoscaling.locationPolicy", "NodePoolAutoscaling", "locationPolicy"),
            ("placementPolicy.type", "PlacementPolicy", "type"),
            ("upgradeSettings.strategy", "UpgradeSettings", "strategy"),
        )
    },
    # A cluster has the configuration of its first pool, too.
    **{
        (token, f"nodeConfig.{path}"): Google("container.v1", schema, name)
        for token in ("gcp:container/cluster:Cluster", "gcp:container/nodePool:NodePool")
        for path, schema, name in (
            (
                "guestAccelerators[].gpuDriverInstallationConfig.gpuDriverVersion",
                "GPUDriverInstallationConfig",
                "gpuDriverVersion",
            ),
            (
                "guestAccelerators[].gpuSharingConfig.gpuSharingStrategy",
                "GPUSharingConfig",
                "gpuSharingStrategy",
            ),
            ("linuxNodeConfig.cgroupMode", "LinuxNodeConfig", "cgroupMode"),
            ("reservationAffinity.consumeReservationType", "ReservationAffinity", "consumeReservationType"),
            ("taints[].effect", "NodeTaint", "effect"),
            ("workloadMetadataConfig.mode", "WorkloadMetadataConfig", "mode"),
        )
    },
    (
        "gcp:container/cluster:Cluster",
        "nodePoolDefaults.nodeConfigDefaults.insecureKubeletReadonlyPortEnabled",
    ): _FLAG_AS_TEXT,
    (
        "gcp:container/nodePool:NodePool",
        "nodeConfig.kubeletConfig.insecureKubeletReadonlyPortEnabled",
    ): _FLAG_AS_TEXT,
    # Networks
    ("gcp:compute/firewall:Firewall", "allows[].protocol"): _PROTOCOLS,
    ("gcp:compute/firewall:Firewall", "denies[].protocol"): _PROTOCOLS,
    ("gcp:compute/firewall:Firewall", "direction"): Google("compute.v1", "Firewall", "direction"),
    ("gcp:compute/firewall:Firewall", "logConfig.metadata"): Google(
        "compute.v1", "FirewallLogConfig", "metadata"
    ),
    ("gcp:compute/network:Network", "routingMode"): Google(
        "compute.v1", "NetworkRoutingConfig", "routingMode"
    ),
    ("gcp:compute/subnetwork:Subnetwork", "logConfig.aggregationInterval"): Google(
        "compute.v1", "SubnetworkLogConfig", "aggregationInterval"
    ),
    ("gcp:compute/subnetwork:Subnetwork", "logConfig.metadata"): Google(
        "compute.v1", "SubnetworkLogConfig", "metadata"
    ),
    ("gcp:compute/subnetwork:Subnetwork", "stackType"): Google("compute.v1", "Subnetwork", "stackType"),
    ("gcp:dns/managedZone:ManagedZone", "visibility"): Google("dns.v1", "ManagedZone", "visibility"),
    ("gcp:dns/recordSet:RecordSet", "type"): Written(
        "Cloud DNS, supported record types",
        frozenset({"A", "AAAA", "CAA", "CNAME", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "SVCB", "TXT"}),
    ),
    # Artifact Registry
    **{
        ("gcp:artifactregistry/repository:Repository", path): Google("artifactregistry.v1", schema, name)
        for path, schema, name in (
            ("cleanupPolicies[].action", "CleanupPolicy", "action"),
            ("cleanupPolicies[].condition.tagState", "CleanupPolicyCondition", "tagState"),
            ("format", "Repository", "format"),
            ("mode", "Repository", "mode"),
            (
                "vulnerabilityScanningConfig.enablementConfig",
                "VulnerabilityScanningConfig",
                "enablementConfig",
            ),
        )
    },
    # Keys and audit
    ("gcp:kms/cryptoKey:CryptoKey", "purpose"): Google("cloudkms.v1", "CryptoKey", "purpose"),
    ("gcp:kms/cryptoKey:CryptoKey", "versionTemplate.algorithm"): Google(
        "cloudkms.v1", "CryptoKeyVersionTemplate", "algorithm"
    ),
    ("gcp:kms/cryptoKey:CryptoKey", "versionTemplate.protectionLevel"): Google(
        "cloudkms.v1", "CryptoKeyVersionTemplate", "protectionLevel"
    ),
    ("gcp:projects/iAMAuditConfig:IAMAuditConfig", "auditLogConfigs[].logType"): Google(
        "cloudresourcemanager.v1", "AuditLogConfig", "logType"
    ),
    # Cloud Storage
    ("gcp:storage/bucket:Bucket", "lifecycleRules[].action.storageClass"): _GCS_CLASSES,
    ("gcp:storage/bucket:Bucket", "lifecycleRules[].action.type"): Written(
        "storage.v1 Bucket.lifecycle.rule[].action.type",
        frozenset({"AbortIncompleteMultipartUpload", "Delete", "SetStorageClass"}),
    ),
    ("gcp:storage/bucket:Bucket", "lifecycleRules[].condition.withState"): Written(
        "Terraform provider google, with_state", frozenset({"LIVE", "ARCHIVED", "ANY"})
    ),
    ("gcp:storage/bucket:Bucket", "storageClass"): _GCS_CLASSES,
    ("gcp:storage/bucket:Bucket", "publicAccessPrevention"): Written(
        "storage.v1 Bucket.iamConfiguration.publicAccessPrevention", frozenset({"enforced", "inherited"})
    ),
}
"""By type token and property path."""

_MACHINE: Final = "no API document lists them; the catalogue's tests check those that are used"
FREE: Final[Mapping[tuple[str, str], str]] = {
    ("aws:eks/cluster:Cluster", "kubernetesNetworkConfig.serviceIpv4Cidr"): "a network",
    ("gcp:container/nodePool:NodePool", "nodeConfig.guestAccelerators[].type"): _MACHINE,
    ("gcp:container/nodePool:NodePool", "nodeConfig.guestAccelerators[].gpuPartitionSize"): _MACHINE,
}
"""Texts that look like enumerations to :func:`looks_enumerated` and are none, with the reason."""

FREE_NAMES: Final[Mapping[str, str]] = {
    "location": "regions and zones are in no API document",
    "member": "an identity",
    "name": "whatever its owner calls it; compute.v1 has an enumeration of that name elsewhere",
}
"""The same for a property of that name of any resource."""

SINGLE: Final = frozenset({"EKS API reference, EncryptionConfig.resources", "botocore s3.ObjectLockEnabled"})
"""Enumerations of a single value, by name."""

_AWS_SERVICES: Final = {"alb": "elbv2", "lb": "elbv2", "cloudwatch": "logs", "vpc": "ec2"}
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
_KUBERNETES_PROSE: Final = re.compile(
    r"(valid|possible|allowed|supported) (values|options)|must be one of|one of the following", re.IGNORECASE
)


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
    free = place in FREE or leaf.path.rsplit(".", 1)[-1] in FREE_NAMES
    return place in ENUMERATIONS or free or leaf.type.startswith("kubernetes:")


def wrong_value(leaf: Leaf) -> str | None:
    """What is wrong with the value of an input; None for values of the enumeration, and without one."""
    allowed = ENUMERATIONS.get((leaf.type, leaf.path))
    where = f"{leaf.resource}: {leaf.path}: {leaf.value!r}"
    if allowed is not None:
        return None if leaf.value in allowed.values else f"{where} is none of {allowed.name}"
    if leaf.type.startswith("kubernetes:") and _KUBERNETES_PROSE.search(leaf.documentation):
        # The SDK's documentation is the API's own, and the only place that has the values.
        words = re.findall(r"[\w/.-]+", leaf.documentation)
        return (
            None
            if leaf.value in {word.rstrip(".") for word in words}
            else f"{where} is not in its documentation"
        )
    return None
