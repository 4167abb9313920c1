"""The GkeNodeIdentity component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import artifactregistry, projects, serviceaccount

from components.common.names import bounded_name
from components.common.outputs import known_after
from components.gke.plan import GkePlan

_NODE_ROLE: Final = "roles/container.defaultNodeServiceAccount"
"""Writing logs and metrics, and no more: the least that GKE asks for;
https://cloud.google.com/kubernetes-engine/docs/how-to/hardening-your-cluster#use_least_privilege_sa."""
_PULL_ROLE: Final = "roles/artifactregistry.reader"


@dataclass(frozen=True)
class GkeNodeIdentityArgs:
    """Inputs of a GkeNodeIdentity."""

    plan: GkePlan


class GkeNodeIdentity(pulumi.ComponentResource):
    """The service account of the nodes. Pods never get it: they have Workload Identity."""

    email: pulumi.Output[str]
    """Address of the account, once it has its roles."""

    def __init__(
        self, name: str, args: GkeNodeIdentityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:gke:GkeNodeIdentity", name, None, opts)
        settings = args.plan.settings
        child = pulumi.ResourceOptions(parent=self)
        account = serviceaccount.Account(
            name,
            account_id=f"{settings.name}-nodes",
            project=settings.project,
            display_name=f"Nodes of {settings.name}",
            opts=child,
        )
        email = f"{settings.name}-nodes@{settings.project}.iam.gserviceaccount.com"
        member = known_after(f"serviceAccount:{email}", account)
        grants: list[pulumi.Resource] = [
            projects.IAMMember(
                f"{name}-node", project=settings.project, role=_NODE_ROLE, member=member, opts=child
            )
        ]
        for path in settings.image_repositories:
            _, project, _, location, _, repository = path.split("/")
            grants.append(
                artifactregistry.RepositoryIamMember(
                    bounded_name(name, "pull", project, location, repository),
                    project=project,
                    location=location,
                    repository=repository,
                    role=_PULL_ROLE,
                    member=member,
                    opts=child,
                )
            )
        self.email = known_after(email, account, *grants)
        self.register_outputs({"email": self.email})
