"""One good example of every type of resource of AWS, Google Cloud and Docker that rules judge."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.policies.examples import DIGEST, Resource

ACCOUNT: Final = "111122223333"
KEY: Final = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/0"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: Any, resources: Any = "arn:aws:s3:::models/*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


SECURE_TRANSPORT: Final = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::models", "arn:aws:s3:::models/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
OWNER: Final = {
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "Action": "kms:*",
    "Resource": "*",
}
POD_TRUST: Final = {
    "Effect": "Allow",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
    "Action": ["sts:AssumeRole", "sts:TagSession"],
    "Condition": {"StringEquals": {"aws:RequestTag/kubernetes-namespace": "autoglm"}},
}

CLOUD: Final[dict[str, Resource]] = {
    "eks": (
        "aws:eks/cluster:Cluster",
        {
            "name": "autoglm-prod",
            "roleArn": f"arn:aws:iam::{ACCOUNT}:role/cluster",
            "vpcConfig": {
                "subnetIds": ["subnet-1", "subnet-2"],
                "endpointPrivateAccess": True,
                "endpointPublicAccess": True,
                "publicAccessCidrs": ["198.51.100.0/24"],
            },
            "accessConfig": {
                "authenticationMode": "API",
                "bootstrapClusterCreatorAdminPermissions": False,
            },
            "enabledClusterLogTypes": ["api", "audit", "authenticator", "controllerManager", "scheduler"],
            "encryptionConfig": {"resources": ["secrets"], "provider": {"keyArn": KEY}},
            "deletionProtection": True,
        },
    ),
    "eks-nodes": (
        "aws:eks/nodeGroup:NodeGroup",
        {
            "clusterName": "autoglm-prod",
            "launchTemplate": {"id": "lt-1", "version": "1"},
            "scalingConfig": {"minSize": 1.0, "maxSize": 4.0, "desiredSize": 1.0},
        },
    ),
    "launch-template": (
        "aws:ec2/launchTemplate:LaunchTemplate",
        {
            "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1.0},
            "blockDeviceMappings": [
                {"deviceName": "/dev/xvda", "ebs": {"encrypted": "true", "kmsKeyId": KEY}}
            ],
            "networkInterfaces": [{"associatePublicIpAddress": "false", "deviceIndex": 0.0}],
        },
    ),
    "instance": (
        "aws:ec2/instance:Instance",
        {"metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1.0}},
    ),
    "access-entry": (
        "aws:eks/accessEntry:AccessEntry",
        {"clusterName": "autoglm-prod", "principalArn": KEY, "kubernetesGroups": ["platform"]},
    ),
    "access-policy": (
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        {
            "principalArn": f"arn:aws:iam::{ACCOUNT}:role/platform-deploy",
            "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
            "accessScope": {"type": "cluster"},
        },
    ),
    "security-group": (
        "aws:ec2/securityGroup:SecurityGroup",
        {
            "vpcId": "vpc-1",
            "ingress": [
                {"protocol": "tcp", "fromPort": 443.0, "toPort": 443.0, "cidrBlocks": ["10.40.0.0/16"]},
                {"protocol": "-1", "fromPort": 0.0, "toPort": 0.0, "self": True},
            ],
            "egress": [{"protocol": "-1", "fromPort": 0.0, "toPort": 0.0, "securityGroups": ["sg-2"]}],
        },
    ),
    "security-group-rule": (
        "aws:ec2/securityGroupRule:SecurityGroupRule",
        {
            "type": "ingress",
            "protocol": "tcp",
            "fromPort": 443.0,
            "toPort": 443.0,
            "cidrBlocks": ["10.40.0.0/16"],
            "ipv6CidrBlocks": ["fd00:40::/32"],
        },
    ),
    "ingress-rule": (
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        {"ipProtocol": "tcp", "fromPort": 443.0, "toPort": 443.0, "cidrIpv4": "10.40.0.0/16"},
    ),
    "egress-rule": (
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        {"ipProtocol": "-1", "referencedSecurityGroupId": "sg-1"},
    ),
    "vpc": ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.40.0.0/16"}),
    "subnet": (
        "aws:ec2/subnet:Subnet",
        {"vpcId": "vpc-1", "cidrBlock": "10.40.0.0/19", "mapPublicIpOnLaunch": False},
    ),
    "flow-log": ("aws:ec2/flowLog:FlowLog", {"vpcId": "vpc-1", "trafficType": "ALL"}),
    "aws-load-balancer": ("aws:lb/loadBalancer:LoadBalancer", {"internal": True}),
    "log-group": (
        "aws:cloudwatch/logGroup:LogGroup",
        {"name": "/aws/eks/autoglm-prod/cluster", "kmsKeyId": KEY, "retentionInDays": 365.0},
    ),
    "kms-key": (
        "aws:kms/key:Key",
        {"enableKeyRotation": True, "policy": document(OWNER), "deletionWindowInDays": 30.0},
    ),
    "bucket": ("aws:s3/bucket:Bucket", {"bucket": "models"}),
    "audit-bucket": (
        "aws:s3/bucket:Bucket",
        {"bucket": "audit", "objectLockEnabled": True, "tags": {"purpose": "audit"}},
    ),
    "bucket-encryption": (
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        {
            "bucket": "models",
            "rules": [
                {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY}}
            ],
        },
    ),
    "bucket-versioning": (
        "aws:s3/bucketVersioning:BucketVersioning",
        {"bucket": "models", "versioningConfiguration": {"status": "Enabled"}},
    ),
    "bucket-public-access": (
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        {
            "bucket": "models",
            "blockPublicAcls": True,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        },
    ),
    "bucket-policy": (
        "aws:s3/bucketPolicy:BucketPolicy",
        {"bucket": "models", "policy": document(SECURE_TRANSPORT)},
    ),
    "bucket-lock": (
        "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        {"bucket": "audit", "rule": {"defaultRetention": {"mode": "COMPLIANCE", "days": 200.0}}},
    ),
    "file-system": ("aws:efs/fileSystem:FileSystem", {"encrypted": True, "kmsKeyId": KEY}),
    "iam-policy": (
        "aws:iam/policy:Policy",
        {
            "policy": document(
                allow(["s3:GetObject", "s3:ListBucket"], ["arn:aws:s3:::models", "arn:aws:s3:::models/*"]),
                allow("ecr:GetAuthorizationToken", "*"),
                allow(
                    "kms:Decrypt", "*", Condition={"StringEquals": {"kms:ViaService": "s3.x.amazonaws.com"}}
                ),
            )
        },
    ),
    "iam-role": (
        "aws:iam/role:Role",
        {
            "assumeRolePolicy": document(POD_TRUST),
            "managedPolicyArns": ["arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"],
            "inlinePolicies": [{"name": "read", "policy": document(allow("s3:GetObject"))}],
        },
    ),
    "iam-attachment": (
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        {"role": "node", "policyArn": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"},
    ),
    "ecr": (
        "aws:ecr/repository:Repository",
        {"imageTagMutability": "IMMUTABLE", "imageScanningConfiguration": {"scanOnPush": True}},
    ),
    "gke": (
        "gcp:container/cluster:Cluster",
        {
            "name": "autoglm-staging",
            "privateClusterConfig": {"enablePrivateNodes": True, "enablePrivateEndpoint": True},
            "masterAuthorizedNetworksConfig": {
                "cidrBlocks": [{"cidrBlock": "10.0.0.0/16", "displayName": "vpn"}],
                "gcpPublicCidrsAccessEnabled": False,
            },
            "workloadIdentityConfig": {"workloadPool": "example-project.svc.id.goog"},
            "databaseEncryption": {"state": "ENCRYPTED", "keyName": "projects/p/key"},
            "datapathProvider": "ADVANCED_DATAPATH",
            "enableShieldedNodes": True,
            "enableLegacyAbac": False,
            "masterAuth": {"clientCertificateConfig": {"issueClientCertificate": False}},
            "loggingConfig": {"enableComponents": ["SYSTEM_COMPONENTS", "APISERVER", "WORKLOADS"]},
            "removeDefaultNodePool": True,
            "deletionProtection": True,
        },
    ),
    "gke-nodes": (
        "gcp:container/nodePool:NodePool",
        {
            "autoscaling": {"minNodeCount": 0.0, "maxNodeCount": 4.0},
            "management": {"autoRepair": True, "autoUpgrade": True},
            "networkConfig": {"enablePrivateNodes": True},
            "nodeConfig": {
                "machineType": "n2-standard-8",
                "serviceAccount": "nodes@example-project.iam.gserviceaccount.com",
                "workloadMetadataConfig": {"mode": "GKE_METADATA"},
                "shieldedInstanceConfig": {"enableIntegrityMonitoring": True, "enableSecureBoot": True},
                "kubeletConfig": {"insecureKubeletReadonlyPortEnabled": "FALSE"},
            },
        },
    ),
    "gcp-network": ("gcp:compute/network:Network", {"autoCreateSubnetworks": False}),
    "gcp-subnet": (
        "gcp:compute/subnetwork:Subnetwork",
        {
            "ipCidrRange": "10.40.0.0/20",
            "privateIpGoogleAccess": True,
            "logConfig": {"flowSampling": 0.5, "metadata": "INCLUDE_ALL_METADATA"},
        },
    ),
    "firewall": (
        "gcp:compute/firewall:Firewall",
        {
            "direction": "INGRESS",
            "allows": [{"protocol": "tcp", "ports": ["443"]}],
            "sourceRanges": ["10.40.0.0/16"],
        },
    ),
    "firewall-deny": (
        "gcp:compute/firewall:Firewall",
        {"direction": "EGRESS", "denies": [{"protocol": "all"}], "destinationRanges": ["0.0.0.0/0"]},
    ),
    "forwarding-rule": (
        "gcp:compute/forwardingRule:ForwardingRule",
        {"loadBalancingScheme": "INTERNAL", "ports": ["443"]},
    ),
    "gcs-bucket": (
        "gcp:storage/bucket:Bucket",
        {
            "name": "audit",
            "labels": {"purpose": "audit"},
            "encryption": {"defaultKmsKeyName": "projects/p/key"},
            "uniformBucketLevelAccess": True,
            "publicAccessPrevention": "enforced",
            "retentionPolicy": {"isLocked": True, "retentionPeriod": str(200 * 24 * 3600)},
        },
    ),
    "gcp-key": ("gcp:kms/cryptoKey:CryptoKey", {"purpose": "ENCRYPT_DECRYPT", "rotationPeriod": "7776000s"}),
    "filestore": ("gcp:filestore/instance:Instance", {"tier": "REGIONAL", "deletionProtectionEnabled": True}),
    "gcp-binding": (
        "gcp:storage/bucketIAMMember:BucketIAMMember",
        {"bucket": "models", "role": "roles/storage.objectViewer", "member": "serviceAccount:x@y.z"},
    ),
    "gcp-key-binding": (
        "gcp:kms/cryptoKeyIAMBinding:CryptoKeyIAMBinding",
        {"role": "roles/cloudkms.cryptoKeyEncrypterDecrypter", "members": ["serviceAccount:x@y.z"]},
    ),
    "gcp-bucket-policy": (
        "gcp:storage/bucketIAMPolicy:BucketIAMPolicy",
        {
            "bucket": "models",
            "policyData": json.dumps(
                {"bindings": [{"role": "roles/storage.objectViewer", "members": ["group:x@y.z"]}]}
            ),
        },
    ),
    "gcp-project-binding": (
        "gcp:projects/iAMMember:IAMMember",
        {"role": "roles/logging.logWriter", "member": "serviceAccount:x@y.z"},
    ),
    "gcp-role": (
        "gcp:projects/iAMCustomRole:IAMCustomRole",
        {"permissions": ["storage.objects.get", "storage.objects.list"]},
    ),
    "artifact-registry": (
        "gcp:artifactregistry/repository:Repository",
        {"format": "DOCKER", "dockerConfig": {"immutableTags": True}},
    ),
    "docker-image": (
        "docker:index/image:Image",
        {
            "imageName": "registry.example/weights:1.2.0",
            "build": {"context": "apps/weights", "args": {"VERSION": "1.2.0"}},
        },
    ),
    "docker-remote-image": (
        "docker:index/remoteImage:RemoteImage",
        {"name": f"registry.example/vllm@{DIGEST}"},
    ),
    "docker-container": (
        "docker:index/container:Container",
        {"image": f"registry.example/vllm@{DIGEST}", "networkMode": "bridge"},
    ),
    "storage-class": (
        "kubernetes:storage.k8s.io/v1:StorageClass",
        {
            "metadata": {"name": "gp3"},
            "provisioner": "ebs.csi.aws.com",
            "parameters": {"type": "gp3", "encrypted": "true"},
        },
    ),
}
"""Resources that pass every rule, where `protect` is set."""
