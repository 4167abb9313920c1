"""What a preview has to know: whatever decides over isolation must not be a surprise of the update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from policies.iam import DOCUMENTS
from policies.kubernetes import CONTAINER_LISTS
from policies.resource import Resource
from policies.rule import KUBERNETES, Option, Rule
from policies.values import UNKNOWN, child, elements, entries, safe_key

UNKNOWN_RULE: Final = "known-in-preview"
PREVIEWED_RULE: Final = "update-previewed"

_POD_FIELDS: Final = (
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "hostUsers",
    "securityContext",
    "automountServiceAccountToken",
)
_CONTAINER_FIELDS: Final = ("image", "securityContext", "resources", "ports")
_KIND_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "NetworkPolicy": (
        ("spec", "ingress"),
        ("spec", "egress"),
        ("spec", "policyTypes"),
        ("spec", "podSelector"),
    ),
    "Service": (("spec", "type"), ("spec", "externalIPs"), ("spec", "loadBalancerSourceRanges")),
    "Role": (("rules",),),
    "ClusterRole": (("rules",),),
    "ResourceQuota": (("spec", "hard"),),
}
_TYPE_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    **{token: tuple((name,) for name in names) for token, names in DOCUMENTS.items()},
    "aws:eks/cluster:Cluster": (
        ("vpcConfig", "endpointPrivateAccess"),
        ("vpcConfig", "endpointPublicAccess"),
        ("vpcConfig", "publicAccessCidrs"),
        ("enabledClusterLogTypes",),
        ("accessConfig",),
        ("deletionProtection",),
    ),
    "aws:eks/nodeGroup:NodeGroup": (("scalingConfig",),),
    "aws:ec2/launchTemplate:LaunchTemplate": (("metadataOptions",),),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        ("cidrIpv4",),
        ("cidrIpv6",),
        ("ipProtocol",),
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        ("cidrIpv4",),
        ("cidrIpv6",),
        ("ipProtocol",),
    ),
    "aws:ec2/securityGroupRule:SecurityGroupRule": (("cidrBlocks",), ("ipv6CidrBlocks",), ("protocol",)),
    "aws:lb/loadBalancer:LoadBalancer": (("internal",),),
    "aws:kms/key:Key": (("enableKeyRotation",),),
    "gcp:container/cluster:Cluster": (
        ("privateClusterConfig", "enablePrivateNodes"),
        ("masterAuthorizedNetworksConfig",),
        ("workloadIdentityConfig",),
        ("databaseEncryption", "state"),
        ("enableLegacyAbac",),
        ("deletionProtection",),
    ),
    "gcp:container/nodePool:NodePool": (("autoscaling",), ("nodeConfig", "workloadMetadataConfig")),
    "gcp:compute/firewall:Firewall": (("sourceRanges",), ("destinationRanges",), ("direction",)),
    "gcp:storage/bucket:Bucket": (("publicAccessPrevention",), ("uniformBucketLevelAccess",)),
    "gcp:projects/iAMMember:IAMMember": (("role",),),
    "gcp:projects/iAMBinding:IAMBinding": (("role",),),
}


def _unknowns(value: object, path: str) -> Iterator[str]:
    if value is UNKNOWN:
        yield path
    for index, item in elements(value):
        yield from _unknowns(item, f"{path}[{index}]")
    for key, item in entries(value):
        yield from _unknowns(item, f"{path}.{safe_key(key)}")


def _paths(resource: Resource) -> Iterator[str]:
    for keys in _TYPE_FIELDS.get(resource.token, ()):
        yield from _unknowns(resource.value(*keys), ".".join(keys))
    for one in resource.objects:
        for keys in _KIND_FIELDS.get(one.kind, ()) if one.builtin else ():
            yield from _unknowns(child(one.body, *keys), f"{one} {one.at(*keys)}")
    for path, value in resource.pod_specifications:
        if value is UNKNOWN:
            yield path
    for pod in resource.pods:
        for name in CONTAINER_LISTS:
            listed = pod.spec.get(name)
            if listed is UNKNOWN:
                yield f"{pod}.{name}"
            yield from (f"{pod}.{name}[{index}]" for index, one in elements(listed) if one is UNKNOWN)
        for name in _POD_FIELDS:
            yield from _unknowns(pod.spec.get(name), f"{pod}.{name}")
    for container in resource.containers:
        for name in _CONTAINER_FIELDS:
            yield from _unknowns(container.body.get(name), f"{container}.{name}")


def unknown_values(resource: Resource) -> list[str]:
    """What a preview does not know of a resource, though rules need it."""
    if resource.option(UNKNOWN_RULE, "required") is False:
        return []
    return [f"{path}: is not known before the update; {RULES[0].fix}" for path in _paths(resource)]


RULES: Final = (
    Rule(
        id=UNKNOWN_RULE,
        severity="high",
        title="What decides over isolation and limits is known in the preview",
        rationale="What a review has not seen would only be refused halfway through the update.",
        fix="make it a plain value, from settings instead of from another resource's outputs",
        # Outside a preview everything is known; the pack calls unknown_values in a preview.
        judge=lambda resource: [],
        types=frozenset({KUBERNETES, *_TYPE_FIELDS}),
        options={
            "required": Option({"type": "boolean"}, True, "false: such values are left to the update."),
        },
    ),
    Rule(
        id=PREVIEWED_RULE,
        severity="critical",
        title="An update is previewed by the engine that makes it",
        rationale="Else what comes before the first violation is made, and the stack is judged too late.",
        fix=(
            "run `pulumi up` without --skip-preview: one run previews, asks and updates. The Automation API "
            "and `pulumi watch` never preview"
        ),
        # The pack asks policies.previewed once for all resources of an update.
        judge=lambda resource: [],
        types=frozenset(),
    ),
)
"""Rules on previews."""
