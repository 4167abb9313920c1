"""Rules on who may do what in the cloud."""

from __future__ import annotations

import json
import re
from typing import Final

from policies.iam import DOCUMENTS, IDENTITY_DOCUMENTS, TRUST_DOCUMENTS, Statement, documents
from policies.resource import Resource
from policies.rule import Rule
from policies.values import UNKNOWN, child, elements, known_text, show

_WITHOUT_RESOURCES: Final = re.compile(
    r"(?:ecr:GetAuthorizationToken|ecr-public:GetAuthorizationToken|sts:GetCallerIdentity"
    r"|sts:GetServiceBearerToken|cloudwatch:PutMetricData|xray:Put[A-Za-z]+"
    r"|(?:ec2|autoscaling|elasticloadbalancing|elasticfilesystem|eks):Describe[A-Za-z*]*"
    r"|(?:eks|s3|ecr|iam):List[A-Za-z]*s|pricing:GetProducts|ssm:DescribeParameters)",
    re.IGNORECASE,
)
"""Actions that know no resource, or only read what there is: Service Authorization Reference of AWS."""
_ADMIN_POLICY: Final = re.compile(
    r".*[:/](?:[A-Za-z0-9-]*FullAccess|AdministratorAccess[A-Za-z-]*|PowerUserAccess)"
)
_NO_SOURCE: Final = frozenset({"ec2.amazonaws.com", "eks.amazonaws.com", "ec2.amazonaws.com.cn"})
"""Services whose trust AWS documents without aws:SourceAccount: the node and the control plane themselves."""
_PUBLIC_MEMBERS: Final = frozenset({"allUsers", "allAuthenticatedUsers"})
_BASIC_ROLES: Final = frozenset({"roles/owner", "roles/editor", "roles/viewer"})
_BROAD_PROJECT_ROLES: Final = frozenset(
    {
        "roles/cloudkms.admin",
        "roles/compute.admin",
        "roles/container.admin",
        "roles/container.clusterAdmin",
        "roles/iam.securityAdmin",
        "roles/iam.serviceAccountAdmin",
        "roles/iam.serviceAccountKeyAdmin",
        "roles/iam.serviceAccountTokenCreator",
        "roles/iam.serviceAccountUser",
        "roles/iam.workloadIdentityUser",
        "roles/resourcemanager.projectIamAdmin",
        "roles/secretmanager.admin",
        "roles/secretmanager.secretAccessor",
        "roles/storage.admin",
        "roles/storage.objectAdmin",
    }
)
_ROLE_ARN: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/.+")
_GCP_SCOPES: Final = ("projects", "folder", "organizations")
_GCP_IAM_TYPES: Final = frozenset(
    f"gcp:{module.format(suffix)}:{kind}{suffix}"
    for module, kind in (
        ("projects/iAM{}", "IAM"),
        ("folder/iAM{}", "IAM"),
        ("organizations/iAM{}", "IAM"),
        ("storage/bucketIAM{}", "BucketIAM"),
        ("serviceaccount/iAM{}", "IAM"),
        ("kms/cryptoKeyIAM{}", "CryptoKeyIAM"),
        ("kms/keyRingIAM{}", "KeyRingIAM"),
        ("artifactregistry/repositoryIam{}", "RepositoryIam"),
        ("secretmanager/secretIam{}", "SecretIam"),
        ("pubsub/topicIAM{}", "TopicIAM"),
    )
    for suffix in ("Member", "Binding", "Policy")
)
_PROJECT_TYPES: Final = frozenset(
    one for one in _GCP_IAM_TYPES if one.startswith(tuple(f"gcp:{scope}/" for scope in _GCP_SCOPES))
)


def _identity(resource: Resource) -> list[str]:
    stated, found = documents(resource, IDENTITY_DOCUMENTS)
    for one in stated:
        if one.allows:
            found += _allowed(one)
    return found


