"""Rights of what asks the Kubernetes API: an account, what it may read, and a token that expires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import core, meta, rbac

TOKEN_DIRECTORY: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where clients of Kubernetes look for the token and the authority of the API server."""
TOKEN_SECONDS: Final = 3_600
"""Life of a token; the kubelet renews it after four fifths."""
_VOLUME: Final = "api-access"
_GROUP: Final = "rbac.authorization.k8s.io"
READ: Final = ("get", "list", "watch")


@dataclass(frozen=True)
class Right:
    """Resources of an API group, and what may be done with them."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...] = READ

    def rule(self) -> rbac.v1.PolicyRuleArgs:
        """As a role has it."""
        return rbac.v1.PolicyRuleArgs(
            api_groups=[self.group], resources=list(self.resources), verbs=list(self.verbs)
        )


def service_account(
    resource: str, metadata: meta.v1.ObjectMetaArgs, opts: pulumi.ResourceOptions
) -> core.v1.ServiceAccount:
    """An account whose token is only where a pod asks for it."""
    return core.v1.ServiceAccount(
        resource, metadata=metadata, automount_service_account_token=False, opts=opts
    )


def cluster_role(
    resource: str,
    name: str,
    labels: Mapping[str, str],
    account: tuple[str, pulumi.Input[str]],
    rights: Sequence[Right],
    *,
    paths: Sequence[str] = (),
    opts: pulumi.ResourceOptions,
) -> rbac.v1.ClusterRoleBinding:
    """Rights of an account (name, namespace) in the whole cluster; `paths` of the API server it may get."""
    metadata = meta.v1.ObjectMetaArgs(name=name, labels=labels)
    rules = [right.rule() for right in rights]
    if paths:
        rules.append(rbac.v1.PolicyRuleArgs(non_resource_urls=list(paths), verbs=["get"]))
    role = rbac.v1.ClusterRole(resource, metadata=metadata, rules=rules, opts=opts)
    return rbac.v1.ClusterRoleBinding(
        resource,
        metadata=metadata,
        role_ref=rbac.v1.RoleRefArgs(api_group=_GROUP, kind="ClusterRole", name=name),
        subjects=[_subject(account)],
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[role])),
    )


def role(
    resource: str,
    metadata: meta.v1.ObjectMetaArgs,
    name: str,
    account: tuple[str, pulumi.Input[str]],
    rights: Sequence[Right],
    *,
    opts: pulumi.ResourceOptions,
) -> rbac.v1.RoleBinding:
    """Rights of an account (name, namespace) in the namespace of the metadata."""
    made = rbac.v1.Role(resource, metadata=metadata, rules=[right.rule() for right in rights], opts=opts)
    return rbac.v1.RoleBinding(
        resource,
        metadata=metadata,
        role_ref=rbac.v1.RoleRefArgs(api_group=_GROUP, kind="Role", name=name),
        subjects=[_subject(account)],
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[made])),
    )


def _subject(account: tuple[str, pulumi.Input[str]]) -> rbac.v1.SubjectArgs:
    return rbac.v1.SubjectArgs(kind="ServiceAccount", name=account[0], namespace=account[1])


def token_volume_document() -> dict[str, Any]:
    """A volume with a token that expires, the authority and the namespace, as an object has it."""
    return {
        "name": _VOLUME,
        "projected": {
            "defaultMode": 0o440,
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {
                    "downwardAPI": {
                        "items": [
                            {
                                "path": "namespace",
                                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                            }
                        ]
                    }
                },
            ],
        },
    }


def token_mount_document() -> dict[str, Any]:
    """Where a container has it."""
    return {"name": _VOLUME, "mountPath": TOKEN_DIRECTORY, "readOnly": True}


def token_volume() -> core.v1.VolumeArgs:
    """The same for a pod."""
    return core.v1.VolumeArgs(
        name=_VOLUME,
        projected=core.v1.ProjectedVolumeSourceArgs(
            default_mode=0o440,
            sources=[
                core.v1.VolumeProjectionArgs(
                    service_account_token=core.v1.ServiceAccountTokenProjectionArgs(
                        path="token", expiration_seconds=TOKEN_SECONDS
                    )
                ),
                core.v1.VolumeProjectionArgs(
                    config_map=core.v1.ConfigMapProjectionArgs(
                        name="kube-root-ca.crt",
                        items=[core.v1.KeyToPathArgs(key="ca.crt", path="ca.crt")],
                    )
                ),
                core.v1.VolumeProjectionArgs(
                    downward_api=core.v1.DownwardAPIProjectionArgs(
                        items=[
                            core.v1.DownwardAPIVolumeFileArgs(
                                path="namespace",
                                field_ref=core.v1.ObjectFieldSelectorArgs(
                                    api_version="v1", field_path="metadata.namespace"
                                ),
                            )
                        ]
                    )
                ),
            ],
        ),
    )


def token_mount() -> core.v1.VolumeMountArgs:
    """Where a container has it."""
    return core.v1.VolumeMountArgs(name=_VOLUME, mount_path=TOKEN_DIRECTORY, read_only=True)
