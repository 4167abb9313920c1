"""IAM, key and endpoint policies: who may do what."""

from __future__ import annotations

import gzip
import json
from importlib import resources
from typing import Any

import pytest

from components.eks import keys
from components.eks.arns import account_of
from components.eks.endpoints import service_policy, storage_policy
from components.eks.file_system import file_system_policy
from components.eks.identity import pod_trust
from components.eks.services import ACTION_PREFIXES, ENDPOINT_SERVICES
from tests.unit.eks.examples import ACCOUNT, DEPLOYER, cluster

SETTINGS = cluster()
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/somebody"
KEY_POLICIES = {
    "secrets": keys.secrets_key_policy(SETTINGS, ROLE),
    "logs": keys.logs_key_policy(SETTINGS, ["/aws/eks/x/cluster"]),
    "volumes": keys.volumes_key_policy(SETTINGS, ROLE),
    "files": keys.files_key_policy(SETTINGS),
}


def statements(document: str) -> dict[str, Any]:
    body = json.loads(document)
    assert body["Version"] == "2012-10-17"
    found = {statement["Sid"]: statement for statement in body["Statement"]}
    assert len(found) == len(body["Statement"])
    return found


@pytest.mark.parametrize("purpose", KEY_POLICIES)
def test_every_key_has_an_owner_and_administrators_who_cannot_decrypt(purpose: str) -> None:
    found = statements(KEY_POLICIES[purpose])
    assert found["Owner"]["Principal"] == {"AWS": ROOT}
    assert found["Administrators"]["Principal"] == {"AWS": DEPLOYER}
    granted = found["Administrators"]["Action"]
    assert not {"kms:Decrypt", "kms:GenerateDataKey", "kms:CreateGrant"} & set(granted)
    for statement in found.values():
        assert statement["Principal"] != "*"
        assert statement["Sid"] == "Owner" or all("*" not in action for action in statement["Action"])


def test_a_key_without_an_owner_is_refused() -> None:
    with pytest.raises(ValueError, match="a key needs an administrator"):
        keys.key_policy(account_of(SETTINGS), ())


def test_actions_on_keys_exist() -> None:
    model = resources.files("botocore").joinpath("data/kms/2014-11-01/service-2.json.gz")
    operations = json.loads(gzip.decompress(model.read_bytes()))["operations"]
    # ReEncrypt is one call, but two permissions: on the key it comes from and the one it goes to.
    known = {f"kms:{name}" for name in operations} | {"kms:ReEncryptFrom", "kms:ReEncryptTo"}
    assert set(keys.ADMINISTRATION) | set(keys.USE) <= known


def test_cloudwatch_uses_its_key_for_the_clusters_own_groups_only() -> None:
    (service,) = [
        item for item in statements(KEY_POLICIES["logs"]).values() if item["Sid"] == "CloudWatchLogs"
    ]
    assert service["Principal"] == {"Service": "logs.us-east-1.amazonaws.com"}
    group = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/eks/x/cluster"
    assert service["Condition"] == {"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": group}}


def test_grants_on_volumes_are_for_ec2_only() -> None:
    assert statements(KEY_POLICIES["volumes"])["GrantToEc2"]["Condition"] == {
        "Bool": {"kms:GrantIsForAWSResource": "true"}
    }


def test_a_role_is_taken_on_by_the_pods_of_one_service_account_of_one_cluster() -> None:
    trust = statements(pod_trust(SETTINGS, "autoglm", "phone-fetch"))["AssumedByPods"]
    assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {
            "aws:SourceAccount": ACCOUNT,
            "aws:RequestTag/eks-cluster-arn": f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/autoglm-test",
            "aws:RequestTag/kubernetes-namespace": "autoglm",
            "aws:RequestTag/kubernetes-service-account": "phone-fetch",
        }
    }


def test_endpoints_are_for_the_own_account() -> None:
    account = account_of(SETTINGS)
    for prefix in ACTION_PREFIXES.values():
        (statement,) = statements(service_policy(account, prefix)).values()
        assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
        assert statement["Action"] == [f"{prefix}:*"]


def test_the_s3_endpoint_lets_through_image_layers_and_named_buckets() -> None:
    account = account_of(SETTINGS)
    layers = "arn:aws:s3:::prod-us-east-1-starport-layer-bucket/*"
    assert [item["Resource"] for item in statements(storage_policy(account, ())).values()] == [layers]
    found = statements(storage_policy(account, ("models", "audit")))
    assert found["Buckets"]["Resource"] == ["arn:aws:s3:::models", "arn:aws:s3:::audit"]
    assert found["Objects"]["Resource"] == ["arn:aws:s3:::models/*", "arn:aws:s3:::audit/*"]
    for sid in ("Buckets", "Objects"):
        assert found[sid]["Condition"] == {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
        assert all("*" not in action for action in found[sid]["Action"])


def test_endpoint_services_exist() -> None:
    """Names of services as botocore has them: an endpoint's name is the service's, its parts follow."""
    known = {entry.name for entry in resources.files("botocore").joinpath("data").iterdir()}
    known |= {"elasticloadbalancing", "elasticfilesystem"}  # Endpoint prefixes of elbv2 and efs.
    for service in ENDPOINT_SERVICES:
        assert service.split(".")[0] in known


def test_files_are_mounted_over_tls_by_access_points() -> None:
    found = statements(file_system_policy(SETTINGS))
    allowed = found["MountByAccessPoint"]
    assert "elasticfilesystem:ClientRootAccess" not in allowed["Action"]
    assert allowed["Condition"]["Bool"] == {"elasticfilesystem:AccessedViaMountTarget": "true"}
    assert "access-point" in allowed["Condition"]["ArnLike"]["elasticfilesystem:AccessPointArn"]
    assert found["OnlyOverTls"]["Effect"] == "Deny"
    assert found["OnlyOverTls"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