def _allowed(statement: Statement) -> list[str]:
    found = [
        f"{statement.path}.{key}: allows everything but what it names"
        for key in ("NotAction", "NotResource")
        if key in statement.body
    ]
    actions = statement.texts("Action")
    found += [
        f"{statement.path}.Action: includes every action" + ("" if action == "*" else " of a service")
        for action in actions
        if action == "*"
        or action.endswith(":*")
        or "*" in action.partition(":")[0]
        or not action.strip("*?:")
    ]
    if statement.conditional or all(_WITHOUT_RESOURCES.fullmatch(action) for action in actions):
        return found
    found += [
        f"{statement.path}.Resource: includes every resource" + ("" if item == "*" else " of a service")
        for item in statement.texts("Resource")
        if not item.strip("*?:") or (item.startswith("arn:") and not item.split(":", 5)[-1].strip("*?/:"))
    ]
    return found


def _trust(resource: Resource) -> list[str]:
    stated, found = documents(resource, TRUST_DOCUMENTS)
    for one in stated:
        if not one.allows:
            continue
        if "NotPrincipal" in one.body:
            found.append(f"{one.path}.NotPrincipal: trusts everybody but whom it names")
        for kind, value in one.principals():
            if value == "*" or (kind == "AWS" and "*" in value):
                found.append(f"{one.path}.Principal: trusts everybody")
            elif not one.conditional and not (kind == "Service" and value in _NO_SOURCE):
                found.append(f"{one.path}.Condition: is missing")
    return found


def _public_documents(resource: Resource) -> list[str]:
    kinds = {token: names for token, names in DOCUMENTS.items() if token not in TRUST_DOCUMENTS}
    stated, found = documents(resource, kinds)
    # The policy of a VPC endpoint narrows what passes it; it gives nobody any right.
    if resource.token == "aws:ec2/vpcEndpoint:VpcEndpoint":
        return found
    for one in stated:
        if not one.allows or one.conditional:
            continue
        if "NotPrincipal" in one.body:
            found.append(f"{one.path}.NotPrincipal: is everybody but whom it names")
        if any(_is_everybody(value) for _, value in one.principals()):
            found.append(f"{one.path}.Principal: is everybody")
    return found


def _is_everybody(principal: str) -> bool:
    """Everybody, or a name in every account."""
    account = principal.split(":")[4] if principal.count(":") >= 5 else ""
    return not principal.strip("*?") or "*" in account


def _attached(resource: Resource) -> list[str]:
    values = [("policyArn", resource.value("policyArn"))]
    values += list(resource.items("managedPolicyArns")) if resource.token == "aws:iam/role:Role" else []
    return [
        f"{path}: is an administrator's policy"
        for path, value in values
        if isinstance(value, str) and _ADMIN_POLICY.fullmatch(value)
    ]


def _long_lived(resource: Resource) -> list[str]:
    return [f"{resource.token.rpartition(':')[2]}: is a credential that never expires"]


def _cluster_admins(resource: Resource) -> list[str]:
    if resource.token == "aws:eks/cluster:Cluster":
        value = resource.value("accessConfig", "bootstrapClusterCreatorAdminPermissions")
        mode = resource.value("accessConfig", "authenticationMode")
        found: list[str] = []
        if value is not UNKNOWN and value is not False:
            found.append(f"accessConfig.bootstrapClusterCreatorAdminPermissions: {show(value)}")
        if mode is not UNKNOWN and mode != "API":
            found.append(f"accessConfig.authenticationMode: {known_text(mode, _AUTHENTICATION_MODES)}")
        return found
    principal = resource.value("principalArn")
    if resource.token == "aws:eks/accessEntry:AccessEntry":
        return [
            f"{path}: is a group of the system"
            for path, group in resource.items("kubernetesGroups")
            if isinstance(group, str) and group.startswith("system:")
        ]
    policy = resource.value("policyArn")
    named = principal is UNKNOWN or (isinstance(principal, str) and _ROLE_ARN.fullmatch(principal))
    if isinstance(policy, str) and policy.endswith("/AmazonEKSClusterAdminPolicy") and not named:
        return ["principalArn: is not a role, and would be cluster administrator"]
    return []


