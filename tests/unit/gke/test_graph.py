"""What the components register: facts about the cluster that anybody may hold us to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import kubernetes_validate
import pulumi
import pulumi_gcp as gcp
import pulumi_kubernetes as kubernetes
import pytest

from components.gke.addons import GkeAddons, GkeAddonsArgs
from components.gke.component import GkePlatform, GkePlatformArgs
from tests.harness import sdk_types
from tests.unit import graph as recording
from tests.unit.gke.examples import plan
from tests.unit.graph import Registration, record

UNKNOWN = pulumi.runtime.rpc.UNKNOWN
COMPONENTS = {
    "autoglm:gke:GkePlatform",
    "autoglm:gke:GkeNetwork",
    "autoglm:gke:GkeKeys",
    "autoglm:gke:GkeNodeIdentity",
    "autoglm:gke:GkeControlPlane",
    "autoglm:gke:GkeNodePools",
    "autoglm:gke:GkeAddons",
}


def build(
    changes: Mapping[str, Any] | None = None, *, protect: bool = False, preview: bool = False
) -> tuple[list[Registration], Any]:
    planned = plan(changes, protect=protect)

    def program() -> dict[str, Any]:
        cloud = gcp.Provider("gcp", project=planned.settings.project)
        platform = GkePlatform("cluster", GkePlatformArgs(planned), pulumi.ResourceOptions(providers=[cloud]))
        provider = kubernetes.Provider("kubernetes", kubeconfig=platform.kubeconfig)
        addons = GkeAddons(
            "addons",
            GkeAddonsArgs(
                planned, disks_key=platform.disks_key, shared_storage_key=platform.shared_storage_key
            ),
            pulumi.ResourceOptions(providers=[provider]),
        )
        return {
            "name": platform.name,
            "kubeconfig": platform.kubeconfig,
            "nodes": platform.node_service_account,
            "storage": addons.shared_storage_class,
        }

    return record(program, preview=preview, configured=not preview)


@pytest.fixture(scope="module")
def graph() -> list[Registration]:
    return build()[0]


@pytest.fixture(scope="module")
def cluster(graph: list[Registration]) -> Mapping[str, Any]:
    (found,) = of_type(graph, "gcp:container/cluster:Cluster")
    return found.inputs


def of_type(graph: list[Registration], token: str) -> list[Registration]:
    return [item for item in graph if item.type == token]


def node_pools(graph: list[Registration]) -> dict[str, Mapping[str, Any]]:
    return {
        item.inputs["nodeConfig"]["labels"]["autoglm-platform/node-pool"]: item.inputs
        for item in of_type(graph, "gcp:container/nodePool:NodePool")
    }


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def test_component_tokens(graph: list[Registration]) -> None:
    assert {item.type for item in graph if item.type.startswith("autoglm:")} == COMPONENTS


def test_every_resource_is_a_child_of_a_component_and_uses_an_explicit_provider(
    graph: list[Registration],
) -> None:
    components = {item.name for item in graph if item.type in COMPONENTS}
    for item in graph:
        if item.type in COMPONENTS or item.type.startswith("pulumi:providers:"):
            continue
        assert item.parent in components
        assert "::gcp::" in item.provider or "::kubernetes::" in item.provider


def test_a_preview_without_credentials_knows_every_input() -> None:
    """Policies that block must not depend on what is unknown in a preview."""
    graph, outputs = build(preview=True)
    for item in graph:
        if item.type.startswith("gcp:") or item.type.startswith("kubernetes:"):
            assert UNKNOWN not in list(leaves(item.inputs)), item.name
    assert len(graph) == len(build()[0])
    assert outputs is None or outputs["name"] == "autoglm-test"


@pytest.mark.parametrize("changes", [{}, {"network.nat": {"destinations": ["192.0.2.0/24"]}}])
def test_inputs_are_those_of_the_providers_sdk(changes: Mapping[str, Any]) -> None:
    graph, _ = build(changes, preview=True)
    assert [str(finding) for item in graph for finding in sdk_types.findings(item)] == []


def test_everything_lies_in_the_one_project(graph: list[Registration]) -> None:
    for item in graph:
        if "project" in item.inputs:
            assert item.inputs["project"] == "example-project"


# Network.


def test_no_network_of_its_own_accord(graph: list[Registration]) -> None:
    (vpc,) = of_type(graph, "gcp:compute/network:Network")
    assert vpc.inputs["autoCreateSubnetworks"] is False
    assert vpc.inputs["deleteDefaultRoutesOnCreate"] is True
    (subnet,) = of_type(graph, "gcp:compute/subnetwork:Subnetwork")
    assert subnet.inputs["privateIpGoogleAccess"] is True
    assert subnet.inputs["ipCidrRange"] == "10.40.0.0/17"
    assert subnet.inputs["secondaryIpRanges"] == [
        {"rangeName": "pods", "ipCidrRange": "10.44.0.0/14"},
        {"rangeName": "services", "ipCidrRange": "10.48.0.0/20"},
    ]
    assert subnet.inputs["logConfig"]["metadata"] == "INCLUDE_ALL_METADATA"


def routes(graph: list[Registration]) -> set[str]:
    return {item.inputs["destRange"] for item in of_type(graph, "gcp:compute/route:Route")}


def test_there_is_no_way_to_the_internet(graph: list[Registration]) -> None:
    assert routes(graph) == {"199.36.153.4/30"}
    assert not of_type(graph, "gcp:compute/routerNat:RouterNat")
    allowed = {
        cidr
        for item in of_type(graph, "gcp:compute/firewall:Firewall")
        if item.inputs.get("allows")
        for cidr in item.inputs["destinationRanges"]
    }
    assert allowed == {
        "10.40.0.0/17",
        "10.44.0.0/14",
        "10.40.144.0/28",
        "10.40.128.0/20",
        "199.36.153.4/30",
    }


def test_what_no_rule_allows_is_dropped(graph: list[Registration]) -> None:
    (deny,) = [i for i in of_type(graph, "gcp:compute/firewall:Firewall") if i.inputs.get("denies")]
    assert deny.inputs["direction"] == "EGRESS"
    assert deny.inputs["destinationRanges"] == ["0.0.0.0/0"]
    assert "targetTags" not in deny.inputs
    for item in of_type(graph, "gcp:compute/firewall:Firewall"):
        if item is not deny:
            assert item.inputs["priority"] < deny.inputs["priority"]
            assert item.inputs["targetTags"] == ["autoglm-test-node"]


def test_everything_but_the_cluster_is_reached_by_named_ports(graph: list[Registration]) -> None:
    for item in of_type(graph, "gcp:compute/firewall:Firewall"):
        allowed = item.inputs.get("allows", [])
        assert all(rule["protocol"] != "all" for rule in allowed)
        assert item.name.endswith("allow-cluster") or all(rule["ports"] for rule in allowed)


def test_only_named_networks_are_reached_by_nat() -> None:
    graph, _ = build({"network.nat": {"destinations": ["192.0.2.0/24"]}})
    assert routes(graph) == {"199.36.153.4/30", "192.0.2.0/24"}
    (nat,) = of_type(graph, "gcp:compute/routerNat:RouterNat")
    assert nat.inputs["sourceSubnetworkIpRangesToNat"] == "LIST_OF_SUBNETWORKS"
    (rule,) = [
        i for i in of_type(graph, "gcp:compute/firewall:Firewall") if i.name.endswith("allow-internet")
    ]
    assert rule.inputs["destinationRanges"] == ["192.0.2.0/24"]
    assert rule.inputs["allows"] == [{"protocol": "tcp", "ports": ["443"]}]


def test_googles_names_are_answered_with_restricted_addresses(graph: list[Registration]) -> None:
    zones = {i.inputs["dnsName"]: i for i in of_type(graph, "gcp:dns/managedZone:ManagedZone")}
    assert set(zones) == {"googleapis.com.", "gcr.io.", "pkg.dev."}
    assert all(zone.inputs["visibility"] == "private" for zone in zones.values())
    answers = {
        i.inputs["name"]: (i.inputs["type"], i.inputs["rrdatas"])
        for i in of_type(graph, "gcp:dns/recordSet:RecordSet")
    }
    addresses = [f"199.36.153.{last}" for last in (4, 5, 6, 7)]
    assert answers == {
        "restricted.googleapis.com.": ("A", addresses),
        "*.googleapis.com.": ("CNAME", ["restricted.googleapis.com."]),
        "gcr.io.": ("A", addresses),
        "*.gcr.io.": ("CNAME", ["gcr.io."]),
        "pkg.dev.": ("A", addresses),
        "*.pkg.dev.": ("CNAME", ["pkg.dev."]),
    }


# Control plane.


def test_nodes_and_endpoint_are_private(cluster: Mapping[str, Any]) -> None:
    assert cluster["privateClusterConfig"] == {
        "enablePrivateNodes": True,
        "enablePrivateEndpoint": True,
        "masterIpv4CidrBlock": "10.40.144.0/28",
        "masterGlobalAccessConfig": {"enabled": False},
    }
    assert cluster["masterAuthorizedNetworksConfig"] == {
        "cidrBlocks": [{"cidrBlock": "10.8.0.0/24", "displayName": "private"}],
        "gcpPublicCidrsAccessEnabled": False,
    }
    endpoints = cluster["controlPlaneEndpointsConfig"]
    assert endpoints["dnsEndpointConfig"] == {"allowExternalTraffic": False}


def test_a_public_endpoint_only_for_named_networks() -> None:
    graph, _ = build({"api.publicCidrs": ["198.51.100.0/24"]})
    (found,) = of_type(graph, "gcp:container/cluster:Cluster")
    assert found.inputs["privateClusterConfig"]["enablePrivateEndpoint"] is False
    assert found.inputs["privateClusterConfig"]["enablePrivateNodes"] is True
    blocks = found.inputs["masterAuthorizedNetworksConfig"]["cidrBlocks"]
    assert [block["cidrBlock"] for block in blocks] == ["10.8.0.0/24", "198.51.100.0/24"]


def test_the_cluster_is_hardened(cluster: Mapping[str, Any]) -> None:
    assert cluster["datapathProvider"] == "ADVANCED_DATAPATH"
    assert cluster["enableShieldedNodes"] is True
    assert cluster["enableLegacyAbac"] is False
    assert cluster["masterAuth"]["clientCertificateConfig"] == {"issueClientCertificate": False}
    assert cluster["anonymousAuthenticationConfig"] == {"mode": "LIMITED"}
    assert cluster["rbacBindingConfig"] == {
        "enableInsecureBindingSystemAuthenticated": False,
        "enableInsecureBindingSystemUnauthenticated": False,
    }
    assert cluster["serviceExternalIpsConfig"] == {"enabled": False}
    assert cluster["binaryAuthorization"] == {"evaluationMode": "PROJECT_SINGLETON_POLICY_ENFORCE"}
    assert cluster["securityPostureConfig"]["mode"] == "BASIC"
    assert cluster["workloadIdentityConfig"] == {"workloadPool": "example-project.svc.id.goog"}
    assert cluster["networkingMode"] == "VPC_NATIVE"
    defaults = cluster["nodePoolDefaults"]["nodeConfigDefaults"]
    assert defaults["insecureKubeletReadonlyPortEnabled"] == "FALSE"


def test_secrets_are_encrypted_with_a_key_of_the_cluster(cluster: Mapping[str, Any]) -> None:
    assert cluster["databaseEncryption"] == {
        "state": "ENCRYPTED",
        "keyName": "projects/example-project/locations/europe-west4/keyRings/autoglm-test/cryptoKeys/secrets",
    }


def test_what_happens_in_the_control_plane_is_logged(
    graph: list[Registration], cluster: Mapping[str, Any]
) -> None:
    assert "APISERVER" in cluster["loggingConfig"]["enableComponents"]
    assert "WORKLOADS" in cluster["loggingConfig"]["enableComponents"]
    assert cluster["monitoringConfig"]["managedPrometheus"]["enabled"] is True
    (audit,) = of_type(graph, "gcp:projects/iAMAuditConfig:IAMAuditConfig")
    assert audit.inputs["service"] == "container.googleapis.com"
    assert {config["logType"] for config in audit.inputs["auditLogConfigs"]} == {
        "ADMIN_READ",
        "DATA_READ",
        "DATA_WRITE",
    }


def test_logs_outlast_half_a_year(graph: list[Registration]) -> None:
    """Reads of the Kubernetes API and what containers say: Google's default would be 30 days."""
    (bucket,) = of_type(graph, "gcp:logging/projectBucketConfig:ProjectBucketConfig")
    assert (bucket.inputs["bucketId"], bucket.inputs["location"]) == ("_Default", "global")
    assert bucket.inputs["retentionDays"] == 400
    assert bucket.inputs["project"] == "example-project"


