"""What the EKS components register, as a preview without credentials sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import kubernetes_validate
import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
import pytest
from pulumi.runtime.rpc import UNKNOWN

from components.common.labels import NODE_POOL
from components.eks.addons import EksAddons, EksAddonsArgs
from components.eks.cluster import kubeconfig
from components.eks.component import EksPlatform, EksPlatformArgs
from components.eks.identity import PodIdentitySpec, Statement
from tests.harness import sdk_types
from tests.unit.eks.examples import ACCOUNT, ADMINISTRATOR, DEPLOYER, plan
from tests.unit.graph import Registration, record

IMAGE = f"registry.example/nvidia-device-plugin@sha256:{'1' * 64}"
AUTOSCALER = f"registry.example/cluster-autoscaler@sha256:{'2' * 64}"
IDENTITY = PodIdentitySpec(
    name="phone-fetch",
    namespace="autoglm",
    service_account="phone-fetch",
    statements=(Statement("ReadModel", ("s3:GetObject",), ("arn:aws:s3:::models/phone/*",)),),
)
EFA_GROUPS = 2
PRIVATE_KINDS = ("nodes", "endpoints", "control-plane")


@dataclass(frozen=True)
class Graph:
    """Everything registered, with the options that registrations do not show."""

    registrations: list[Registration]
    ignored: Mapping[str, list[str]]
    """Ignored changes by URN's tail."""
    name: str

    def of(self, kind: str) -> list[Registration]:
        """Resources whose type's token ends so."""
        return [item for item in self.registrations if item.type.rsplit(":", 1)[-1] == kind]

    def one(self, kind: str, suffix: str = "") -> Registration:
        """The only such resource whose name ends so."""
        (found,) = [item for item in self.of(kind) if item.name.endswith(suffix)]
        return found

    def before(self, item: Registration) -> set[str]:
        """Names of what it waits for: itself, and with the components that it is part of."""
        names = set(item.depends_on)
        for parent in self.registrations:
            if parent.type.startswith("autoglm:") and parent.name == item.parent:
                names |= self.before(parent)
        return names


def build(changes: Mapping[str, Any] | None = None, *, protect: bool = True) -> Graph:
    return _build(json.dumps(changes or {}), protect)


@cache
def _build(changes: str, protect: bool) -> Graph:
    planned = plan(json.loads(changes), protect=protect)
    ignored: dict[str, list[str]] = {}

    def look(args: pulumi.ResourceTransformationArgs) -> None:
        if args.opts.ignore_changes:
            ignored[args.name] = list(args.opts.ignore_changes)

    def program() -> pulumi.Output[str]:
        pulumi.runtime.register_stack_transformation(look)
        cloud = pulumi.ResourceOptions(providers=[aws.Provider("aws", region=planned.settings.region)])
        platform = EksPlatform(
            "cluster", EksPlatformArgs(planned, identities=(IDENTITY,), buckets=("models",)), cloud
        )
        inside = pulumi.ResourceOptions(
            providers=[kubernetes.Provider("cluster", kubeconfig=platform.kubeconfig)]
        )
        EksAddons("addons", EksAddonsArgs(planned, platform.file_system_id, IMAGE, AUTOSCALER), inside)
        return platform.name

    registrations, name = record(program, preview=True, configured=False)
    # Transformations stay for what later tests register in the same process.
    return Graph(registrations, dict(ignored), name)


@pytest.fixture
def graph() -> Graph:
    return build()


def documents(graph: Graph) -> list[tuple[Registration, dict[str, Any]]]:
    """All policy documents but those of keys and endpoints."""
    found = []
    for item in graph.registrations:
        for key in ("policy", "assumeRolePolicy"):
            if key in item.inputs and item.kind not in ("Key", "VpcEndpoint"):
                found.append((item, json.loads(item.inputs[key])))
    return found


def test_types_of_the_sdk(graph: Graph) -> None:
    assert [str(f) for item in graph.registrations for f in sdk_types.findings(item)] == []


def test_the_name_is_known_before_anything_exists(graph: Graph) -> None:
    assert graph.name == "autoglm-test"