_AUTHENTICATION_MODES: Final = frozenset({"CONFIG_MAP", "API_AND_CONFIG_MAP"})


def _gke_legacy(resource: Resource) -> list[str]:
    found: list[str] = []
    if resource.value("enableLegacyAbac") not in (None, False, UNKNOWN):
        found.append("enableLegacyAbac: is not false")
    issued = resource.value("masterAuth", "clientCertificateConfig", "issueClientCertificate")
    if issued not in (None, False, UNKNOWN):
        found.append("masterAuth.clientCertificateConfig.issueClientCertificate: is not false")
    return found


def _grants(resource: Resource) -> list[tuple[str, object, list[object], bool]]:
    """Path, role and members of what a resource grants, and whether under a condition."""
    members = [item for item in (resource.value("member"),) if item is not None]
    members += [item for _, item in resource.items("members")]
    result = [("", resource.value("role"), members, bool(resource.value("condition")))]
    text = resource.value("policyData")
    if isinstance(text, str):
        for index, item in elements(child(_json(text), "bindings")):
            stated = [one for _, one in elements(child(item, "members"))]
            path = f"policyData.bindings[{index}]."
            result.append((path, child(item, "role"), stated, bool(child(item, "condition"))))
    return result


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _gcp_public(resource: Resource) -> list[str]:
    return [
        f"{path}member: is {value}"
        for path, _, members, _ in _grants(resource)
        for value in members
        if isinstance(value, str) and value in _PUBLIC_MEMBERS
    ]


def _gcp_roles(resource: Resource) -> list[str]:
    found: list[str] = []
    for path, role, _, conditional in _grants(resource):
        if not isinstance(role, str):
            continue
        if role in _BASIC_ROLES:
            found.append(f"{path}role: is {role}")
        elif resource.token in _PROJECT_TYPES and role in _BROAD_PROJECT_ROLES and not conditional:
            found.append(f"{path}role: is {role}, of everything in the project")
    return found


def _custom_role(resource: Resource) -> list[str]:
    return [
        f"permissions[{index}]: includes a wildcard"
        for index, one in elements(resource.value("permissions"))
        if isinstance(one, str) and "*" in one
    ]


def _workload_identity(resource: Resource) -> list[str]:
    if resource.token == "gcp:container/cluster:Cluster":
        if resource.value("enableAutopilot") is True:
            return []
        pool = resource.value("workloadIdentityConfig", "workloadPool")
        return [f"workloadIdentityConfig.workloadPool: {show(pool)}"] if not pool else []
    found: list[str] = []
    mode = resource.value("nodeConfig", "workloadMetadataConfig", "mode")
    if mode not in ("GKE_METADATA", UNKNOWN):
        found.append(
            f"nodeConfig.workloadMetadataConfig.mode: {known_text(mode, frozenset({'GCE_METADATA'}))}"
        )
    account = resource.value("nodeConfig", "serviceAccount")
    if not account or account == "default":
        found.append("nodeConfig.serviceAccount: is the project's default one")
    return found


_IDENTITY_TYPES: Final = frozenset({*IDENTITY_DOCUMENTS, "aws:iam/role:Role"})