def test_the_pool_that_a_cluster_is_born_with_goes(cluster: Mapping[str, Any]) -> None:
    assert cluster["removeDefaultNodePool"] is True
    assert cluster["nodeConfig"]["shieldedInstanceConfig"]["enableSecureBoot"] is True
    assert cluster["nodeConfig"]["serviceAccount"].startswith("autoglm-test-nodes@")


def test_upgrades_keep_to_their_window(cluster: Mapping[str, Any]) -> None:
    assert cluster["releaseChannel"] == {"channel": "REGULAR"}
    assert cluster["maintenancePolicy"]["recurringWindow"] == {
        "startTime": "2026-01-01T01:00:00Z",
        "endTime": "2026-01-01T07:00:00Z",
        "recurrence": "FREQ=WEEKLY;BYDAY=SA,SU",
    }


def test_a_pinned_version_is_that_of_control_plane_and_nodes() -> None:
    version = "1.36.3-gke.1000000"
    graph, _ = build({"releaseChannel": "UNSPECIFIED", "version": version})
    (found,) = of_type(graph, "gcp:container/cluster:Cluster")
    assert found.inputs["minMasterVersion"] == version
    for pool in node_pools(graph).values():
        assert pool["version"] == version
        assert pool["management"] == {"autoRepair": True, "autoUpgrade": False}


