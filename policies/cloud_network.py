"""Rules on who can reach whom in the cloud."""

from __future__ import annotations

from typing import Final

from policies.resource import Resource, by_type
from policies.rule import Rule, Stack, StackRule, StackViolation
from policies.values import UNKNOWN, child, elements, integer, is_public, is_wide, known_text, show

_EKS: Final = "aws:eks/cluster:Cluster"
_GKE: Final = "gcp:container/cluster:Cluster"
_POOL: Final = "gcp:container/nodePool:NodePool"
_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
_TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
_INSTANCE: Final = "aws:ec2/instance:Instance"
_VPC: Final = "aws:ec2/vpc:Vpc"
_FLOW_LOG: Final = "aws:ec2/flowLog:FlowLog"
_PROXY_PURPOSES: Final = (
    "REGIONAL_MANAGED_PROXY",
    "GLOBAL_MANAGED_PROXY",
    "PRIVATE_SERVICE_CONNECT",
    "INTERNAL_HTTPS_LOAD_BALANCER",
)
"""Subnets of Google's own proxies, which take neither flow logs nor private access."""


def _ranges(path: str, value: object) -> list[str]:
    """Elements of a list of address ranges that are as good as every address."""
    return [
        f"{path}[{index}]: {show(item)}, as good as every address"
        for index, item in elements(value)
        if is_wide(item)
    ]


def _eks_endpoint(resource: Resource) -> list[str]:
    found: list[str] = []
    private = resource.value("vpcConfig", "endpointPrivateAccess")
    public = resource.value("vpcConfig", "endpointPublicAccess")
    ranges = resource.value("vpcConfig", "publicAccessCidrs")
    if private not in (True, UNKNOWN):
        found.append(f"vpcConfig.endpointPrivateAccess: {show(private)}")
    if public in (False, UNKNOWN):
        return found
    if ranges is not UNKNOWN and not (isinstance(ranges, list | tuple) and ranges):
        found.append("vpcConfig.endpointPublicAccess: is on, and publicAccessCidrs names nobody")
    return found + _ranges("vpcConfig.publicAccessCidrs", ranges)


def _gke_endpoint(resource: Resource) -> list[str]:
    found: list[str] = []
    networks = resource.value("masterAuthorizedNetworksConfig")
    if networks is None:
        found.append("masterAuthorizedNetworksConfig: is missing, which allows every address")
    for path, block in resource.items("masterAuthorizedNetworksConfig", "cidrBlocks"):
        value = child(block, "cidrBlock")
        if is_wide(value):
            found.append(f"{path}.cidrBlock: {show(value)}, as good as every address")
    if resource.value("masterAuthorizedNetworksConfig", "gcpPublicCidrsAccessEnabled") not in (
        None,
        False,
        UNKNOWN,
    ):
        found.append(
            "masterAuthorizedNetworksConfig.gcpPublicCidrsAccessEnabled: admits everybody at Google Cloud"
        )
    if resource.value("controlPlaneEndpointsConfig", "dnsEndpointConfig", "allowExternalTraffic") not in (
        None,
        False,
        UNKNOWN,
    ):
        found.append("controlPlaneEndpointsConfig.dnsEndpointConfig.allowExternalTraffic: is not false")
    return found


def _gke_private_nodes(resource: Resource) -> list[str]:
    values = [
        resource.value("privateClusterConfig", "enablePrivateNodes"),
        resource.value("networkConfig", "enablePrivateNodes"),
    ]
    if True in values or UNKNOWN in values:
        return []
    return [f"privateClusterConfig.enablePrivateNodes: {show(values[0])}"]


def _pool_private_nodes(resource: Resource) -> list[str]:
    value = resource.value("networkConfig", "enablePrivateNodes")
    return [] if value in (None, True, UNKNOWN) else [f"networkConfig.enablePrivateNodes: {show(value)}"]


def _group_private_nodes(resource: Resource) -> list[str]:
    value = resource.value("remoteAccess")
    return [f"remoteAccess: {show(value)}, which opens SSH"] if value not in (None, UNKNOWN) else []


