"""Google Kubernetes Engine: project-level services, the cluster, and what it needs inside."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_gcp as gcp

from components.audit.plan import PUBLISHER
from components.common.accounts import GcpProject
from components.common.names import AGENTS_NAMESPACE
from components.container_image.registry import ArtifactRegistry, ArtifactRegistryArgs
from components.gke.addons import GkeAddons, GkeAddonsArgs
from components.gke.component import GkePlatform, GkePlatformArgs
from components.gke.plan import GkePlan
from components.model_store.component import fetch_service_account
from components.model_store.sources import GcsSource
from components.object_storage.gcs import GcsBuckets, GcsBucketsArgs
from stacks.cloud_services import key_administrators
from stacks.plan import PlatformPlan
from stacks.settings.images import RegistryImages
from stacks.targets.app_images import app_images
from stacks.targets.target import Target, kubernetes_provider


def build_gke(plan: PlatformPlan, cloud: GkePlan, root: Path) -> Target:
    """Everything in the project, and a provider for the cluster in it."""
    settings = cloud.settings
    project = GcpProject(project=settings.project, number=settings.project_number, region=settings.region)
    provider = gcp.Provider(
        "gcp",
        project=settings.project,
        region=settings.region,
        default_labels={"pulumi-stack": pulumi.get_stack(), **settings.labels},
    )
    options = pulumi.ResourceOptions(providers=[provider])
    platform = GkePlatform("cluster", GkePlatformArgs(plan=cloud), options)
    if plan.buckets is not None:
        args = GcsBucketsArgs(
            plan=plan.buckets,
            project=project,
            key_administrators=key_administrators(plan.settings),
            model_readers=tuple(_fetch_principals(plan, cloud)),
            audit_writers=tuple(_publisher_principals(plan, cloud)),
        )
        # Principals of a workload identity pool exist once the first cluster with it does.
        after = pulumi.ResourceOptions(providers=[provider], depends_on=[platform])
        GcsBuckets("buckets", args, after)
    cluster = kubernetes_provider(platform.kubeconfig, after=platform)
    GkeAddons(
        "addons",
        GkeAddonsArgs(
            plan=cloud, disks_key=platform.disks_key, shared_storage_key=platform.shared_storage_key
        ),
        pulumi.ResourceOptions(providers=[cluster]),
    )
    return Target(
        cluster,
        images=app_images(plan, root, after=_repository(plan, project, platform, options)),
        outputs={"cluster": platform.name},
    )


def _fetch_principals(plan: PlatformPlan, cloud: GkePlan) -> list[str]:
    """Service accounts whose models lie in the stack's own bucket."""
    return [
        cloud.workload_principal(plan.settings.tenant.namespace, fetch_service_account(item.model.name))
        for item in plan.models
        if isinstance(item.model.source, GcsSource) and not item.model.source.credentials_secret
    ]


def _publisher_principals(plan: PlatformPlan, cloud: GkePlan) -> list[str]:
    """The service account that publishes the audit trail, if it does without a key."""
    audit = plan.observability.audit
    own = audit is not None and audit.own_identity
    return [cloud.workload_principal(AGENTS_NAMESPACE, PUBLISHER)] if own else []


def _repository(
    plan: PlatformPlan, project: GcpProject, platform: GkePlatform, options: pulumi.ResourceOptions
) -> ArtifactRegistry | None:
    images = plan.settings.images
    if not isinstance(images, RegistryImages) or images.repositories is None:
        return None
    args = ArtifactRegistryArgs(
        settings=images.repositories,
        project=project,
        key_administrators=key_administrators(plan.settings),
        readers=(platform.node_service_account,),
        protect=plan.protect,
    )
    return ArtifactRegistry("repositories", args, options)