def test_on_a_channel_google_chooses_the_nodes_version(graph: list[Registration]) -> None:
    for pool in node_pools(graph).values():
        assert "version" not in pool
        assert pool["management"] == {"autoRepair": True, "autoUpgrade": True}


def test_filestore_is_there_and_dns_stays_what_policies_admit(cluster: Mapping[str, Any]) -> None:
    assert cluster["addonsConfig"]["gcpFilestoreCsiDriverConfig"] == {"enabled": True}
    assert cluster["addonsConfig"]["dnsCacheConfig"] == {"enabled": False}
    assert cluster["dnsConfig"]["clusterDns"] == "KUBE_DNS"


# Keys and identities.


def test_every_key_rotates_and_has_one_user(graph: list[Registration]) -> None:
    keys = of_type(graph, "gcp:kms/cryptoKey:CryptoKey")
    assert {key.inputs["name"] for key in keys} == {"secrets", "disks", "files"}
    assert {key.inputs["rotationPeriod"] for key in keys} == {"7776000s"}
    users = {
        i.inputs["cryptoKeyId"].rsplit("/", 1)[1]: (i.inputs["role"], i.inputs["member"])
        for i in of_type(graph, "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember")
    }
    use = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
    assert users == {
        key: (use, f"serviceAccount:service-111122223333@{agent}.iam.gserviceaccount.com")
        for key, agent in {
            "secrets": "container-engine-robot",
            "disks": "compute-system",
            "files": "cloud-filer",
        }.items()
    }