def _is_true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _template_private(resource: Resource) -> list[str]:
    found = [
        f"{path}.associatePublicIpAddress: is true"
        for path, item in resource.items("networkInterfaces")
        if _is_true(child(item, "associatePublicIpAddress"))
    ]
    if _is_true(resource.value("associatePublicIpAddress")):
        found.append("associatePublicIpAddress: is true")
    return found


def _subnet_private(resource: Resource) -> list[str]:
    return [
        f"{name}: is true"
        for name in ("mapPublicIpOnLaunch", "assignIpv6AddressOnCreation", "mapCustomerOwnedIpOnLaunch")
        if _is_true(resource.value(name))
    ]


def _inline_group(resource: Resource) -> list[str]:
    found: list[str] = []
    for direction in ("ingress", "egress"):
        for path, rule in resource.items(direction):
            found += _group_rule(
                path,
                child(rule, "protocol"),
                (
                    ("cidrBlocks", child(rule, "cidrBlocks")),
                    ("ipv6CidrBlocks", child(rule, "ipv6CidrBlocks")),
                ),
            )
    return found


def _separate_group_rule(resource: Resource) -> list[str]:
    return _group_rule(
        "",
        resource.value("protocol"),
        (
            ("cidrBlocks", resource.value("cidrBlocks")),
            ("ipv6CidrBlocks", resource.value("ipv6CidrBlocks")),
        ),
    )


def _single_group_rule(resource: Resource) -> list[str]:
    stated = ((name, resource.value(name)) for name in ("cidrIpv4", "cidrIpv6"))
    ranges = tuple((name, [value]) for name, value in stated if value is not None)
    return [one.replace("[0]", "", 1) for one in _group_rule("", resource.value("ipProtocol"), ranges)]


def _group_rule(path: str, protocol: object, ranges: tuple[tuple[str, object], ...]) -> list[str]:
    prefix = f"{path}." if path else ""
    found = [one for name, value in ranges for one in _ranges(prefix + name, value)]
    public = any(is_public(item) for _, value in ranges for _, item in elements(value))
    if protocol in ("-1", "all", -1) and public:
        found.append(f"{prefix}protocol: is every protocol and port, for addresses of the internet")
    return found


def _firewall(resource: Resource) -> list[str]:
    if not resource.value("allows") or resource.value("disabled") is True:
        return []
    direction = resource.value("direction")
    if direction is UNKNOWN:
        return []
    egress = direction == "EGRESS"
    names = ("destinationRanges",) if egress else ("sourceRanges", "sourceTags", "sourceServiceAccounts")
    stated = [resource.value(name) for name in names]
    found = _ranges(names[0], stated[0])
    if not any(stated):
        found.append(f"{names[0]}: is missing, which allows every address")
    found += [
        f"{path}.protocol: is every protocol and port, for addresses of the internet"
        for path, item in resource.items("allows")
        if child(item, "protocol") == "all" and any(is_public(one) for _, one in elements(stated[0]))
    ]
    return found


def _network(resource: Resource) -> list[str]:
    value = resource.value("autoCreateSubnetworks")
    return [] if value in (False, UNKNOWN) else [f"autoCreateSubnetworks: {show(value)}"]


def _metadata_options(resource: Resource) -> list[str]:
    if resource.value("metadataOptions") is UNKNOWN or (
        resource.value("metadataOptions", "httpEndpoint") == "disabled"
    ):
        return []
    found: list[str] = []
    tokens = resource.value("metadataOptions", "httpTokens")
    hops = resource.value("metadataOptions", "httpPutResponseHopLimit")
    if tokens not in ("required", UNKNOWN):
        found.append(f"metadataOptions.httpTokens: {known_text(tokens, frozenset({'optional'}))}")
    if hops is not UNKNOWN and integer(hops) != 1:
        found.append(f"metadataOptions.httpPutResponseHopLimit: {show(hops)}")
    return found


def _own_template(resource: Resource) -> list[str]:
    if resource.value("launchTemplate") is None:
        return ["launchTemplate: is missing, and with it the metadata service's settings"]
    return []


def _kubelet_port(resource: Resource) -> list[str]:
    value = resource.value("nodeConfig", "kubeletConfig", "insecureKubeletReadonlyPortEnabled")
    if not _is_true(value):
        return []
    return ["nodeConfig.kubeletConfig.insecureKubeletReadonlyPortEnabled: is true"]


