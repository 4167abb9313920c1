"""For every rule on clouds: edits of a good example that it refuses, and edits that it lets pass."""

from __future__ import annotations

from typing import Any, Final

from tests.policies.cases import Case
from tests.policies.cloud_examples import (
    ACCOUNT,
    CLOUD,
    OWNER,
    POD_TRUST,
    SECURE_TRANSPORT,
    allow,
    document,
)
from tests.policies.examples import DELETE, Resource, edited


def _cases(
    rule: str,
    refused: dict[str, list[tuple[dict[str, Any], str]]],
    passed: dict[str, list[dict[str, Any]]] | None = None,
) -> list[Case]:
    result = [
        Case(rule, CLOUD[name], edits, path)
        for name, edits_list in refused.items()
        for edits, path in edits_list
    ]
    names: dict[str, list[dict[str, Any]]] = {**{name: [{}] for name in refused}, **(passed or {})}
    return [
        *result,
        *(Case(rule, CLOUD[name], edits, None) for name, edits_list in names.items() for edits in edits_list),
    ]


def _documented(name: str, *statements: dict[str, Any]) -> dict[str, Any]:
    return {name: document(*statements)}


_USER = ("aws:iam/accessKey:AccessKey", {"user": "deploy"})
_PUBLIC = "0.0.0.0/0"
_POLICY_DATA = '{"bindings": [{"role": "roles/storage.objectViewer", "members": ["allUsers"]}]}'