def test_administrators_of_keys_cannot_use_them(graph: list[Registration]) -> None:
    (grant,) = of_type(graph, "gcp:kms/keyRingIAMMember:KeyRingIAMMember")
    assert grant.inputs["role"] == "roles/cloudkms.admin"
    assert grant.inputs["member"] == "group:platform-security@example.com"


def test_nodes_may_log_and_pull_and_no_more(graph: list[Registration]) -> None:
    member = "serviceAccount:autoglm-test-nodes@example-project.iam.gserviceaccount.com"
    grants = [
        (item.inputs["role"], item.inputs["member"])
        for item in graph
        if item.type
        in (
            "gcp:projects/iAMMember:IAMMember",
            "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
        )
    ]
    assert sorted(grants) == [
        ("roles/artifactregistry.reader", member),
        ("roles/container.defaultNodeServiceAccount", member),
    ]


# Node pools.


def test_every_node_is_hardened(graph: list[Registration]) -> None:
    for pool in node_pools(graph).values():
        config = pool["nodeConfig"]
        assert config["imageType"] == "COS_CONTAINERD"
        assert config["shieldedInstanceConfig"] == {
            "enableSecureBoot": True,
            "enableIntegrityMonitoring": True,
        }
        assert config["workloadMetadataConfig"] == {"mode": "GKE_METADATA"}
        assert config["metadata"]["disable-legacy-endpoints"] == "true"
        assert config["kubeletConfig"]["insecureKubeletReadonlyPortEnabled"] == "FALSE"
        assert config["bootDiskKmsKey"].endswith("/cryptoKeys/disks")
        assert config["serviceAccount"].startswith("autoglm-test-nodes@")
        assert config["tags"] == ["autoglm-test-node"]
        assert pool["networkConfig"]["enablePrivateNodes"] is True
        assert config["gvnic"] == {"enabled": True}