def _internal_aws(resource: Resource) -> list[str]:
    value = resource.value("internal")
    return [] if value in (True, UNKNOWN) else [f"internal: {show(value)}"]


def _internal_gcp(resource: Resource) -> list[str]:
    scheme = resource.value("loadBalancingScheme")
    if scheme is UNKNOWN or (isinstance(scheme, str) and scheme.startswith("INTERNAL")):
        return []
    # An endpoint of Private Service Connect has an empty scheme: it leads out, nothing comes in.
    if scheme == "":
        return []
    sources = resource.value("sourceIpRanges")
    if isinstance(sources, list | tuple) and sources:
        return _ranges("sourceIpRanges", sources)
    return [f"loadBalancingScheme: {known_text(scheme, frozenset({'EXTERNAL', 'EXTERNAL_MANAGED'}))}"]


def _network_policy_enforced(resource: Resource) -> list[str]:
    if resource.value("enableAutopilot") is True:
        return []
    datapath = resource.value("datapathProvider")
    enabled = resource.value("networkPolicy", "enabled")
    if datapath in ("ADVANCED_DATAPATH", UNKNOWN) or enabled in (True, UNKNOWN):
        return []
    return [f"datapathProvider: {known_text(datapath, frozenset({'LEGACY_DATAPATH'}))}"]


def _subnet_flow_logs(resource: Resource) -> list[str]:
    purpose = resource.value("purpose")
    if purpose is UNKNOWN or purpose in _PROXY_PURPOSES:
        return []
    return ["logConfig: is missing"] if resource.value("logConfig") is None else []


def _private_google_access(resource: Resource) -> list[str]:
    purpose, value = resource.value("purpose"), resource.value("privateIpGoogleAccess")
    if purpose is UNKNOWN or purpose in _PROXY_PURPOSES or value in (True, UNKNOWN):
        return []
    return [f"privateIpGoogleAccess: {show(value)}"]


def _flow_log_traffic(resource: Resource) -> list[str]:
    value = resource.value("trafficType")
    if value in ("ALL", UNKNOWN) or resource.value("transitGatewayId") is not None:
        return []
    return [f"trafficType: {known_text(value, frozenset({'ACCEPT', 'REJECT'}))}"]


def _vpc_flow_logs(stack: Stack) -> list[StackViolation]:
    logged: set[str] = set()
    names: set[object] = set()
    for one in stack.resources:
        if one.token == _FLOW_LOG:
            logged |= one.sources.get("vpcId", frozenset()) or one.dependencies
            names.add(one.properties.get("vpcId") if isinstance(one.properties.get("vpcId"), str) else None)
    return [
        StackViolation(one.urn, "no FlowLog records the traffic of this VPC")
        for one in stack.resources
        if one.token == _VPC and one.urn not in logged and not _recorded(one.properties.get("id"), names)
    ]


def _recorded(identity: object, names: set[object]) -> bool:
    return isinstance(identity, str) and identity in names


_GROUP_TYPES: Final = {
    "aws:ec2/securityGroup:SecurityGroup": _inline_group,
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _inline_group,
    "aws:ec2/securityGroupRule:SecurityGroupRule": _separate_group_rule,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _single_group_rule,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _single_group_rule,
}
_ENDPOINT_TYPES: Final = {_EKS: _eks_endpoint, _GKE: _gke_endpoint}
_NODE_TYPES: Final = {
    _GKE: _gke_private_nodes,
    _POOL: _pool_private_nodes,
    _GROUP: _group_private_nodes,
    _TEMPLATE: _template_private,
    _INSTANCE: _template_private,
    "aws:ec2/subnet:Subnet": _subnet_private,
}
_METADATA_TYPES: Final = {
    _TEMPLATE: _metadata_options,
    _INSTANCE: _metadata_options,
    _GROUP: _own_template,
    _POOL: _kubelet_port,
}
_BALANCER_TYPES: Final = {
    "aws:lb/loadBalancer:LoadBalancer": _internal_aws,
    "aws:alb/loadBalancer:LoadBalancer": _internal_aws,
    "aws:elb/loadBalancer:LoadBalancer": _internal_aws,
    "gcp:compute/forwardingRule:ForwardingRule": _internal_gcp,
    "gcp:compute/globalForwardingRule:GlobalForwardingRule": _internal_gcp,
}
_LOG_TYPES: Final = {"gcp:compute/subnetwork:Subnetwork": _subnet_flow_logs, _FLOW_LOG: _flow_log_traffic}