CLOUD_CASES: Final[tuple[Case, ...]] = (
    # Networks
    *_cases(
        "cluster-endpoint",
        {
            "eks": [
                ({"vpcConfig endpointPrivateAccess": DELETE}, "endpointPrivateAccess: is missing"),
                ({"vpcConfig publicAccessCidrs": DELETE}, "publicAccessCidrs names nobody"),
                ({"vpcConfig publicAccessCidrs 0": _PUBLIC}, "publicAccessCidrs[0]: is 0.0.0.0/0"),
                ({"vpcConfig publicAccessCidrs 1": "::/0"}, "publicAccessCidrs[1]"),
                ({"vpcConfig": DELETE}, "endpointPrivateAccess"),
            ],
            "gke": [
                ({"masterAuthorizedNetworksConfig": DELETE}, "masterAuthorizedNetworksConfig: is missing"),
                (
                    {"masterAuthorizedNetworksConfig cidrBlocks 0 cidrBlock": _PUBLIC},
                    "cidrBlocks[0].cidrBlock",
                ),
                (
                    {"masterAuthorizedNetworksConfig gcpPublicCidrsAccessEnabled": True},
                    "gcpPublicCidrsAccessEnabled",
                ),
                (
                    {"controlPlaneEndpointsConfig": {"dnsEndpointConfig": {"allowExternalTraffic": True}}},
                    "allowExternalTraffic",
                ),
            ],
        },
        {
            "eks": [
                {"vpcConfig endpointPublicAccess": False, "vpcConfig publicAccessCidrs": DELETE},
            ],
            "gke": [{"masterAuthorizedNetworksConfig": {}}],
        },
    ),
    *_cases(
        "node-private",
        {
            "gke": [
                ({"privateClusterConfig": DELETE}, "enablePrivateNodes"),
                ({"privateClusterConfig enablePrivateNodes": False}, "is false"),
            ],
            "gke-nodes": [({"networkConfig enablePrivateNodes": False}, "networkConfig.enablePrivateNodes")],
            "eks-nodes": [({"remoteAccess": {"ec2SshKey": "key"}}, "remoteAccess")],
            "launch-template": [
                ({"networkInterfaces 0 associatePublicIpAddress": "true"}, "networkInterfaces[0]")
            ],
            "instance": [({"associatePublicIpAddress": True}, "associatePublicIpAddress")],
            "subnet": [
                ({"mapPublicIpOnLaunch": True}, "mapPublicIpOnLaunch"),
                ({"assignIpv6AddressOnCreation": True}, "assignIpv6AddressOnCreation"),
            ],
        },
        {"subnet": [{"mapPublicIpOnLaunch": DELETE}], "launch-template": [{"networkInterfaces": DELETE}]},
    ),
    *_cases(
        "node-metadata",
        {
            "launch-template": [
                ({"metadataOptions": DELETE}, "httpTokens: is missing"),
                ({"metadataOptions httpTokens": "optional"}, "is optional"),
                ({"metadataOptions httpPutResponseHopLimit": 2.0}, "httpPutResponseHopLimit: is 2"),
            ],
            "instance": [({"metadataOptions": DELETE}, "httpTokens")],
            "eks-nodes": [({"launchTemplate": DELETE}, "launchTemplate: is missing")],
            "gke-nodes": [
                ({"nodeConfig kubeletConfig insecureKubeletReadonlyPortEnabled": "TRUE"}, "ReadonlyPort")
            ],
        },
        {"launch-template": [{"metadataOptions": {"httpEndpoint": "disabled"}}]},
    ),
    *_cases(
        "security-group-open",
        {
            "security-group": [
                ({"ingress 0 cidrBlocks 0": _PUBLIC}, "ingress[0].cidrBlocks[0]: is 0.0.0.0/0"),
                ({"ingress 0 ipv6CidrBlocks": ["::/0"]}, "ingress[0].ipv6CidrBlocks[0]"),
                ({"egress 0 cidrBlocks": [_PUBLIC]}, "egress[0].cidrBlocks[0]"),
                ({"ingress 0 protocol": "-1", "ingress 0 cidrBlocks 0": "34.0.0.0/9"}, "ingress[0].protocol"),
                ({"ingress 0 cidrBlocks 0": "128.0.0.0/1"}, "ingress[0].cidrBlocks[0]"),
            ],
            "security-group-rule": [
                ({"cidrBlocks 0": _PUBLIC}, "cidrBlocks[0]"),
                ({"ipv6CidrBlocks 0": "::/0"}, "ipv6CidrBlocks[0]"),
                ({"type": "egress", "cidrBlocks 0": _PUBLIC}, "cidrBlocks[0]"),
            ],
            "ingress-rule": [
                ({"cidrIpv4": _PUBLIC}, "cidrIpv4: is 0.0.0.0/0"),
                ({"cidrIpv4": DELETE, "cidrIpv6": "::/0"}, "cidrIpv6"),
                ({"ipProtocol": "-1", "cidrIpv4": "34.0.0.0/9"}, "protocol"),
            ],
            "egress-rule": [({"cidrIpv4": _PUBLIC}, "cidrIpv4")],
        },
    ),
    *_cases(
        "firewall-open",
        {
            "firewall": [
                ({"sourceRanges 0": _PUBLIC}, "sourceRanges[0]"),
                ({"sourceRanges": DELETE}, "sourceRanges: is missing"),
                ({"direction": "EGRESS"}, "destinationRanges: is missing"),
                ({"direction": DELETE, "sourceRanges 0": "::/0"}, "sourceRanges[0]"),
                ({"allows 0": {"protocol": "all"}, "sourceRanges 0": "34.0.0.0/9"}, "allows[0].protocol"),
            ],
        },
        {
            "firewall": [
                {},
                {"sourceRanges": DELETE, "sourceTags": ["nodes"]},
                {"disabled": True, "sourceRanges 0": _PUBLIC},
            ],
            "firewall-deny": [{}],
        },
    ),
    *_cases("network-subnets-planned", {"gcp-network": [({"autoCreateSubnetworks": DELETE}, "is missing")]}),
    *_cases(
        "network-private-google-access",
        {"gcp-subnet": [({"privateIpGoogleAccess": False}, "privateIpGoogleAccess: is false")]},
        {"gcp-subnet": [{"purpose": "REGIONAL_MANAGED_PROXY", "privateIpGoogleAccess": DELETE}]},
    ),
    *_cases(
        "load-balancer-internal",
        {
            "aws-load-balancer": [
                ({"internal": DELETE}, "internal: is missing"),
                ({"internal": False}, "internal: is false"),
            ],
            "forwarding-rule": [
                ({"loadBalancingScheme": "EXTERNAL"}, "is EXTERNAL"),
                ({"loadBalancingScheme": DELETE}, "loadBalancingScheme"),
                ({"loadBalancingScheme": "EXTERNAL", "sourceIpRanges": [_PUBLIC]}, "sourceIpRanges[0]"),
            ],
        },
        {
            "forwarding-rule": [
                {"loadBalancingScheme": "INTERNAL_MANAGED"},
                {"loadBalancingScheme": "EXTERNAL", "sourceIpRanges": ["198.51.100.0/24"]},
            ]
        },
    ),
    *_cases(
        "cluster-network-policy",
        {"gke": [({"datapathProvider": DELETE}, "datapathProvider")]},
        {"gke": [{"datapathProvider": DELETE, "networkPolicy": {"enabled": True}}]},
    ),
    *_cases(
        "network-flow-logs",
        {
            "gcp-subnet": [({"logConfig": DELETE}, "logConfig: is missing")],
            "flow-log": [({"trafficType": "REJECT"}, "is REJECT")],
        },
        {"gcp-subnet": [{"purpose": "PRIVATE_SERVICE_CONNECT", "logConfig": DELETE}]},
    ),
    # Data
    *_cases(
        "bucket-encryption",
        {
            "bucket-encryption": [
                ({"rules 0 applyServerSideEncryptionByDefault sseAlgorithm": "AES256"}, "is AES256"),
                ({"rules 0 applyServerSideEncryptionByDefault kmsMasterKeyId": DELETE}, "kmsMasterKeyId"),
                ({"rules": []}, "rules: is missing or empty"),
            ],
            "gcs-bucket": [({"encryption": DELETE}, "defaultKmsKeyName: is missing")],
        },
    ),
    *_cases(
        "bucket-public-access",
        {
            "bucket-public-access": [
                ({name: value}, name)
                for name in (
                    "blockPublicAcls",
                    "blockPublicPolicy",
                    "ignorePublicAcls",
                    "restrictPublicBuckets",
                )
                for value in (False, DELETE)
            ],
            "bucket": [
                ({"acl": "public-read"}, "acl: is public-read"),
                (
                    {"grants": [{"uri": "http://acs.amazonaws.com/groups/global/AllUsers"}]},
                    "grants[0]: is to everybody",
                ),
            ],
            "gcs-bucket": [
                ({"publicAccessPrevention": "inherited"}, "is inherited"),
                ({"uniformBucketLevelAccess": False}, "uniformBucketLevelAccess"),
            ],
        },
        {"bucket": [{"acl": "private"}]},
    ),
    *_cases(
        "bucket-versioning",
        {
            "bucket-versioning": [({"versioningConfiguration status": "Suspended"}, "is Suspended")],
            "gcs-bucket": [({"retentionPolicy": DELETE}, "versioning.enabled")],
        },
        {"gcs-bucket": [{"retentionPolicy": DELETE, "versioning": {"enabled": True}}]},
    ),
    *_cases(
        "bucket-tls",
        {
            "bucket-policy": [
                (_documented("policy", allow("s3:GetObject", Principal={"AWS": "arn:x"})), "nothing denies"),
                (_documented("policy", {**SECURE_TRANSPORT, "Effect": "Allow"}), "nothing denies"),
                ({"policy": "{"}, "policy"),
            ]
        },
    ),
    *_cases(
        "audit-retention",
        {
            "bucket-lock": [
                ({"rule defaultRetention days": 180.0}, "is 180, less than 200"),
                ({"rule": DELETE}, "days: is missing"),
            ],
            "audit-bucket": [({"objectLockEnabled": DELETE}, "objectLockEnabled")],
            "gcs-bucket": [
                ({"retentionPolicy retentionPeriod": str(199 * 24 * 3600)}, "less than 200 days"),
                ({"retentionPolicy": DELETE}, "retentionPolicy: is missing"),
            ],
        },
        {
            "bucket-lock": [{"rule defaultRetention": {"mode": "GOVERNANCE", "years": 1.0}}],
            "bucket": [{}],
            "gcs-bucket": [{}, {"retentionPolicy": DELETE, "labels": DELETE}],
        },
    ),
    *_cases(
        "key-rotation",
        {
            "kms-key": [({"enableKeyRotation": DELETE}, "enableKeyRotation: is missing")],
            "gcp-key": [
                ({"rotationPeriod": DELETE}, "rotationPeriod: is missing"),
                ({"rotationPeriod": "99999999s"}, "longer than a year"),
            ],
        },
        {
            "kms-key": [{"enableKeyRotation": DELETE, "keyUsage": "SIGN_VERIFY"}],
            "gcp-key": [{"purpose": "ASYMMETRIC_SIGN", "rotationPeriod": DELETE}],
        },
    ),
    *_cases(
        "key-owner",
        {
            "kms-key": [
                ({"policy": DELETE}, "policy: is missing"),
                (_documented("policy", {**OWNER, "Action": "kms:Decrypt"}), "names no owner"),
                (_documented("policy", {**OWNER, "Principal": "*"}), "names no owner"),
                ({"bypassPolicyLockoutSafetyCheck": True}, "bypassPolicyLockoutSafetyCheck"),
                ({"policy": "not json"}, "no policy document"),
            ]
        },
        {"kms-key": [_documented("policy", {**OWNER, "Action": ["kms:PutKeyPolicy", "kms:DescribeKey"]})]},
    ),
    *_cases(
        "cluster-secrets-encryption",
        {
            "eks": [
                ({"encryptionConfig": DELETE}, "encryptionConfig.provider.keyArn"),
                ({"encryptionConfig resources": []}, "secrets is missing"),
            ],
            "gke": [
                ({"databaseEncryption state": "DECRYPTED"}, "is DECRYPTED"),
                ({"databaseEncryption": DELETE}, "databaseEncryption.keyName"),
            ],
        },
    ),
    *_cases(
        "volume-encryption",
        {
            "file-system": [({"encrypted": DELETE}, "encrypted: is missing")],
            "launch-template": [({"blockDeviceMappings 0 ebs encrypted": DELETE}, "blockDeviceMappings[0]")],
            "storage-class": [({"parameters encrypted": "false"}, "parameters.encrypted")],
        },
        {"storage-class": [{"provisioner": "efs.csi.aws.com", "parameters": {}}]},
    ),
    *(
        Case("deletion-protection", CLOUD[name], {}, "the resource option protect", protect=False)
        for name in ("eks", "gke", "bucket", "gcs-bucket", "kms-key", "file-system", "filestore", "gcp-key")
    ),
    *_cases(
        "deletion-protection",
        {
            "eks": [({"deletionProtection": False}, "deletionProtection: is false")],
            "gke": [({"deletionProtection": DELETE}, "deletionProtection: is missing")],
            "bucket": [({"forceDestroy": True}, "forceDestroy")],
            "filestore": [({"deletionProtectionEnabled": DELETE}, "deletionProtectionEnabled")],
        },
    ),
    Case(
        "deletion-protection",
        CLOUD["bucket"],
        {"forceDestroy": True},
        None,
        protect=False,
        options={"deletion-protection": {"required": False}},
    ),
    # Access
    *_cases(
        "iam-wildcard",
        {
            "iam-policy": [
                (_documented("policy", allow("*")), "includes every action"),
                (_documented("policy", allow(["s3:GetObject", "s3:*"])), "every action of a service"),
                (_documented("policy", allow("s3:GetObject", "*")), "includes every resource"),
                (
                    _documented("policy", allow("s3:GetObject", "arn:aws:s3:::*")),
                    "every resource of a service",
                ),
                (
                    _documented("policy", {"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:x"}),
                    "NotAction",
                ),
                ({"policy": {"Statement": allow("*")}}, "includes every action"),
                ({"policy": "[]"}, "no policy document"),
            ],
            "iam-role": [
                (
                    {"inlinePolicies 0 policy": document(allow("s3:*"))},
                    "inlinePolicies[0].policy.Statement[0]",
                )
            ],
        },
        {
            "iam-policy": [
                {},
                _documented("policy", allow("ec2:Describe*", "*")),
                _documented("policy", {"Effect": "Deny", "Action": "*", "Resource": "*"}),
                _documented("policy", allow("logs:PutLogEvents", "arn:aws:logs:x:1:log-group:n:*")),
            ]
        },
    ),
    *_cases(
        "iam-trust",
        {
            "iam-role": [
                (_documented("assumeRolePolicy", {**POD_TRUST, "Condition": {}}), "Condition: is missing"),
                (_documented("assumeRolePolicy", {**POD_TRUST, "Principal": "*"}), "trusts everybody"),
                (
                    _documented("assumeRolePolicy", {**POD_TRUST, "Principal": {"AWS": "*"}}),
                    "trusts everybody",
                ),
                (
                    _documented(
                        "assumeRolePolicy",
                        {
                            "Effect": "Allow",
                            "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/x"},
                            "Action": "sts:AssumeRoleWithWebIdentity",
                        },
                    ),
                    "Condition: is missing",
                ),
            ]
        },
        {
            "iam-role": [
                {},
                _documented(
                    "assumeRolePolicy",
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "ec2.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    },
                ),
            ]
        },
    ),
    *_cases(
        "iam-administrator",
        {
            "iam-attachment": [
                ({"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}, "policyArn"),
                ({"policyArn": "arn:aws:iam::aws:policy/AmazonS3FullAccess"}, "policyArn"),
            ],
            "iam-role": [
                ({"managedPolicyArns 0": "arn:aws:iam::aws:policy/PowerUserAccess"}, "managedPolicyArns[0]")
            ],
        },
    ),
    Case("iam-long-lived-key", _USER, {}, "never expires"),
    Case("iam-long-lived-key", CLOUD["iam-role"], {}, None),
    *_cases(
        "resource-policy-public",
        {
            "bucket-policy": [
                (
                    _documented("policy", SECURE_TRANSPORT, allow("s3:GetObject", Principal="*")),
                    "policy.Statement[1].Principal",
                ),
                (_documented("policy", allow("s3:GetObject", Principal={"AWS": ["*"]})), "Statement[0]"),
                (_documented("policy", allow("s3:GetObject", Principal=["x", "*"])), "Statement[0]"),
                (
                    _documented("policy", allow("s3:GetObject", Principal={"AWS": "arn:aws:iam::*:role/x"})),
                    "Statement[0].Principal",
                ),
                *(
                    (
                        _documented("policy", allow("s3:GetObject", Principal="*", Condition=condition)),
                        "Statement[0].Principal",
                    )
                    for condition in (
                        {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::*"}},
                        {"Bool": {"aws:SecureTransport": "true"}},
                        {"StringNotEquals": {"aws:PrincipalAccount": ACCOUNT}},
                        {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"]}},
                    )
                ),
                ({"policy": '{"Statement": [1,]}'}, "policy: is no policy document"),
            ],
            "kms-key": [(_documented("policy", OWNER, {**OWNER, "Principal": "*"}), "Statement[1]")],
        },
        {
            "bucket-policy": [
                _documented(
                    "policy",
                    SECURE_TRANSPORT,
                    allow(
                        "s3:GetObject",
                        Principal="*",
                        Condition={"StringEquals": {"aws:PrincipalAccount": ACCOUNT}},
                    ),
                )
            ]
        },
    ),
    *_cases(
        "cluster-administrators",
        {
            "eks": [
                ({"accessConfig authenticationMode": "CONFIG_MAP"}, "is CONFIG_MAP"),
                ({"accessConfig": DELETE}, "bootstrapClusterCreatorAdminPermissions: is missing"),
            ],
            "access-entry": [({"kubernetesGroups 0": "system:masters"}, "kubernetesGroups[0]")],
            "access-policy": [
                ({"principalArn": f"arn:aws:iam::{ACCOUNT}:root"}, "principalArn"),
                ({"principalArn": f"arn:aws:iam::{ACCOUNT}:user/x"}, "principalArn"),
            ],
        },
        {
            "access-policy": [
                {},
                {
                    "principalArn": f"arn:aws:iam::{ACCOUNT}:user/x",
                    "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
                },
            ]
        },
    ),
    *_cases(
        "cluster-legacy-access",
        {
            "gke": [
                ({"enableLegacyAbac": True}, "enableLegacyAbac"),
                (
                    {"masterAuth clientCertificateConfig issueClientCertificate": True},
                    "issueClientCertificate",
                ),
            ]
        },
        {"gke": [{"masterAuth": DELETE, "enableLegacyAbac": DELETE}]},
    ),
    *_cases(
        "project-role",
        {
            "gcp-project-binding": [
                ({"role": "roles/editor"}, "is roles/editor"),
                ({"role": "roles/storage.admin"}, "of everything in the project"),
            ],
            "gcp-binding": [({"role": "roles/owner"}, "is roles/owner")],
        },
        {"gcp-binding": [{"role": "roles/storage.objectAdmin"}]},
    ),
    *_cases(
        "public-member",
        {
            "gcp-binding": [({"member": "allUsers"}, "member: is allUsers")],
            "gcp-project-binding": [({"member": "allAuthenticatedUsers"}, "is allAuthenticatedUsers")],
            "gcp-key-binding": [({"members 1": "allUsers"}, "member: is allUsers")],
            "gcp-bucket-policy": [({"policyData": _POLICY_DATA}, "policyData.bindings[0].member")],
        },
    ),
    *_cases("custom-role-wildcard", {"gcp-role": [({"permissions 1": "storage.*"}, "permissions[1]")]}),
    *_cases(
        "workload-identity",
        {
            "gke": [({"workloadIdentityConfig": DELETE}, "workloadPool: is missing")],
            "gke-nodes": [
                ({"nodeConfig workloadMetadataConfig": DELETE}, "workloadMetadataConfig.mode"),
                ({"nodeConfig serviceAccount": DELETE}, "nodeConfig.serviceAccount"),
                ({"nodeConfig serviceAccount": "default"}, "nodeConfig.serviceAccount"),
            ],
        },
        {"gke": [{"workloadIdentityConfig": DELETE, "enableAutopilot": True}]},
    ),
    # Operation
    *_cases(
        "cluster-audit-logs",
        {
            "eks": [
                ({"enabledClusterLogTypes": ["api", "authenticator"]}, "audit is missing"),
                ({"enabledClusterLogTypes": DELETE}, "audit is missing"),
            ],
            "gke": [
                ({"loggingConfig enableComponents": ["SYSTEM_COMPONENTS"]}, "APISERVER is missing"),
                ({"loggingService": "none"}, "is none"),
            ],
        },
    ),
    *_cases(
        "log-group",
        {
            "log-group": [
                ({"kmsKeyId": DELETE}, "kmsKeyId: is missing"),
                ({"retentionInDays": 90.0}, "is 90, less than 200"),
            ]
        },
        {"log-group": [{"name": "/vpc/flow", "retentionInDays": 30.0}, {"retentionInDays": DELETE}]},
    ),
    *_cases(
        "node-integrity",
        {
            "gke": [
                ({"enableShieldedNodes": False}, "enableShieldedNodes"),
                (
                    {
                        "removeDefaultNodePool": False,
                        "nodeConfig": {"shieldedInstanceConfig": {"enableIntegrityMonitoring": False}},
                    },
                    "enableIntegrityMonitoring: is false",
                ),
            ],
            "gke-nodes": [
                ({"nodeConfig shieldedInstanceConfig enableSecureBoot": False}, "enableSecureBoot"),
                (
                    {"nodeConfig shieldedInstanceConfig enableIntegrityMonitoring": False},
                    "enableIntegrityMonitoring",
                ),
            ],
        },
        {
            "gke-nodes": [
                {},
                {
                    "nodeConfig guestAccelerators": [{"type": "nvidia-l4", "count": 1.0}],
                    "nodeConfig shieldedInstanceConfig enableSecureBoot": False,
                },
                {
                    "nodeConfig machineType": "ct5lp-hightpu-4t",
                    "nodeConfig shieldedInstanceConfig enableSecureBoot": DELETE,
                },
            ]
        },
    ),
    *_cases(
        "node-maintenance",
        {"gke-nodes": [({"management autoUpgrade": False}, "management.autoUpgrade")]},
        {"gke-nodes": [{"management": DELETE}]},
    ),
    *_cases(
        "node-default-pool",
        {"gke": [({"removeDefaultNodePool": DELETE}, "removeDefaultNodePool")]},
        {"gke": [{"removeDefaultNodePool": DELETE, "enableAutopilot": True}]},
    ),
    *_cases(
        "node-pool-bounds",
        {
            "eks-nodes": [
                ({"scalingConfig maxSize": 0.0}, "scalingConfig.maxSize: is 0"),
                ({"scalingConfig minSize": 5.0}, "below the minimum"),
                ({"scalingConfig maxSize": 51.0}, "more than 50"),
                ({"scalingConfig": DELETE}, "scalingConfig.maxSize: is missing"),
            ],
            "gke-nodes": [
                ({"autoscaling maxNodeCount": 51.0}, "more than 50"),
                ({"autoscaling": DELETE}, "nodeCount: is missing"),
                ({"autoscaling minNodeCount": 9.0}, "below the minimum"),
            ],
        },
        {
            "gke-nodes": [
                {"autoscaling": {"totalMinNodeCount": 0.0, "totalMaxNodeCount": 3.0}},
                {"autoscaling": DELETE, "nodeCount": 2.0},
            ]
        },
    ),
    Case(
        "node-pool-bounds",
        CLOUD["eks-nodes"],
        {},
        "more than 3",
        options={"node-pool-bounds": {"maxNodes": 3.0}},
    ),
    *_cases(
        "registry-immutable",
        {
            "ecr": [
                ({"imageTagMutability": DELETE}, "imageTagMutability"),
                ({"imageScanningConfiguration": DELETE}, "scanOnPush"),
            ],
            "artifact-registry": [({"dockerConfig": DELETE}, "immutableTags")],
        },
        {"artifact-registry": [{"format": "PYTHON", "dockerConfig": DELETE}]},
    ),
    *_cases(
        "image-build",
        {
            "docker-image": [
                ({"imageName": "registry.example/weights"}, "imageName: has no tag"),
                ({"imageName": "registry.example/weights:latest"}, "or latest"),
                ({"build args HF_TOKEN": "hf_x"}, "build.args.HF_TOKEN"),
            ]
        },
    ),
    *_cases(
        "image-pull-digest",
        {
            "docker-remote-image": [({"name": "nginx:1.29"}, "name: has no digest")],
            "docker-container": [({"image": "nginx"}, "image: has no digest")],
        },
    ),
    *_cases(
        "docker-container",
        {
            "docker-container": [
                ({"privileged": True}, "privileged"),
                ({"networkMode": "host"}, "networkMode: is host"),
                ({"volumes": [{"hostPath": "/var/run/docker.sock"}]}, "volumes[0]"),
            ]
        },
    ),
)
"""Cases of rules on resources of clouds."""

GOOD_CLOUD_STACK: Final[dict[str, Resource]] = {
    **{name: resource for name, resource in CLOUD.items() if name not in ("audit-bucket", "bucket-lock")},
    "audit-encryption": edited(CLOUD["bucket-encryption"], {"bucket": "audit"}),
    "audit-versioning": edited(CLOUD["bucket-versioning"], {"bucket": "audit"}),
    "audit-public-access": edited(CLOUD["bucket-public-access"], {"bucket": "audit"}),
    "audit-policy": edited(CLOUD["bucket-policy"], {"bucket": "audit"}),
    "audit-bucket": CLOUD["audit-bucket"],
    "bucket-lock": CLOUD["bucket-lock"],
}
"""A stack of them that passes the rules on stacks too."""