def test_kernel_settings(graph: list[Registration]) -> None:
    for pool in node_pools(graph).values():
        sysctls = pool["nodeConfig"]["linuxNodeConfig"]["sysctls"]
        assert sysctls["net.core.somaxconn"] == "65535"
        assert sysctls["fs.file-max"] == "2097152"


def test_gpus(graph: list[Registration]) -> None:
    gpus = {key: pool["nodeConfig"].get("guestAccelerators") for key, pool in node_pools(graph).items()}
    assert gpus == {
        "system": None,
        "general": None,
        "v6e": None,
        "v6e-slice": None,
        "l4": [
            {"type": "nvidia-l4", "count": 2, "gpuDriverInstallationConfig": {"gpuDriverVersion": "DEFAULT"}}
        ],
        "h100": [
            {
                "type": "nvidia-h100-80gb",
                "count": 8,
                "gpuPartitionSize": "3g.40gb",
                "gpuDriverInstallationConfig": {"gpuDriverVersion": "DEFAULT"},
            }
        ],
        "t4": [
            {
                "type": "nvidia-tesla-t4",
                "count": 1,
                "gpuDriverInstallationConfig": {"gpuDriverVersion": "LATEST"},
                "gpuSharingConfig": {"gpuSharingStrategy": "TIME_SHARING", "maxSharedClientsPerGpu": 4},
            }
        ],
    }


def test_a_slice_of_several_hosts_is_placed_together_and_whole(graph: list[Registration]) -> None:
    pools = node_pools(graph)
    assert pools["v6e-slice"]["placementPolicy"] == {"type": "COMPACT", "tpuTopology": "4x4"}
    assert pools["v6e-slice"]["nodeCount"] == 4
    assert "autoscaling" not in pools["v6e-slice"]
    assert all("placementPolicy" not in pool for key, pool in pools.items() if key != "v6e-slice")