RULES: Final = (
    Rule(
        id="iam-wildcard",
        severity="critical",
        title="Policies name actions and resources",
        rationale="A wildcard covers what AWS adds tomorrow, and every bucket, key and role of the account.",
        fix="list the actions, and the ARNs that they are for; or narrow them by a condition",
        judge=_identity,
        types=_IDENTITY_TYPES,
    ),
    Rule(
        id="iam-trust",
        severity="critical",
        title="Whom a role trusts is named and conditional",
        rationale="Without a condition, a service that acts for anybody can be made to act for a stranger.",
        fix=(
            "name the principal; add a Condition on aws:SourceAccount, aws:SourceArn or the token's subject"
        ),
        judge=_trust,
        types=frozenset(TRUST_DOCUMENTS),
    ),
    Rule(
        id="iam-administrator",
        severity="critical",
        title="Nobody is given an administrator's policy",
        rationale="A workload that is broken into takes the account with it.",
        fix="attach a policy with the actions that are needed",
        judge=_attached,
        types=frozenset(
            {
                "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
                "aws:iam/userPolicyAttachment:UserPolicyAttachment",
                "aws:iam/groupPolicyAttachment:GroupPolicyAttachment",
                "aws:iam/policyAttachment:PolicyAttachment",
                "aws:iam/role:Role",
            }
        ),
    ),
    Rule(
        id="iam-long-lived-key",
        severity="high",
        title="No credentials that never expire",
        rationale="They are copied into files and stay valid when whoever has them leaves.",
        fix="use roles: pod identity, workload identity, or federation for people and pipelines",
        judge=_long_lived,
        types=frozenset(
            {
                "aws:iam/accessKey:AccessKey",
                "aws:iam/userLoginProfile:UserLoginProfile",
                "gcp:serviceaccount/key:Key",
                "gcp:storage/hmacKey:HmacKey",
            }
        ),
    ),
    Rule(
        id="resource-policy-public",
        severity="critical",
        title="No resource is everybody's",
        rationale="A policy whose principal is everybody puts data, keys or images on the internet.",
        fix="name the principals, or add a Condition that keeps strangers out",
        judge=_public_documents,
        types=frozenset(set(DOCUMENTS) - set(TRUST_DOCUMENTS)),
    ),
    Rule(
        id="cluster-administrators",
        severity="critical",
        title="Who administers a cluster is a named role",
        rationale="Whoever created the cluster, or is in a group of the system, is above every rule in it.",
        fix=(
            'set authenticationMode "API" and bootstrapClusterCreatorAdminPermissions false, and give access '
            "entries to roles"
        ),
        judge=_cluster_admins,
        types=frozenset(
            {
                "aws:eks/cluster:Cluster",
                "aws:eks/accessEntry:AccessEntry",
                "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
            }
        ),
    ),
    Rule(
        id="cluster-legacy-access",
        severity="high",
        title="Nobody comes into a cluster past IAM and RBAC",
        rationale="Client certificates cannot be revoked, and attribute-based access ignores roles.",
        fix="remove enableLegacyAbac and issueClientCertificate",
        judge=_gke_legacy,
        types=frozenset({"gcp:container/cluster:Cluster"}),
    ),
    Rule(
        id="project-role",
        severity="critical",
        title="Nobody is given a role over a whole project that covers more than a task",
        rationale="Basic roles and administrators of services reach every bucket, key and cluster of it.",
        fix="give a narrower role, on the resource that it is needed for",
        judge=_gcp_roles,
        types=_GCP_IAM_TYPES,
    ),
    Rule(
        id="public-member",
        severity="critical",
        title="No rights for everybody",
        rationale="allUsers is the internet; allAuthenticatedUsers is everybody with a Google account.",
        fix="name service accounts or groups",
        judge=_gcp_public,
        types=_GCP_IAM_TYPES,
    ),
    Rule(
        id="custom-role-wildcard",
        severity="high",
        title="Custom roles name their permissions",
        rationale="A wildcard covers what is added tomorrow.",
        fix="list the permissions",
        judge=_custom_role,
        types=frozenset(
            {"gcp:projects/iAMCustomRole:IAMCustomRole", "gcp:organizations/iAMCustomRole:IAMCustomRole"}
        ),
    ),
    Rule(
        id="workload-identity",
        severity="high",
        title="Pods have identities of their own",
        rationale="Otherwise every pod of a node has the node's rights.",
        fix=("set workloadPool on the cluster; on node pools mode GKE_METADATA and an account of their own"),
        judge=_workload_identity,
        types=frozenset({"gcp:container/cluster:Cluster", "gcp:container/nodePool:NodePool"}),
    ),
)
"""Rules on access in the cloud."""
