"""What a cloud brings besides the cluster: the way in, buckets, images of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.accelerators.catalogue import accelerator
from components.common.accounts import AwsAccount, GcpProject
from components.common.cidr import NamedRange
from components.common.problems import Problem
from components.eks.plan import EksPlan
from components.eks.settings import EksCluster, EksNetwork
from components.gke.plan import GkePlan
from components.gke.settings import GkeCluster, GkeNetwork
from components.load_balancer.plan import EntryPlan, plan_entry
from components.model_store.sources import GcsSource, S3Source
from components.object_storage.plan import BucketsPlan, plan_buckets
from components.onprem.settings import OnpremCluster
from stacks.clusters import ClusterPlan
from stacks.images import AUTOSCALER, DEVICE_PLUGIN, VIRTUAL_IP
from stacks.settings import Settings
from stacks.settings.images import RegistryImages

Account = AwsAccount | GcpProject


def account_of(settings: Settings) -> Account | None:
    """The account or project that everything is made in; None outside the clouds."""
    match settings.cluster:
        case EksCluster() as eks:
            return AwsAccount(partition=eks.partition, account_id=eks.account_id, region=eks.region)
        case GkeCluster() as gke:
            return GcpProject(project=gke.project, number=gke.project_number, region=gke.region)
        case _:
            return None


def key_administrators(settings: Settings) -> tuple[str, ...]:
    """Who administers the encryption keys."""
    match settings.cluster:
        case EksCluster() as eks:
            return eks.key_administrators
        case GkeCluster() as gke:
            return gke.key_administrators
        case _:
            return ()


def plan_cloud_entry(settings: Settings, cluster: ClusterPlan) -> tuple[EntryPlan | None, list[Problem]]:
    """The load balancer, if the settings ask for one; paths are relative to the section."""
    if settings.entry is None:
        return None, []
    account = account_of(settings)
    if account is None:
        return None, [_only_in_clouds(settings)]
    network, pods = _ranges(cluster)
    return plan_entry(settings.entry, account=account, network=network, pods=pods)


def plan_cloud_buckets(
    settings: Settings, stack: str, *, protect: bool
) -> tuple[BucketsPlan | None, list[Problem]]:
    """The buckets, if the settings ask for them; paths are relative to the section."""
    if settings.buckets is None:
        return None, []
    account = account_of(settings)
    if account is None:
        return None, [_only_in_clouds(settings)]
    return plan_buckets(
        settings.buckets,
        account=account,
        stack=stack,
        protect=protect,
        key_administrators=key_administrators(settings),
    )


def _only_in_clouds(settings: Settings) -> Problem:
    return Problem("", f"given, but a cluster of kind {settings.cluster.kind} has none; remove the section")


def _client_ranges(network: EksNetwork | GkeNetwork) -> list[NamedRange]:
    """The cluster's network and those connected to it."""
    peers = [
        NamedRange(f"cluster.network.peerCidrs[{index}]", cidr)
        for index, cidr in enumerate(network.peer_cidrs)
    ]
    return [NamedRange("cluster.network.cidr", network.cidr), *peers]


def _ranges(cluster: ClusterPlan) -> tuple[list[NamedRange], list[NamedRange]]:
    """Ranges of the clients' networks and of the pods."""
    match cluster.below:
        case EksPlan() as eks:
            nodes = [NamedRange(f"the node subnet of {zone.zone}", zone.nodes) for zone in eks.subnets]
            return _client_ranges(eks.settings.network), nodes
        case GkePlan() as gke:
            network = gke.settings.network
            return _client_ranges(network), [NamedRange("cluster.network.podCidr", network.pod_cidr)]
        case _:
            return [], []


def source_bucket_problems(settings: Settings, buckets: BucketsPlan | None) -> Iterator[Problem]:
    """Sources that lie in a bucket of the cloud which the fetch Jobs get no access to."""
    for index, model in enumerate(settings.models):
        source = model.source
        if not isinstance(source, S3Source | GcsSource) or source.credentials_secret:
            continue
        bucket, _ = bucket_and_prefix(source)
        if buckets is None:
            yield Problem(
                f"models[{index}].source.uri",
                f"{source.uri!r}: nobody gives the fetch Job access; add the section buckets, or name a "
                "credentialsSecret",
            )
        elif bucket != buckets.models.name:
            yield Problem(
                f"models[{index}].source.uri",
                f"{source.uri!r}: the fetch Job may read {buckets.models.name} only; publish the model "
                "there, or name a credentialsSecret",
            )


def bucket_and_prefix(source: S3Source | GcsSource) -> tuple[str, str]:
    """Bucket of a source, and the prefix in it with a slash at the end."""
    bucket, _, prefix = source.uri.partition("://")[2].partition("/")
    return bucket, prefix.rstrip("/") + "/"


def image_problems(settings: Settings, cluster: ClusterPlan, images: Mapping[str, str]) -> Iterator[Problem]:
    """Images that the cluster itself needs, and repositories that nobody could make."""
    if needs_device_plugin(settings, cluster) and DEVICE_PLUGIN not in images:
        yield Problem(
            f"images.references.{DEVICE_PLUGIN}",
            "missing: node pools with NVIDIA GPUs need the device plugin; add it with its digest",
        )
    if isinstance(settings.cluster, EksCluster) and AUTOSCALER not in images:
        yield Problem(
            f"images.references.{AUTOSCALER}",
            "missing: without it node pools keep their size; add it with its digest",
        )
    if isinstance(settings.cluster, OnpremCluster) and VIRTUAL_IP not in images:
        yield Problem(
            f"images.references.{VIRTUAL_IP}",
            "missing: the virtual IP needs keepalived and haproxy; add it with its digest",
        )
    images_settings = settings.images
    if (
        isinstance(images_settings, RegistryImages)
        and images_settings.repositories is not None
        and account_of(settings) is None
    ):
        yield Problem(
            "images.repositories",
            f"given, but a cluster of kind {settings.cluster.kind} has no registry of its own; remove it",
        )


def needs_device_plugin(settings: Settings, cluster: ClusterPlan) -> bool:
    """Whether NVIDIA's device plugin is ours to deploy: GKE brings its own."""
    return isinstance(settings.cluster, EksCluster) and any(
        pool.accelerator is not None and accelerator(pool.accelerator).vendor == "NVIDIA"
        for pool in cluster.pools
    )