def test_autoscaling(graph: list[Registration]) -> None:
    pools = node_pools(graph)
    assert pools["general"]["autoscaling"] == {
        "totalMinNodeCount": 1,
        "totalMaxNodeCount": 3,
        "locationPolicy": "BALANCED",
    }
    assert pools["t4"]["autoscaling"] == {"minNodeCount": 0, "maxNodeCount": 2, "locationPolicy": "ANY"}
    assert pools["general"]["initialNodeCount"] == 1
    assert all("nodeCount" not in pool for key, pool in pools.items() if key != "v6e-slice")


@pytest.fixture
def ignored(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Inputs whose changes are ignored, by resource, of what is built after this."""
    found: dict[str, set[str]] = {}
    original = recording._registration

    def note(request: Any) -> Registration:
        found[request.name] = set(request.ignoreChanges)
        return original(request)

    monkeypatch.setattr(recording, "_registration", note)
    return found


def test_what_would_replace_the_cluster_for_nothing_is_ignored(ignored: dict[str, set[str]]) -> None:
    (found,) = of_type(build()[0], "gcp:container/cluster:Cluster")
    assert ignored[found.name] == {"initialNodeCount", "nodeConfig", "defaultMaxPodsPerNode"}


def test_what_the_autoscaler_decides_is_left_to_it(ignored: dict[str, set[str]]) -> None:
    for item in of_type(build()[0], "gcp:container/nodePool:NodePool"):
        fixed = "nodeCount" in item.inputs
        assert ignored[item.name] == {"initialNodeCount"} | (set() if fixed else {"nodeCount"})


def test_where_machines_come_from(graph: list[Registration]) -> None:
    pools = node_pools(graph)
    affinity = {key: pool["nodeConfig"]["reservationAffinity"] for key, pool in pools.items()}
    assert affinity.pop("h100") == {
        "consumeReservationType": "SPECIFIC_RESERVATION",
        "key": "compute.googleapis.com/reservation-name",
        "values": ["models"],
    }
    assert all(found == {"consumeReservationType": "NO_RESERVATION"} for found in affinity.values())
    assert {key for key, pool in pools.items() if pool["nodeConfig"]["spot"]} == {"t4"}


def test_taints_and_labels_are_those_of_the_settings(graph: list[Registration]) -> None:
    """Those of GKE are its own business: given twice they would show as a difference for ever."""
    config = node_pools(graph)["l4"]["nodeConfig"]
    assert config["taints"] == [{"key": "dedicated", "value": "models", "effect": "NO_SCHEDULE"}]
    assert config["labels"] == {
        "team": "models",
        "autoglm-platform/node-pool": "l4",
        "autoglm-platform/accelerator": "L4",
    }


def test_accelerators_come_after_nodes_for_everything_else(graph: list[Registration]) -> None:
    (system,) = [i.name for i in of_type(graph, "gcp:container/nodePool:NodePool") if "-system-" in i.name]
    for item in of_type(graph, "gcp:container/nodePool:NodePool"):
        assert item.name == system or system in item.depends_on


def test_local_ssds_hold_scratch_space(graph: list[Registration]) -> None:
    config = node_pools(graph)["h100"]["nodeConfig"]
    assert config["ephemeralStorageLocalSsdConfig"] == {"localSsdCount": 16}


def test_pods_leave_a_deleted_pool_by_their_disruption_budgets(graph: list[Registration]) -> None:
    for pool in node_pools(graph).values():
        assert pool["nodeDrainConfigs"] == [{"respectPdbDuringNodePoolDeletion": True}]


def test_a_changed_taint_makes_a_new_pool_and_touches_nothing_else() -> None:
    """The new pool is another resource: the engine makes it first, and deletes the old one at the end."""

    def resources(changes: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
        return {(item.type, item.name): item.inputs for item in build(changes)[0]}

    before = resources({})
    after = resources({"nodePools[1].taints": [{"key": "dedicated", "value": "others"}]})
    (gone,) = before.keys() - after.keys()
    (new,) = after.keys() - before.keys()
    assert gone[0] == new[0] == "gcp:container/nodePool:NodePool"
    assert before[gone]["name"] != after[new]["name"]
    assert {key: before[key] for key in before.keys() & after.keys()} == {
        key: after[key] for key in before.keys() & after.keys()
    }


# Data protection, outputs, what runs inside.


def test_protected_data_cannot_be_deleted() -> None:
    def protected(protect: bool) -> set[str]:
        return {item.type.rsplit(":", 1)[1] for item in build(protect=protect)[0] if item.protect}

    holding = {"Cluster", "CryptoKey", "KeyRing", "Network"}
    # A forced destroy takes first what is not protected: keys would be left that nobody may decrypt with.
    guarding = {"CryptoKeyIAMMember", "IAMAuditConfig", "ProjectBucketConfig"}
    assert protected(True) == holding | guarding
    assert protected(False) == set()
    (found,) = of_type(build(protect=True)[0], "gcp:container/cluster:Cluster")
    assert found.inputs["deletionProtection"] is True


def test_deletion_is_possible_where_data_is_not_protected(cluster: Mapping[str, Any]) -> None:
    assert cluster["deletionProtection"] is False


def test_a_protected_volume_outlives_its_claim() -> None:
    def policies(protect: bool) -> set[str]:
        graph = build(protect=protect)[0]
        return {
            i.inputs["reclaimPolicy"] for i in of_type(graph, "kubernetes:storage.k8s.io/v1:StorageClass")
        }

    assert policies(True) == {"Retain"}
    assert policies(False) == {"Delete"}


def test_storage_classes(graph: list[Registration]) -> None:
    classes = {
        i.inputs["metadata"]["name"]: i.inputs
        for i in of_type(graph, "kubernetes:storage.k8s.io/v1:StorageClass")
    }
    assert set(classes) == {"shared", "balanced"}
    assert classes["shared"]["provisioner"] == "filestore.csi.storage.gke.io"
    keys = "projects/example-project/locations/europe-west4/keyRings/autoglm-test/cryptoKeys"
    assert classes["shared"]["parameters"] == {
        "tier": "zonal",
        "network": "autoglm-test",
        "connect-mode": "DIRECT_PEERING",
        "reserved-ipv4-cidr": "10.40.128.0/20",
        "instance-encryption-kms-key": f"{keys}/files",
    }
    assert classes["balanced"]["parameters"]["disk-encryption-kms-key"] == f"{keys}/disks"
    for document in classes.values():
        kubernetes_validate.validate(dict(document), "1.36", strict=True)


def test_a_tier_that_takes_no_key_gets_none() -> None:
    graph, _ = build({"sharedStorage": {"tier": "premium"}})
    assert {key.inputs["name"] for key in of_type(graph, "gcp:kms/cryptoKey:CryptoKey")} == {
        "secrets",
        "disks",
    }
    (shared,) = [
        i
        for i in of_type(graph, "kubernetes:storage.k8s.io/v1:StorageClass")
        if i.inputs["metadata"]["name"] == "shared"
    ]
    assert "instance-encryption-kms-key" not in shared.inputs["parameters"]


def test_the_kubeconfig_has_no_secret() -> None:
    _, outputs = build()
    kubeconfig = json.loads(outputs["kubeconfig"])
    (user,) = kubeconfig["users"]
    assert set(user["user"]) == {"exec"}
    assert user["user"]["exec"]["command"] == "gke-gcloud-auth-plugin"
    assert outputs["name"] == "autoglm-test"
    assert outputs["storage"] == "shared"
    assert outputs["nodes"] == "autoglm-test-nodes@example-project.iam.gserviceaccount.com"
