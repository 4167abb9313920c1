"""The same controls in public sets, by rule.

Every id is recorded with source, commit and file in tests/policies/public_sets.json; a rule without an entry
is in none of these sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

PublicSet = Literal[
    "pss",
    "cis",
    "cis-eks",
    "cis-gke",
    "gatekeeper",
    "kyverno",
    "checkov",
    "trivy",
    "kube-linter",
    "polaris",
    "kubescape",
    "kubescape-cel",
    "kube-score",
    "datree",
]

PUBLIC_SETS: Final[Mapping[PublicSet, str]] = {
    "pss": "Pod Security Standards",
    "cis": "CIS Kubernetes Benchmark 1.12",
    "cis-eks": "CIS Amazon EKS Benchmark 1.8",
    "cis-gke": "CIS Google Kubernetes Engine Benchmark 1.9",
    "gatekeeper": "gatekeeper-library",
    "kyverno": "Kyverno policies",
    "checkov": "Checkov",
    "trivy": "Trivy",
    "kube-linter": "KubeLinter",
    "polaris": "Polaris",
    "kubescape": "Kubescape rules",
    "kubescape-cel": "Kubescape controls",
    "kube-score": "kube-score",
    "datree": "Datree",
}
"""The sets and their names."""


def _same(**ids: str) -> Mapping[PublicSet, tuple[str, ...]]:
    names: dict[str, PublicSet] = {name.replace("-", "_"): name for name in PUBLIC_SETS}
    return {names[key]: tuple(value.split()) for key, value in ids.items()}


SAME_AS: Final[Mapping[str, Mapping[PublicSet, tuple[str, ...]]]] = {
    # Network isolation
    "network-default-deny": _same(cis="5.3.2", cis_eks="4.3.2", cis_gke="4.3.2", kyverno="add-networkpolicy"),
    "network-policy-peers": _same(trivy="KSV-0038"),
    "pod-host-network": _same(
        pss="baseline/hostNamespaces",
        cis="5.2.5",
        cis_eks="4.2.4",
        gatekeeper="K8sPSPHostNetworkingPorts",
        kyverno="disallow-host-namespaces",
        checkov="CKV_K8S_19",
        trivy="KSV-0009",
        kube_linter="host-network",
        polaris="hostNetworkSet",
        kubescape="host-network-access",
        datree="CONTAINERS_INCORRECT_HOSTNETWORK_VALUE_TRUE",
        kubescape_cel="C-0041",
    ),
    "container-host-port": _same(
        pss="baseline/hostPorts",
        cis="5.2.12",
        gatekeeper="K8sPSPHostNetworkingPorts",
        kyverno="disallow-host-ports",
        checkov="CKV_K8S_26",
        trivy="KSV-0024",
        polaris="hostPortSet",
        kubescape="container-hostPort",
        datree="CONTAINERS_INCORRECT_KEY_HOSTPORT",
        kubescape_cel="C-0044 C-0204",
    ),
    "service-node-port": _same(
        gatekeeper="K8sBlockNodePort",
        kyverno="restrict-nodeport",
        kube_linter="exposed-services",
        kube_score="service-type",
        datree="SERVICE_INCORRECT_TYPE_VALUE_NODEPORT",
    ),
    "service-external-ips": _same(
        gatekeeper="K8sExternalIPs", kyverno="restrict-external-ips", trivy="KSV-0108"
    ),
    "service-load-balancer-internal": _same(
        gatekeeper="K8sBlockLoadBalancer", kyverno="no-loadbalancer-service", kube_linter="exposed-services"
    ),
    "service-endpoints": _same(
        kyverno="no-localhost-service", datree="ENDPOINTSLICE_CVE2021_25373_INCORRECT_ADDRESSES_VALUE"
    ),
    "ingress-tls": _same(
        cis_eks="5.4.5",
        gatekeeper="K8sHttpsOnly",
        kyverno="require-ingress-https ingress-host-match-tls",
        polaris="tlsSettingsMissing",
        kubescape="ingress-no-tls",
        kubescape_cel="C-0263",
    ),
    "ingress-hosts": _same(
        gatekeeper="K8sBlockWildcardIngress",
        kyverno="restrict-ingress-wildcard disallow-empty-ingress-host restrict-ingress-defaultbackend",
        datree="INGRESS_INCORRECT_HOST_VALUE_PERMISSIVE",
    ),
    "ingress-snippets": _same(
        kyverno="disallow-ingress-nginx-custom-snippets",
        checkov="CKV_K8S_152 CKV_K8S_153 CKV_K8S_154",
        kubescape="CVE-2021-25742",
        datree=(
            "CONFIGMAP_CVE2021_25742_INCORRECT_SNIPPET_ANNOTATIONS_VALUE "
            "INGRESS_CVE2021_25742_INCORRECT_SERVER_SNIPPET_KEY"
        ),
    ),
    "workload-namespace": _same(
        cis="5.6.4",
        cis_eks="4.5.2",
        cis_gke="4.6.4",
        kyverno="disallow-default-namespace",
        checkov="CKV_K8S_21",
        trivy="KSV-0037 KSV-0110",
        kube_linter="use-namespace",
        kubescape="pods-in-default-namespace service-in-default-namespace ingress-in-default-namespace",
        datree="WORKLOAD_INCORRECT_NAMESPACE_VALUE_DEFAULT",
        kubescape_cel="C-0061 C-0212",
    ),
    # Resource limits
    "container-cpu-request": _same(
        gatekeeper="K8sContainerRequests K8sRequiredResources",
        kyverno="require-requests-limits",
        checkov="CKV_K8S_10",
        trivy="KSV-0015",
        kube_linter="unset-cpu-requirements",
        polaris="cpuRequestsMissing",
        kubescape="resources-cpu-requests resources-cpu-limit-and-request resource-policies",
        kube_score="container-resources",
        datree="CONTAINERS_MISSING_CPU_REQUEST_KEY",
        kubescape_cel="C-0050 C-0268",
    ),
    "container-memory-request": _same(
        gatekeeper="K8sContainerRequests K8sRequiredResources",
        kyverno="require-requests-limits",
        checkov="CKV_K8S_12",
        trivy="KSV-0016",
        kube_linter="unset-memory-requirements",
        polaris="memoryRequestsMissing",
        kubescape="resources-memory-requests resources-memory-limit-and-request resource-policies",
        kube_score="container-resources",
        datree="CONTAINERS_MISSING_MEMORY_REQUEST_KEY",
        kubescape_cel="C-0004 C-0269",
    ),
    "container-cpu-limit": _same(
        gatekeeper="K8sContainerLimits K8sRequiredResources",
        kyverno="require-cpu-limits",
        checkov="CKV_K8S_11",
        trivy="KSV-0011",
        kube_linter="unset-cpu-requirements",
        polaris="cpuLimitsMissing",
        kubescape="resources-cpu-limits resources-cpu-limit-and-request resource-policies",
        kube_score="container-resources",
        datree="CONTAINERS_MISSING_CPU_LIMIT_KEY",
        kubescape_cel="C-0009 C-0050 C-0270",
    ),
    "container-memory-limit": _same(
        gatekeeper="K8sContainerLimits K8sRequiredResources",
        kyverno="require-requests-limits",
        checkov="CKV_K8S_13",
        trivy="KSV-0018",
        kube_linter="unset-memory-requirements",
        polaris="memoryLimitsMissing",
        kubescape="resources-memory-limits resources-memory-limit-and-request resource-policies",
        kube_score="container-resources",
        datree="CONTAINERS_MISSING_MEMORY_LIMIT_KEY",
        kubescape_cel="C-0004 C-0009 C-0271",
    ),
    "container-ephemeral-storage-limit": _same(
        gatekeeper="K8sContainerEphemeralStorageLimit",
        kube_score="container-ephemeral-storage-request-and-limit",
    ),
    "serving-memory-guaranteed": _same(
        gatekeeper="K8sContainerRatios", kyverno="memory-requests-equal-limits"
    ),
    "empty-dir-size-limit": _same(kyverno="require-emptydir-requests-and-limits"),
    "workload-replicas": _same(gatekeeper="K8sReplicaLimits"),
    # Pod security
    "namespace-pod-security": _same(
        cis="5.2.1",
        cis_gke="4.2.1",
        kyverno="add-psa-labels",
        kubescape="pod-security-admission-restricted-applied-1",
    ),
    "container-non-root": _same(
        pss="restricted/runAsNonRoot restricted/runAsUser",
        cis="5.2.7",
        gatekeeper="K8sPSPAllowedUsers",
        kyverno="require-run-as-nonroot require-run-as-non-root-user",
        checkov="CKV_K8S_23",
        trivy="KSV-0012 KSV-0105",
        kube_linter="run-as-non-root",
        polaris="runAsRootAllowed",
        kubescape="non-root-containers",
        datree="CONTAINERS_INCORRECT_RUNASNONROOT_VALUE",
        kubescape_cel="C-0013 C-0198",
    ),
    "container-privilege-escalation": _same(
        pss="restricted/allowPrivilegeEscalation",
        cis="5.2.6",
        cis_eks="4.2.5",
        gatekeeper="K8sPSPAllowPrivilegeEscalationContainer",
        kyverno="disallow-privilege-escalation",
        checkov="CKV_K8S_20",
        trivy="KSV-0001",
        kube_linter="privilege-escalation-container",
        polaris="privilegeEscalationAllowed",
        kubescape="rule-allow-privilege-escalation",
        datree="CONTAINERS_MISSING_KEY_ALLOWPRIVILEGEESCALATION",
        kubescape_cel="C-0016 C-0197",
    ),
    "container-privileged": _same(
        pss="baseline/privileged",
        cis="5.2.2",
        cis_eks="4.2.1",
        gatekeeper="K8sPSPPrivilegedContainer",
        kyverno="disallow-privileged-containers",
        checkov="CKV_K8S_16",
        trivy="KSV-0017",
        kube_linter="privileged-container",
        polaris="runAsPrivileged",
        kubescape="rule-privileged-container",
        kube_score="container-security-context-privileged",
        datree="CONTAINERS_INCORRECT_PRIVILEGED_VALUE_TRUE",
        kubescape_cel="C-0057 C-0193",
    ),
    "container-capabilities": _same(
        pss="baseline/capabilities_baseline restricted/capabilities_restricted",
        cis="5.2.8 5.2.9",
        gatekeeper="K8sPSPCapabilities",
        kyverno="disallow-capabilities disallow-capabilities-strict drop-all-capabilities",
        checkov="CKV_K8S_25 CKV_K8S_28 CKV_K8S_37 CKV_K8S_39",
        trivy="KSV-0003 KSV-0022 KSV-0106",
        kube_linter="drop-net-raw-capability",
        polaris="dangerousCapabilities insecureCapabilities",
        kubescape="insecure-capabilities drop-capability-netraw",
        datree=(
            "CONTAINERS_INVALID_CAPABILITIES_VALUE EKS_INVALID_CAPABILITIES_EKS "
            "CIS_MISSING_VALUE_DROP_NET_RAW"
        ),
        kubescape_cel="C-0046 C-0199 C-0200 C-0201",
    ),
    "container-read-only-root": _same(
        gatekeeper="K8sPSPReadOnlyRootFilesystem",
        kyverno="require-ro-rootfs",
        checkov="CKV_K8S_22",
        trivy="KSV-0014",
        kube_linter="no-read-only-root-fs",
        polaris="notReadOnlyRootFilesystem",
        kubescape="immutable-container-filesystem",
        kube_score="container-security-context-readonlyrootfilesystem",
        datree="CONTAINERS_INCORRECT_READONLYROOTFILESYSTEM_VALUE",
        kubescape_cel="C-0017",
    ),
    "container-seccomp": _same(
        pss="baseline/seccompProfile_baseline restricted/seccompProfile_restricted",
        cis="5.6.2",
        cis_gke="4.6.2",
        gatekeeper="K8sPSPSeccompV2",
        kyverno="restrict-seccomp restrict-seccomp-strict",
        checkov="CKV_K8S_31",
        trivy="KSV-0030 KSV-0104",
        kubescape="set-seccomp-profile-RuntimeDefault set-seccomp-profile",
        kube_score="container-seccomp-profile",
        datree="CONTAINERS_INCORRECT_SECCOMP_PROFILE CIS_INVALID_VALUE_SECCOMP_PROFILE",
        kubescape_cel="C-0210",
    ),
    "pod-host-namespaces": _same(
        pss="baseline/hostNamespaces",
        cis="5.2.3 5.2.4",
        cis_eks="4.2.2 4.2.3",
        gatekeeper="K8sPSPHostNamespace",
        kyverno="disallow-host-namespaces",
        checkov="CKV_K8S_17 CKV_K8S_18",
        trivy="KSV-0008 KSV-0010",
        kube_linter="host-ipc host-pid",
        polaris="hostIPCSet hostPIDSet",
        kubescape="host-pid-ipc-privileges host-pid-privileges host-ipc-privileges",
        datree="CONTAINERS_INCORRECT_HOSTPID_VALUE_TRUE CONTAINERS_INCORRECT_HOSTIPC_VALUE_TRUE",
        kubescape_cel="C-0038 C-0194 C-0195 C-0275 C-0276",
    ),
    "pod-host-path": _same(
        pss="baseline/hostPathVolumes",
        cis="5.2.11",
        gatekeeper="K8sPSPHostFilesystem",
        kyverno="disallow-host-path",
        checkov="CKV_K8S_27",
        trivy="KSV-0023 KSV-0006",
        kube_linter="sensitive-host-mounts docker-sock writable-host-mount",
        polaris="hostPathSet",
        kubescape="alert-any-hostpath alert-rw-hostpath containers-mounting-docker-socket",
        datree=(
            "CONTAINERS_INCORRECT_KEY_HOSTPATH CONTAINERS_INCORRECT_PATH_VALUE_DOCKERSOCKET "
            "EKS_INVALID_HOSTPATH_MOUNT_READONLY_VALUE"
        ),
        kubescape_cel="C-0045 C-0048 C-0074 C-0203",
    ),
    "pod-volume-types": _same(
        pss="restricted/restrictedVolumes",
        gatekeeper="K8sPSPVolumeTypes K8sPSPFlexVolumes",
        kyverno="restrict-volume-types",
        trivy="KSV-0028",
    ),
    "pod-sysctls": _same(
        pss="baseline/sysctls",
        gatekeeper="K8sPSPForbiddenSysctls",
        kyverno="restrict-sysctls",
        trivy="KSV-0026",
        kube_linter="unsafe-sysctls",
    ),
    "pod-app-armor": _same(
        pss="baseline/appArmorProfile",
        gatekeeper="K8sPSPAppArmor",
        kyverno="restrict-apparmor-profiles",
        trivy="KSV-0002",
    ),
    "pod-selinux": _same(
        pss="baseline/seLinuxOptions",
        gatekeeper="K8sPSPSELinuxV2",
        kyverno="disallow-selinux",
        trivy="KSV-0025",
        datree=(
            "EKS_INVALID_SELINUXOPTIONS_TYPE_VALUE EKS_INVALID_SELINUXOPTIONS_USER_VALUE "
            "EKS_INVALID_SELINUXOPTIONS_ROLE_VALUE"
        ),
    ),
    "container-proc-mount": _same(
        pss="baseline/procMount restricted/procMount_restricted",
        gatekeeper="K8sPSPProcMount",
        kyverno="disallow-proc-mount",
        trivy="KSV-0027",
        kube_linter="unsafe-proc-mount",
        polaris="procMount",
        kubescape="set-procmount-default",
    ),
    "pod-host-process": _same(
        pss="baseline/windowsHostProcess",
        cis="5.2.10",
        gatekeeper="K8sPSPHostProcess",
        kyverno="disallow-host-process",
        trivy="KSV-0103",
        polaris="hostProcess",
        kubescape="set-hostprocess-true",
        datree="EKS_INVALID_HOSTPROCESS_VALUE",
        kubescape_cel="C-0202",
    ),
    "container-probe-host": _same(
        pss="baseline/hostProbesAndHostLifecycle", gatekeeper="K8sPSPHostProbesLifecycle"
    ),
    "pod-service-account-token": _same(
        cis="5.1.6",
        cis_eks="4.1.6",
        cis_gke="4.1.5",
        gatekeeper="K8sPSPAutomountServiceAccountTokenPod",
        kyverno="restrict-automount-sa-token restrict-sa-automount-sa-token",
        checkov="CKV_K8S_38",
        trivy="KSV-0036",
        polaris="automountServiceAccountToken",
        kubescape="automount-service-account serviceaccount-token-mount automount-default-service-account",
        datree=(
            "SRVACC_INCORRECT_AUTOMOUNTSERVICEACCOUNTTOKEN_VALUE "
            "CIS_INVALID_VALUE_AUTOMOUNTSERVICEACCOUNTTOKEN"
        ),
        kubescape_cel="C-0034",
    ),
    # Supply chain
    "image-digest": _same(
        gatekeeper="K8sImageDigests",
        kyverno="require-image-checksum",
        checkov="CKV_K8S_43",
        kubescape="image-not-pinned-to-digest",
        datree="CONTAINERS_MISSING_IMAGE_VALUE_DIGEST",
    ),
    "image-tag": _same(
        gatekeeper="K8sDisallowedTags",
        kyverno="disallow-latest-tag",
        checkov="CKV_K8S_14",
        trivy="KSV-0013",
        kube_linter="latest-tag",
        polaris="tagNotSpecified",
        kube_score="container-image-tag",
        datree="CONTAINERS_MISSING_IMAGE_VALUE_VERSION",
    ),
    "image-registry": _same(
        cis_eks="5.1.4",
        gatekeeper="K8sAllowedRepos",
        kyverno="restrict-image-registries",
        trivy="KSV-0125",
        kubescape="container-image-repository",
    ),
    # Workload health
    "workload-probes": _same(
        gatekeeper="K8sRequiredProbes",
        kyverno="require-pod-probes",
        checkov="CKV_K8S_8 CKV_K8S_9",
        kube_linter="no-liveness-probe no-readiness-probe",
        polaris="livenessProbeMissing readinessProbeMissing",
        kubescape="configured-liveness-probe configured-readiness-probe",
        kube_score="pod-probes",
        datree="CONTAINERS_MISSING_LIVENESSPROBE_KEY CONTAINERS_MISSING_READINESSPROBE_KEY",
        kubescape_cel="C-0018 C-0056",
    ),
    "workload-spread": _same(kyverno="spread-pods"),
    "disruption-budget-drains": _same(
        gatekeeper="K8sPodDisruptionBudget",
        kyverno="pdb-maxunavailable",
        kube_linter="pdb-max-unavailable",
        polaris="pdbDisruptionsIsZero",
        kube_score="poddisruptionbudget-has-policy",
    ),
    # Access
    "rbac-wildcard": _same(
        cis="5.1.3",
        cis_eks="4.1.3",
        cis_gke="4.1.3",
        kyverno="restrict-wildcard-resources restrict-wildcard-verbs",
        checkov="CKV_K8S_49",
        trivy="KSV-0044 KSV-0045 KSV-0046",
        kube_linter="wildcard-in-rules",
        datree="CIS_INVALID_WILDCARD_ROLE",
        polaris=(
            "clusterrolePodExecAttach rolePodExecAttach clusterrolebindingClusterAdmin "
            "rolebindingClusterAdminClusterRole"
        ),
        kubescape=("exec-into-container-v1 rule-can-impersonate-users-groups-v1"),
    ),
    "rbac-escalation": _same(
        cis="5.1.2 5.1.8 5.1.10 5.1.13",
        cis_eks="4.1.2 4.1.8 4.1.10 4.1.12",
        cis_gke="4.1.2 4.1.7",
        kyverno="restrict-escalation-verbs-roles",
        checkov="CKV_K8S_157 CKV_K8S_158",
        trivy="KSV-0041 KSV-0043 KSV-0047 KSV-0053 KSV-0054",
        polaris="clusterrolePodExecAttach rolePodExecAttach",
        kubescape=(
            "rule-can-bind-escalate rule-can-impersonate-users-groups-v1 "
            "rule-can-create-service-account-token rule-can-access-proxy-subresource "
            "rule-can-modify-admission-webhooks exec-into-container-v1"
        ),
        datree=(
            "CIS_INVALID_VALUE_BIND_IMPERSONATE_ESCALATE CIS_INVALID_VERB_SECRETS "
            "CONTAINERS_INCORRECT_RESOURCES_VERBS_VALUE"
        ),
    ),
    "rbac-cluster-admin": _same(
        cis="5.1.1 5.1.7",
        cis_eks="4.1.1",
        cis_gke="4.1.1 4.1.6",
        kyverno="restrict-binding-clusteradmin",
        trivy="KSV-0111 KSV-0123",
        kube_linter="cluster-admin-role-binding",
        polaris="clusterrolebindingClusterAdmin rolebindingClusterAdminClusterRole",
        kubescape="cluster-admin-role",
        datree="CIS_INVALID_ROLE_CLUSTER_ADMIN CIS_INVALID_VALUE_SYSTEM_MASTERS",
    ),
    "rbac-everybody": _same(
        cis_gke="4.1.8 4.1.9 4.1.10",
        gatekeeper="K8sDisallowAnonymous",
        kyverno="restrict-binding-system-groups",
        trivy="KSV-0122 KSV-01011",
        kubescape="anonymous-access-enabled system-authenticated-allowed-to-take-over-cluster",
        kubescape_cel="C-0262",
    ),
    "container-credentials": _same(
        cis="5.4.1",
        cis_eks="4.4.1",
        cis_gke="4.4.1",
        kube_linter="env-var-secret",
        polaris="sensitiveContainerEnvVar",
        kubescape="rule-credentials-in-env-var",
        kubescape_cel="C-0012",
    ),
    "config-map-credentials": _same(
        trivy="KSV-0109",
        polaris="sensitiveConfigmapContent",
        kubescape="rule-credentials-configmap",
        kubescape_cel="C-0012",
    ),
    # Networks in the cloud
    "cluster-endpoint": _same(
        cis_eks="5.4.1 5.4.2",
        cis_gke="5.6.3",
        checkov="CKV_AWS_38 CKV_AWS_39 CKV_GCP_18 CKV_GCP_20",
        trivy="AWS-0040 AWS-0041 GCP-0053 GCP-0061",
    ),
    "node-private": _same(
        cis_eks="5.4.3",
        cis_gke="5.6.5",
        checkov="CKV_AWS_88 CKV_AWS_100 CKV_AWS_130 CKV_GCP_25 CKV_GCP_64",
        trivy="AWS-0009 AWS-0164 GCP-0059",
    ),
    "node-metadata": _same(checkov="CKV_AWS_79 CKV_AWS_341", trivy="AWS-0028 AWS-0130"),
    "security-group-open": _same(
        checkov="CKV_AWS_24 CKV_AWS_25 CKV_AWS_260 CKV_AWS_277 CKV_AWS_382", trivy="AWS-0104 AWS-0107"
    ),
    "firewall-open": _same(checkov="CKV_GCP_2 CKV_GCP_3 CKV_GCP_106", trivy="GCP-0027 GCP-0035 GCP-0072"),
    "network-private-google-access": _same(checkov="CKV_GCP_74", trivy="GCP-0075"),
    "load-balancer-internal": _same(trivy="AWS-0053"),
    "cluster-network-policy": _same(cis_eks="5.4.4", cis_gke="4.3.1", checkov="CKV_GCP_12", trivy="GCP-0056"),
    "network-flow-logs": _same(cis_gke="5.6.1", checkov="CKV_GCP_26", trivy="GCP-0029 GCP-0076"),
    "vpc-flow-logs": _same(checkov="CKV2_AWS_11", trivy="AWS-0178"),
    # Data in the cloud
    "bucket-encryption": _same(checkov="CKV_AWS_145", trivy="AWS-0088 AWS-0132 GCP-0066"),
    "bucket-public-access": _same(
        checkov="CKV_AWS_20 CKV_AWS_53 CKV_AWS_54 CKV_AWS_55 CKV_AWS_56 CKV_AWS_57 CKV_GCP_29 CKV_GCP_114",
        trivy="AWS-0086 AWS-0087 AWS-0091 AWS-0092 AWS-0093 GCP-0002",
    ),
    "bucket-versioning": _same(checkov="CKV_AWS_21 CKV_GCP_78", trivy="AWS-0090 GCP-0078"),
    "bucket-complete": _same(checkov="CKV2_AWS_6", trivy="AWS-0094"),
    "audit-retention": _same(checkov="CKV_AWS_143 CKV2_GCP_4"),
    "key-rotation": _same(checkov="CKV_AWS_7 CKV_GCP_43", trivy="AWS-0065 GCP-0065"),
    "key-owner": _same(checkov="CKV2_AWS_64"),
    "cluster-secrets-encryption": _same(
        cis_eks="5.3.1", cis_gke="5.3.1", checkov="CKV_AWS_58", trivy="AWS-0039"
    ),
    "volume-encryption": _same(
        checkov="CKV_AWS_3 CKV_AWS_8 CKV_AWS_42", trivy="AWS-0008 AWS-0026 AWS-0037 AWS-0131"
    ),
    "deletion-protection": _same(checkov="CKV_GCP_82"),
    # Access in the cloud
    "iam-wildcard": _same(checkov="CKV_AWS_62 CKV_AWS_63 CKV_AWS_355 CKV2_AWS_40", trivy="AWS-0057 AWS-0345"),
    "iam-trust": _same(checkov="CKV_AWS_60 CKV_AWS_61"),
    "iam-administrator": _same(checkov="CKV_AWS_274 CKV2_AWS_56"),
    "iam-long-lived-key": _same(checkov="CKV2_GCP_3"),
    "resource-policy-public": _same(checkov="CKV_AWS_32 CKV_AWS_33 CKV_AWS_70", trivy="AWS-0032"),
    "cluster-administrators": _same(cis_eks="4.1.7"),
    "cluster-legacy-access": _same(
        cis_gke="5.8.1 5.8.3", checkov="CKV_GCP_7 CKV_GCP_13", trivy="GCP-0062 GCP-0064"
    ),
    "project-role": _same(checkov="CKV_GCP_41 CKV_GCP_49 CKV_GCP_117", trivy="GCP-0007 GCP-0011"),
    "public-member": _same(
        checkov="CKV_GCP_28 CKV_GCP_101 CKV_GCP_112 CKV2_GCP_6 CKV2_GCP_8", trivy="GCP-0001"
    ),
    "workload-identity": _same(
        cis_eks="5.2.1",
        cis_gke="5.2.1 5.2.2 5.4.1",
        checkov="CKV_GCP_69 CKV2_GCP_1",
        trivy="GCP-0050 GCP-0057",
    ),
    # Operation in the cloud
    "cluster-audit-logs": _same(
        cis_eks="2.1.1", cis_gke="5.7.1", checkov="CKV_AWS_37 CKV_GCP_1", trivy="AWS-0038 GCP-0060"
    ),
    "log-group": _same(cis_eks="2.1.2", checkov="CKV_AWS_158", trivy="AWS-0017"),
    "node-integrity": _same(
        cis_gke="5.5.5 5.5.6 5.5.7", checkov="CKV_GCP_68 CKV_GCP_71 CKV_GCP_72", trivy="GCP-0055"
    ),
    "node-maintenance": _same(
        cis_gke="5.5.2 5.5.3", checkov="CKV_GCP_9 CKV_GCP_10", trivy="GCP-0058 GCP-0063"
    ),
    "node-default-pool": _same(checkov="CKV_GCP_123"),
    "registry-immutable": _same(cis_eks="5.1.1", checkov="CKV_AWS_51 CKV_AWS_163", trivy="AWS-0030 AWS-0031"),
    # The stack as a whole
    "namespace-default-deny": _same(
        cis="5.3.2",
        cis_eks="4.3.2",
        cis_gke="4.3.2",
        kyverno="add-networkpolicy",
        checkov="CKV2_K8S_6",
    ),
    "namespace-quota": _same(kyverno="add-ns-quota", trivy="KSV-0040"),
    "namespace-limit-range": _same(kyverno="add-ns-quota", trivy="KSV-0039"),
    "serving-disruption-budget": _same(kyverno="require-pdb"),
    "disruption-budget-below-replicas": _same(
        gatekeeper="K8sPodDisruptionBudget", kyverno="pdb-minavailable-check"
    ),
}
"""Ids by rule and set."""