def test_every_resource_is_a_child_of_a_component_and_uses_the_explicit_provider(graph: Graph) -> None:
    components = {item.name for item in graph.registrations if item.type.startswith("autoglm:")}
    for item in graph.registrations:
        if item.type.startswith(("aws:", "kubernetes:")):
            assert item.parent in components
            assert "pulumi:providers:" in item.provider
            assert "default" not in item.provider


def test_names_are_unique(graph: Graph) -> None:
    names = [(item.type, item.name) for item in graph.registrations]
    assert len(names) == len(set(names))


def test_the_cluster_is_private_and_logs_everything(graph: Graph) -> None:
    inputs = graph.one("Cluster").inputs
    vpc = inputs["vpcConfig"]
    assert vpc["endpointPrivateAccess"] is True
    assert vpc["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in vpc
    assert {"api", "audit", "authenticator"} <= set(inputs["enabledClusterLogTypes"])
    assert inputs["encryptionConfig"]["resources"] == ["secrets"]
    assert inputs["deletionProtection"] is True


def test_only_named_public_ranges_reach_a_public_endpoint() -> None:
    vpc = build({"api.publicCidrs": ["52.28.0.0/24"]}).one("Cluster").inputs["vpcConfig"]
    assert vpc["endpointPublicAccess"] is True
    assert vpc["publicAccessCidrs"] == ["52.28.0.0/24"]


def test_named_roles_administer_the_cluster_and_nobody_else(graph: Graph) -> None:
    access = graph.one("Cluster").inputs["accessConfig"]
    assert access == {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}
    assert {item.inputs["principalArn"] for item in graph.of("AccessEntry")} == {ADMINISTRATOR, DEPLOYER}
    for item in graph.of("AccessPolicyAssociation"):
        assert item.inputs["policyArn"].endswith("cluster-access-policy/AmazonEKSClusterAdminPolicy")
        assert item.inputs["accessScope"] == {"type": "cluster"}


def test_logs_are_encrypted_and_outlast_half_a_year(graph: Graph) -> None:
    groups = {item.inputs["name"]: item for item in graph.of("LogGroup")}
    assert set(groups) == {"/aws/eks/autoglm-test/cluster", "/aws/vpc/autoglm-test/flow-logs"}
    for item in groups.values():
        assert "kmsKeyId" in item.inputs
        assert item.inputs["retentionInDays"] >= 200
    # Else EKS makes the group itself: not encrypted, and for ever.
    assert "cluster-control-plane-logs" in graph.one("Cluster").depends_on


def test_flows_of_all_traffic_are_logged(graph: Graph) -> None:
    inputs = graph.one("FlowLog").inputs
    assert inputs["trafficType"] == "ALL"
    assert "vpcId" in inputs
    assert "logDestination" in inputs


def test_keys_are_rotated_and_kept(graph: Graph) -> None:
    assert {item.name.rsplit("-", 1)[-1] for item in graph.of("Key")} == {
        "secrets",
        "logs",
        "volumes",
        "files",
    }
    for item in graph.of("Key"):
        assert item.inputs["enableKeyRotation"] is True
        assert item.inputs["deletionWindowInDays"] == 30
        assert item.protect
        assert item.retain_on_delete
        # KMS refuses a policy that names a role which is not there.
        assert "cluster-roles-ebs-csi" in item.depends_on


def test_what_holds_data_is_protected_if_asked_for() -> None:
    def kept(protect: bool) -> set[tuple[str, str]]:
        return {(item.kind, item.name) for item in build(protect=protect).registrations if item.protect}

    assert kept(False) == set()
    holding = {"Cluster", "FileSystem", "Key", "LogGroup", "Vpc"}
    # A forced destroy takes first what is not protected: an open file system would be left, without backups,
    # and names of keys for anybody to take.
    guarding = {"Alias", "BackupPolicy", "FileSystemPolicy"}
    assert {kind for kind, _ in kept(True)} == holding | guarding
    assert build(protect=False).one("Cluster").inputs["deletionProtection"] is False


def test_the_default_security_group_lets_nothing_through(graph: Graph) -> None:
    inputs = graph.one("DefaultSecurityGroup").inputs
    assert inputs["ingress"] == []
    assert inputs["egress"] == []


def test_rules_name_groups_or_narrow_ranges_with_their_port(graph: Graph) -> None:
    rules = [*graph.of("SecurityGroupIngressRule"), *graph.of("SecurityGroupEgressRule")]
    by_range = [item for item in rules if "cidrIpv4" in item.inputs]
    assert [(item.name, item.inputs["cidrIpv4"], item.inputs["fromPort"]) for item in by_range] == [
        ("cluster-network-control-plane-from-10-8-0-0-16", "10.8.0.0/16", 443)
    ]
    assert all("referencedSecurityGroupId" in item.inputs for item in rules if item not in by_range)
    assert all("cidrIpv6" not in item.inputs for item in rules)


def test_subnets_by_zone_and_purpose(graph: Graph) -> None:
    zones = plan().settings.network.zones
    assert {item.name for item in graph.of("Subnet")} == {
        f"cluster-network-{kind}-{zone}" for kind in PRIVATE_KINDS for zone in zones
    }
    for item in graph.of("Subnet"):
        assert item.inputs["mapPublicIpOnLaunch"] is False
        internal = item.inputs["tags"].get("kubernetes.io/role/internal-elb")
        assert internal == ("1" if "-nodes-" in item.name else None)


def test_there_is_no_way_to_the_internet(graph: Graph) -> None:
    for kind in ("InternetGateway", "NatGateway", "Route", "Eip"):
        assert graph.of(kind) == []


@pytest.mark.parametrize(("gateways", "count"), [("per-zone", 3), ("single", 1)])
def test_nat_leads_to_named_networks_only(gateways: str, count: int) -> None:
    nat = {"gateways": gateways, "destinations": ["52.28.0.0/16"]}
    graph = build({"network.nat": nat})
    assert len(graph.of("NatGateway")) == count
    routes = {item.name: item.inputs for item in graph.of("Route")}
    public = routes.pop("cluster-network-public-internet")
    assert public["destinationCidrBlock"] == "0.0.0.0/0"
    assert len(routes) == 3
    assert {item["destinationCidrBlock"] for item in routes.values()} == {"52.28.0.0/16"}
    (rule,) = [item for item in graph.of("SecurityGroupEgressRule") if "cidrIpv4" in item.inputs]
    assert (rule.inputs["cidrIpv4"], rule.inputs["fromPort"], rule.inputs["toPort"]) == (
        "52.28.0.0/16",
        443,
        443,
    )


def test_endpoints_answer_under_the_services_own_names(graph: Graph) -> None:
    endpoints = {item.inputs["serviceName"]: item.inputs for item in graph.of("VpcEndpoint")}
    assert {
        f"com.amazonaws.us-east-1.{name}" for name in ("ec2", "ecr.api", "ecr.dkr", "s3", "sts", "eks")
    } <= set(endpoints)
    for inputs in endpoints.values():
        assert inputs["vpcEndpointType"] == "Interface"
        assert inputs["privateDnsEnabled"] is True
        assert len(inputs["subnetIds"]) == 3
        assert len(inputs["securityGroupIds"]) == 1
        assert json.loads(inputs["policy"])["Statement"]
    s3 = endpoints["com.amazonaws.us-east-1.s3"]
    assert s3["dnsOptions"] == {"privateDnsOnlyForInboundResolverEndpoint": False}


def test_every_node_group_is_bounded_and_its_size_is_left_to_the_autoscaler(graph: Graph) -> None:
    for item in graph.of("NodeGroup"):
        if not item.type.startswith("aws:"):
            continue
        scaling = item.inputs["scalingConfig"]
        assert scaling["minSize"] <= scaling["desiredSize"] <= scaling["maxSize"]
        assert graph.ignored[item.name] == ["scalingConfig.desiredSize"]
        assert item.inputs["labels"][NODE_POOL]
        assert item.inputs["updateConfig"]["maxUnavailable"] == 1
        assert "remoteAccess" not in item.inputs
        assert "diskSize" not in item.inputs
    system = next(
        item for item in graph.of("NodeGroup") if item.inputs.get("scalingConfig", {}).get("minSize") == 3
    )
    assert system


def groups(graph: Graph) -> dict[str, Mapping[str, Any]]:
    """Node groups by pool; the last of a pool that has several."""
    return {
        item.inputs["labels"][NODE_POOL]: item.inputs
        for item in graph.of("NodeGroup")
        if item.type.startswith("aws:")
    }


def test_nodes_join_a_cluster_that_has_what_they_need(graph: Graph) -> None:
    for item in graph.of("NodeGroup"):
        if item.type.startswith("aws:"):
            assert {
                "cluster-addon-vpc-cni",
                "cluster-addon-eks-pod-identity-agent",
                "cluster-addon-kube-proxy",
                "cluster-control-plane",
                "cluster-endpoints-s3",
                "cluster-network-nodes-from-control-plane",
                "cluster-roles-node-AmazonEKSWorkerNodePolicy",
            } <= graph.before(item)


def test_the_cluster_is_not_taken_away_after_its_network(graph: Graph) -> None:
    (cluster,) = [item for item in graph.of("Cluster") if item.type.startswith("aws:")]
    assert {
        "cluster-network-control-plane-from-nodes",
        "cluster-network-flow-logs",
        "cluster-network-vpc",
    } <= graph.before(cluster)


def test_images_taints_and_capacity_of_the_pools(graph: Graph) -> None:
    found = groups(graph)
    assert found["system"]["amiType"] == "AL2023_x86_64_STANDARD"
    assert "taints" not in found["system"]
    for pool in ("l40s", "h100", "a100-mig", "l4-shared"):
        assert found[pool]["amiType"] == "AL2023_x86_64_NVIDIA"
        assert {"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"} in found[pool]["taints"]
    assert {"key": "team", "value": "vision", "effect": "NO_EXECUTE"} in found["l4-shared"]["taints"]
    assert found["l4-shared"]["capacityType"] == "SPOT"
    assert found["a100-mig"]["updateConfig"]["updateStrategy"] == "MINIMAL"


def test_every_launch_template_hardens_its_nodes(graph: Graph) -> None:
    templates = graph.of("LaunchTemplate")
    assert len(templates) == len(plan().node_groups)
    for item in templates:
        assert item.inputs["metadataOptions"] == {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
            "instanceMetadataTags": "disabled",
        }
        (device,) = item.inputs["blockDeviceMappings"]
        assert device["ebs"]["encrypted"] == "true"
        assert device["ebs"]["volumeType"] == "gp3"
        assert "kmsKeyId" in device["ebs"]
        assert "keyName" not in item.inputs
        # EKS refuses a template that says any of these.
        assert not {"imageId", "iamInstanceProfile", "instanceInitiatedShutdownBehavior"} & item.inputs.keys()


def test_fabric_adapters_come_with_a_placement_group_in_each_zone(graph: Graph) -> None:
    templates = [item.inputs for item in graph.of("LaunchTemplate") if "networkInterfaces" in item.inputs]
    assert len(templates) == len(graph.of("PlacementGroup")) == EFA_GROUPS
    for inputs in templates:
        interfaces = inputs["networkInterfaces"]
        assert [item["networkCardIndex"] for item in interfaces] == list(range(32))
        assert [item["deviceIndex"] for item in interfaces] == [0, *[1] * 31]
        assert {item["interfaceType"] for item in interfaces[1:]} == {"efa-only"}
        assert interfaces[0]["interfaceType"] == "efa"
        assert all(item["associatePublicIpAddress"] == "false" for item in interfaces)
        assert inputs["placement"]["groupName"].startswith("autoglm-test-h100-")
        assert "vpcSecurityGroupIds" not in inputs
    assert all(item.inputs["strategy"] == "cluster" for item in graph.of("PlacementGroup"))
    zones = [
        item.inputs["subnetIds"] for item in graph.of("NodeGroup") if "-h100-" in item.name and item.inputs
    ]
    assert [len(subnets) for subnets in zones] == [1] * EFA_GROUPS


def test_reserved_capacity_is_asked_for_by_its_id() -> None:
    def template(kind: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        capacity = {"kind": kind, "id": "cr-0123456789abcdef0", "zone": "us-east-1b"}
        graph = build({"nodePools[2].capacity": capacity})
        (found,) = [item for item in graph.of("LaunchTemplate") if "a100-mig" in item.name]
        return found.inputs, groups(graph)["a100-mig"]

    target = {"capacityReservationTarget": {"capacityReservationId": "cr-0123456789abcdef0"}}
    reserved, group = template("reservation")
    assert reserved["capacityReservationSpecification"] == target
    assert (group["capacityType"], group["instanceTypes"]) == ("ON_DEMAND", ["p4d.24xlarge"])
    block, group = template("capacity-block")
    assert block["capacityReservationSpecification"] == target
    assert block["instanceMarketOptions"] == {"marketType": "capacity-block"}
    assert block["instanceType"] == "p4d.24xlarge"
    assert group["capacityType"] == "CAPACITY_BLOCK"
    assert "instanceTypes" not in group


def test_the_autoscaler_knows_nodes_of_empty_groups(graph: Graph) -> None:
    tags = {
        item.inputs["tag"]["key"]: item.inputs["tag"] for item in graph.of("Tag") if "a100-mig" in item.name
    }
    prefix = "k8s.io/cluster-autoscaler/node-template"
    assert tags[f"{prefix}/label/{NODE_POOL}"]["value"] == "a100-mig"
    assert tags[f"{prefix}/taint/nvidia.com/gpu"]["value"] == "present:NoSchedule"
    assert tags[f"{prefix}/resources/nvidia.com/mig-3g.20gb"]["value"] == "16"
    assert not [item for item in graph.of("Tag") if "-l40s-" in item.name]


@pytest.mark.parametrize(
    "changes",
    [
        {"nodePools[0].taints": [{"key": "team"}]},
        {"nodePools[0].machineType": "g6e.4xlarge"},
    ],
)
def test_a_reshaped_pool_is_created_beside_the_old_one_and_replaces_nothing(changes: dict[str, Any]) -> None:
    """New name, new object: the engine creates it first, and deletes what is no longer there at the end."""

    def inputs(graph: Graph) -> dict[tuple[str, str], Mapping[str, Any]]:
        return {(item.type, item.name): item.inputs for item in graph.registrations}

    before, after = inputs(build()), inputs(build(changes))
    gone, new = before.keys() - after.keys(), after.keys() - before.keys()
    assert {kind.rsplit(":", 1)[-1] for kind, _ in gone} == {"NodeGroup", "LaunchTemplate"}
    assert {kind.rsplit(":", 1)[-1] for kind, _ in new} == {"NodeGroup", "LaunchTemplate"}
    assert all("-l40s-" in name for _, name in gone | new)
    assert all(before[key] == after[key] for key in before.keys() & after.keys())


def test_documents_name_actions_and_resources(graph: Graph) -> None:
    found = documents(graph)
    assert len(found) >= 9
    for item, document in found:
        for statement in document["Statement"]:
            assert all("*" not in action for action in statement["Action"]), item.name
            resources = statement.get("Resource", [])
            looks = all(":Describe" in action for action in statement["Action"])
            for resource in [resources] if isinstance(resources, str) else resources:
                assert resource.startswith("arn:aws:") or looks, item.name
            if "Principal" in statement and item.kind == "Role":
                assert set(statement["Principal"]) == {"Service"}


def test_roles_of_services_are_for_this_account_only(graph: Graph) -> None:
    for item in (item for item in graph.of("Role") if item.type.startswith("aws:")):
        (statement,) = json.loads(item.inputs["assumeRolePolicy"])["Statement"]
        if statement["Principal"]["Service"] != "ec2.amazonaws.com":
            assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == ACCOUNT
        assert len(item.inputs["name"]) <= 64


def test_pods_get_the_role_made_for_them(graph: Graph) -> None:
    association = graph.one("PodIdentityAssociation", "phone-fetch-association").inputs
    assert association["serviceAccount"] == "phone-fetch"
    assert association["roleArn"] == f"arn:aws:iam::{ACCOUNT}:role/autoglm-test-phone-fetch"
    policy = json.loads(graph.one("RolePolicy", "phone-fetch-policy").inputs["policy"])
    assert policy["Statement"][0]["Resource"] == "arn:aws:s3:::models/phone/*"


def test_add_ons_are_pinned_and_network_policies_enforced(graph: Graph) -> None:
    addons = {item.inputs["addonName"]: item.inputs for item in graph.of("Addon")}
    assert set(addons) == {
        "vpc-cni",
        "coredns",
        "kube-proxy",
        "eks-pod-identity-agent",
        "aws-ebs-csi-driver",
        "aws-efs-csi-driver",
    }
    assert all("-eksbuild." in inputs["addonVersion"] for inputs in addons.values())
    cni = json.loads(addons["vpc-cni"]["configurationValues"])
    assert cni["enableNetworkPolicy"] == "true"
    assert cni["env"]["ENABLE_PREFIX_DELEGATION"] == "true"
    accounts = {
        name: inputs["podIdentityAssociations"][0]["serviceAccount"]
        for name, inputs in addons.items()
        if "podIdentityAssociations" in inputs
    }
    assert accounts == {
        "vpc-cni": "aws-node",
        "aws-ebs-csi-driver": "ebs-csi-controller-sa",
        "aws-efs-csi-driver": "efs-csi-controller-sa",
    }


def test_the_file_system_is_encrypted_backed_up_and_in_every_zone(graph: Graph) -> None:
    inputs = graph.one("FileSystem").inputs
    assert inputs["encrypted"] is True
    assert "kmsKeyId" in inputs
    assert graph.one("BackupPolicy").inputs["backupPolicy"] == {"status": "ENABLED"}
    assert len(graph.of("MountTarget")) == 3


def test_documents_and_flags_are_known_in_a_preview(graph: Graph) -> None:
    for item in graph.registrations:
        for key in (
            "policy",
            "assumeRolePolicy",
            "configurationValues",
            "userData",
            "scalingConfig",
            "labels",
        ):
            assert UNKNOWN not in json.dumps(item.inputs.get(key)), (item.name, key)


def test_kubernetes_objects_are_valid(graph: Graph) -> None:
    for item in graph.registrations:
        if item.type.startswith("kubernetes:"):
            document = json.loads(
                json.dumps(item.inputs).replace(f'"{UNKNOWN}"', '"unknown"'),
                parse_float=lambda text: int(float(text)),
            )
            kubernetes_validate.validate(document, "1.36", strict=True)


def plugins(graph: Graph) -> dict[str, Mapping[str, Any]]:
    return {
        item.name.removeprefix("addons-device-plugin-"): item.inputs["spec"] for item in graph.of("DaemonSet")
    }


def test_a_device_plugin_for_each_way_to_share_gpus(graph: Graph) -> None:
    found = plugins(graph)
    assert set(found) == {"exclusive", "time-slicing-4", "mig"}
    configs = {
        item.name.removeprefix("addons-device-plugin-"): json.loads(item.inputs["data"]["config.json"])
        for item in graph.of("ConfigMap")
    }
    assert configs["exclusive"]["flags"]["migStrategy"] == "none"
    assert configs["mig"]["flags"]["migStrategy"] == "mixed"
    assert configs["time-slicing-4"]["sharing"]["timeSlicing"]["resources"] == [
        {"name": "nvidia.com/gpu", "replicas": 4}
    ]
    selectors = {
        name: spec["template"]["spec"]["nodeSelector"]["autoglm-platform/gpu-sharing"]
        for name, spec in found.items()
    }
    assert selectors == {name: name for name in found}
    shared = {
        item.inputs["labels"]["autoglm-platform/gpu-sharing"]
        for item in graph.of("NodeGroup")
        if "autoglm-platform/gpu-sharing" in item.inputs.get("labels", {})
    }
    assert shared == set(found)


def test_the_device_plugin_is_hardened(graph: Graph) -> None:
    for name, spec in plugins(graph).items():
        pod = spec["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["capabilities"].get("add", []) == (["SYS_ADMIN"] if name == "mig" else [])
        assert not context.get("privileged", False)
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert container["image"] == IMAGE
        paths = [volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume]
        assert paths == ["/var/lib/kubelet/device-plugins"]
    policy = graph.one("NetworkPolicy", "device-plugin")
    assert policy.inputs["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not policy.inputs["spec"].get("ingress")
    assert not policy.inputs["spec"].get("egress")


def test_the_autoscaler_resizes_groups_of_its_own_cluster_only(graph: Graph) -> None:
    policy = json.loads(graph.one("RolePolicy", "cluster-autoscaler-policy").inputs["policy"])
    (resize,) = [item for item in policy["Statement"] if not item["Sid"].startswith("Look")]
    assert resize["Condition"] == {
        "StringEquals": {"aws:ResourceTag/k8s.io/cluster-autoscaler/autoglm-test": "owned"}
    }
    association = graph.one("PodIdentityAssociation", "cluster-autoscaler-association").inputs
    pod = graph.one("Deployment").inputs["spec"]["template"]["spec"]
    assert association["serviceAccount"] == pod["serviceAccountName"]
    assert association["namespace"] == graph.one("Deployment").inputs["metadata"]["namespace"]


def test_the_autoscaler_reaches_the_api_aws_and_dns(graph: Graph) -> None:
    spec = graph.one("NetworkPolicy", "autoscaler-network").inputs["spec"]
    assert not spec.get("ingress")
    reached = {
        (peer["ipBlock"]["cidr"], rule["ports"][0]["port"])
        for rule in spec["egress"]
        for peer in rule["to"]
        if "ipBlock" in peer
    }
    planned = plan()
    assert ("172.20.0.1/32", 443) in reached
    assert {(str(zone.control_plane), 443) for zone in planned.subnets} <= reached
    assert {(cidr, 443) for cidr in planned.object_storage_cidrs} | set(planned.identity_endpoints) <= reached


def test_the_autoscaler_is_hardened_and_survives_a_drain(graph: Graph) -> None:
    deployment = graph.one("Deployment").inputs["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    assert deployment["replicas"] > graph.one("PodDisruptionBudget").inputs["spec"]["maxUnavailable"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert {"livenessProbe", "readinessProbe"} <= container.keys()
    assert pod["automountServiceAccountToken"] is False
    for role in (item for item in graph.registrations if "rules" in item.inputs):
        for rule in role.inputs["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"secrets", "pods/exec", "serviceaccounts"} & set(rule["resources"])


def test_gpu_nodes_that_offer_whole_gpus_are_waited_for(graph: Graph) -> None:
    labelled = {
        pool for pool, inputs in groups(graph).items() if "k8s.amazonaws.com/accelerator" in inputs["labels"]
    }
    assert labelled == {"l40s", "h100", "l4-shared"}


def test_storage_classes(graph: Graph) -> None:
    found = {item.inputs["metadata"]["name"]: item.inputs for item in graph.of("StorageClass")}
    default, shared = found["gp3"], found["shared"]
    assert default["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert default["parameters"]["encrypted"] == "true"
    assert default["parameters"]["kmsKeyId"] == f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/autoglm-test-volumes"
    assert default["volumeBindingMode"] == "WaitForFirstConsumer"
    assert shared["provisioner"] == "efs.csi.aws.com"
    assert shared["parameters"]["provisioningMode"] == "efs-ap"
    assert {item["reclaimPolicy"] for item in found.values()} == {"Retain"}
    unprotected = build(protect=False).of("StorageClass")
    assert {item.inputs["reclaimPolicy"] for item in unprotected} == {"Delete"}


def test_without_gpus_there_is_no_device_plugin() -> None:
    graph = build({"nodePools": []})
    assert graph.of("DaemonSet") == []


def test_the_kubeconfig_holds_no_credentials() -> None:
    config = json.loads(kubeconfig("c", "us-east-1", "https://example.invalid", "Y2E="))
    (user,) = config["users"]
    assert user["user"].keys() == {"exec"}
    assert user["user"]["exec"]["args"] == [
        "eks",
        "get-token",
        "--cluster-name",
        "c",
        "--region",
        "us-east-1",
    ]