RULES: Final = (
    Rule(
        id="cluster-endpoint",
        severity="critical",
        title="A cluster's API endpoint admits named ranges only",
        rationale="Whoever reaches it needs one leaked credential, or one flaw of the API server.",
        fix="serve it privately, and name the public ranges that may reach it, if any",
        judge=by_type(_ENDPOINT_TYPES),
        types=frozenset(_ENDPOINT_TYPES),
    ),
    Rule(
        id="node-private",
        severity="high",
        title="Nodes have no public addresses and no way in by SSH",
        rationale="A node on the internet is reached past every load balancer and NetworkPolicy.",
        fix="use private nodes and subnets that map no public addresses",
        judge=by_type(_NODE_TYPES),
        types=frozenset(_NODE_TYPES),
    ),
    Rule(
        id="node-metadata",
        severity="critical",
        title="Pods cannot read the node's credentials",
        rationale="A request forged in a pod would fetch the node's role from the metadata service.",
        fix=(
            'use a launch template with metadataOptions httpTokens "required" and httpPutResponseHopLimit 1'
        ),
        judge=by_type(_METADATA_TYPES),
        types=frozenset(_METADATA_TYPES),
    ),
    Rule(
        id="security-group-open",
        severity="critical",
        title="A security group names whom it lets in and out",
        rationale="Open to every address, it is none.",
        fix="name another group, or a range of at least /8 (IPv4) or /16 (IPv6) with its ports",
        judge=by_type(_GROUP_TYPES),
        types=frozenset(_GROUP_TYPES),
    ),
    Rule(
        id="firewall-open",
        severity="critical",
        title="A firewall rule names whom it lets in and out",
        rationale="Open to every address, it is none.",
        fix="name service accounts, tags, or a range of at least /8 (IPv4) or /16 (IPv6) with its ports",
        judge=_firewall,
        types=frozenset({"gcp:compute/firewall:Firewall"}),
    ),
    Rule(
        id="network-subnets-planned",
        severity="medium",
        title="A network has the subnets that were planned",
        rationale="Automatic ones take a range in every region and overlap with what is connected later.",
        fix="set autoCreateSubnetworks: false",
        judge=_network,
        types=frozenset({"gcp:compute/network:Network"}),
    ),
    Rule(
        id="network-private-google-access",
        severity="medium",
        title="Nodes reach Google's APIs without the internet",
        rationale="Without it private nodes need a way out to everywhere.",
        fix="set privateIpGoogleAccess: true",
        judge=_private_google_access,
        types=frozenset({"gcp:compute/subnetwork:Subnetwork"}),
    ),
    Rule(
        id="load-balancer-internal",
        severity="critical",
        title="A load balancer of the cloud is internal",
        rationale="A public one leads past the platform's entry, where clients are checked.",
        fix="make it internal; the way in from outside is the Service with its source ranges",
        judge=by_type(_BALANCER_TYPES),
        types=frozenset(_BALANCER_TYPES),
    ),
    Rule(
        id="cluster-network-policy",
        severity="critical",
        title="A cluster enforces NetworkPolicies",
        rationale="Otherwise they are stored and mean nothing.",
        fix="set datapathProvider: ADVANCED_DATAPATH",
        judge=_network_policy_enforced,
        types=frozenset({_GKE}),
    ),
    Rule(
        id="network-flow-logs",
        severity="high",
        title="Who talked to whom is recorded",
        rationale="After a break-in nobody can say otherwise what was reached from where.",
        fix="give subnets a logConfig, and flow logs trafficType ALL",
        judge=by_type(_LOG_TYPES),
        types=frozenset(_LOG_TYPES),
    ),
)
"""Rules on networks in the cloud."""

STACK_RULES: Final = (
    StackRule(
        id="vpc-flow-logs",
        severity="high",
        title="Every VPC has a flow log",
        rationale="After a break-in nobody can say otherwise what was reached from where.",
        fix="add a FlowLog with its vpcId",
        judge=_vpc_flow_logs,
    ),
)
"""Rules on networks as a whole."""
