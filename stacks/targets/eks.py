"""Amazon EKS: account-level services, the cluster, and what it needs inside."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.audit.plan import PUBLISHER
from components.common.accounts import AwsAccount
from components.common.names import AGENTS_NAMESPACE
from components.container_image.registry import EcrRepositories, EcrRepositoriesArgs
from components.eks.addons import EksAddons, EksAddonsArgs
from components.eks.component import EksPlatform, EksPlatformArgs
from components.eks.identity import PodIdentitySpec
from components.eks.plan import EksPlan
from components.model_store.component import fetch_service_account
from components.model_store.sources import S3Source
from components.object_storage.access import audit_write_statements, model_read_statements
from components.object_storage.s3 import S3Buckets, S3BucketsArgs
from stacks.cloud_services import bucket_and_prefix, key_administrators, needs_device_plugin
from stacks.images import AUTOSCALER, DEVICE_PLUGIN
from stacks.plan import PlatformPlan
from stacks.settings.images import RegistryImages
from stacks.targets.app_images import app_images
from stacks.targets.target import Target, kubernetes_provider


def build_eks(plan: PlatformPlan, cloud: EksPlan, root: Path) -> Target:
    """Everything in the account, and a provider for the cluster in it."""
    settings = cloud.settings
    account = AwsAccount(partition=settings.partition, account_id=settings.account_id, region=settings.region)
    provider = aws.Provider(
        "aws",
        region=settings.region,
        # Whoever is logged in to another account is stopped before anything is made there.
        allowed_account_ids=[settings.account_id],
        default_tags=aws.ProviderDefaultTagsArgs(tags={"pulumi-stack": pulumi.get_stack(), **settings.tags}),
    )
    options = pulumi.ResourceOptions(providers=[provider])
    if plan.buckets is not None:
        args = S3BucketsArgs(
            plan=plan.buckets, account=account, key_administrators=key_administrators(plan.settings)
        )
        S3Buckets("buckets", args, options)
    platform = EksPlatform(
        "cluster",
        EksPlatformArgs(
            plan=cloud,
            identities=(*_fetch_identities(plan, account), *_publisher_identities(plan, account)),
            buckets=(plan.buckets.models.name, plan.buckets.audit.name) if plan.buckets else (),
        ),
        options,
    )
    cluster = kubernetes_provider(platform.kubeconfig, after=platform)
    device_plugin = plan.images[DEVICE_PLUGIN] if needs_device_plugin(plan.settings, plan.cluster) else None
    EksAddons(
        "addons",
        EksAddonsArgs(
            plan=cloud,
            file_system_id=platform.file_system_id,
            device_plugin_image=device_plugin,
            autoscaler_image=plan.images[AUTOSCALER],
        ),
        pulumi.ResourceOptions(providers=[cluster]),
    )
    return Target(
        cluster,
        images=app_images(plan, root, after=_repositories(plan, account, options)),
        outputs={"cluster": platform.name},
    )


def _fetch_identities(plan: PlatformPlan, account: AwsAccount) -> list[PodIdentitySpec]:
    """One role for each model that lies in the stack's own bucket; it reads that model only."""
    identities = []
    for item in plan.models:
        source = item.model.source
        if plan.buckets is None or not isinstance(source, S3Source) or source.credentials_secret:
            continue
        _, prefix = bucket_and_prefix(source)
        identities.append(
            PodIdentitySpec(
                name=f"{item.model.name}-fetch",
                namespace=plan.settings.tenant.namespace,
                service_account=fetch_service_account(item.model.name),
                statements=model_read_statements(account, plan.buckets, prefix=prefix),
            )
        )
    return identities


def _publisher_identities(plan: PlatformPlan, account: AwsAccount) -> list[PodIdentitySpec]:
    """Whoever publishes the audit trail adds objects below its prefix, and reads none."""
    audit = plan.observability.audit
    if plan.buckets is None or audit is None or audit.settings.publish is None or not audit.own_identity:
        return []
    prefix = audit.settings.publish.prefix
    return [
        PodIdentitySpec(
            name=PUBLISHER,
            namespace=AGENTS_NAMESPACE,
            service_account=PUBLISHER,
            statements=audit_write_statements(account, plan.buckets, prefix=prefix),
        )
    ]


def _repositories(
    plan: PlatformPlan, account: AwsAccount, options: pulumi.ResourceOptions
) -> EcrRepositories | None:
    images = plan.settings.images
    if not isinstance(images, RegistryImages) or images.repositories is None:
        return None
    args = EcrRepositoriesArgs(
        settings=images.repositories,
        account=account,
        key_administrators=key_administrators(plan.settings),
        protect=plan.protect,
    )
    return EcrRepositories("repositories", args, options)
