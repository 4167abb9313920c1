"""From the settings of an etcd cluster to what is built: pure, every problem collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from components.common.demand import Demand
from components.common.names import MAX_NAME
from components.common.problems import Problem
from components.common.quantities import GIB, format_bytes
from components.etcd.certificates import (
    Certificates,
    certificate_problems,
    client_secret,
    plan_certificates,
)
from components.etcd.configuration import CLIENT_PORT, ConfigurationFile, client_url, configuration
from components.etcd.settings import EtcdSettings

MEMBER_COUNTS: Final = (3, 5)
"""One failure survived, or two; each further member slows every write down (etcd.io, FAQ)."""
MAXIMUM_BACKEND_QUOTA: Final = 8 * GIB
"""Largest size that etcd's documentation recommends (etcd.io, system limits)."""
WRITE_AHEAD_LOG: Final = GIB
"""Room for the log: five files of 64 MB that etcd keeps, those being written, and Raft snapshots."""
HEARTBEATS_PER_ELECTION: Final = (5, 50)
"""etcd refuses fewer (server/embed/config.go); many more only prolong an outage."""
MEMBER_IMAGE: Final = "etcd"
TOOLS_IMAGE: Final = "etcd-tools"
SNAPSHOT_CLAIM_SUFFIX: Final = "snapshots"
MAX_CRON_JOB_NAME: Final = 52
"""Eleven characters are appended to a CronJob's name for its Jobs (k8s.io/kubernetes, validation of
batch)."""
MAX_STATEFUL_SET_NAME: Final = 52
"""`<name>-<hash of 10>` becomes a label's value (controller-revision-hash)."""
_LONGEST_CRON_SUFFIX: Final = "-defragmentation"
_LONGEST_CLIENT_SUFFIX: Final = "-client-service-registry"


@dataclass(frozen=True)
class EtcdPlan:
    """A cluster, checked."""

    settings: EtcdSettings
    namespace: str
    member_image: str
    """Image of the members: etcd alone, by digest."""
    tools_image: str
    """Image of what prepares and maintains them, by digest."""
    certificates: Certificates
    configuration: ConfigurationFile
    protect: bool
    """Keep the data when the cluster is deleted."""

    @property
    def name(self) -> str:
        """Of the cluster, its StatefulSet and its Service."""
        return self.settings.name

    @property
    def quorum(self) -> int:
        """Members that have to agree."""
        return quorum(self.settings.members)

    @property
    def endpoint(self) -> str:
        """Address of the Service that leads to any member."""
        return f"https://{self.name}.{self.namespace}.svc:{CLIENT_PORT}"

    @property
    def member_endpoints(self) -> tuple[str, ...]:
        """Address of each member."""
        return tuple(client_url(self.name, index, self.namespace) for index in range(self.settings.members))

    @property
    def demand(self) -> Demand:
        """With one job of each kind and the service registry running."""
        settings, members, resources = self.settings, self.settings.members, self.settings.resources
        tools = settings.tools
        jobs = 2
        beside = jobs + 1
        # An init container counts only where it asks for more than the containers do.
        cpu = max(resources.cpu, tools.cpu)
        tools_limit = tools.cpu_limit or tools.cpu
        limit = max(resources.cpu_limit or resources.cpu, tools_limit)
        return Demand(
            cpu=members * cpu + beside * tools.cpu,
            cpu_limits=members * limit + beside * tools_limit,
            memory=members * max(resources.memory, tools.memory) + beside * tools.memory,
            ephemeral_storage=members * max(resources.ephemeral_storage, tools.ephemeral_storage)
            + beside * tools.ephemeral_storage,
            storage=members * settings.storage.size + settings.snapshots.size,
            claims=members + 1,
            pods=members + beside,
            jobs=jobs * (KEPT_JOBS + 1),
        )


KEPT_JOBS: Final = 2
"""Ended Jobs of each CronJob that are kept for their logs: the last that succeeded and the last that
failed."""


def quorum(members: int) -> int:
    """Members of which any two groups share one."""
    return members // 2 + 1


def plan_etcd(
    settings: EtcdSettings,
    *,
    namespace: str,
    images: Mapping[str, str],
    protect: bool,
    nodes: int | None = None,
) -> tuple[EtcdPlan | None, list[Problem]]:
    """The plan of a cluster, or what is wrong with its settings.

    :param images: references with digest by name; an empty mapping has been reported already.
    :param nodes: number of nodes that qualify, where that is known.
    """
    problems = [
        *_membership(settings, nodes),
        *_names(settings),
        *_sizes(settings),
        *_timing(settings),
        *certificate_problems(settings),
        *_restore(settings),
    ]
    problems += [
        Problem(
            "name",
            f"{settings.name!r}: needs the image {image!r}, which is not listed; add it with its digest",
        )
        for image in (MEMBER_IMAGE, TOOLS_IMAGE)
        if images and image not in images
    ]
    if problems:
        return None, problems
    plan = EtcdPlan(
        settings=settings,
        namespace=namespace,
        member_image=images.get(MEMBER_IMAGE, ""),
        tools_image=images.get(TOOLS_IMAGE, ""),
        certificates=plan_certificates(settings, namespace),
        configuration=configuration(settings, namespace),
        protect=protect,
    )
    return plan, []


def _membership(settings: EtcdSettings, nodes: int | None) -> Iterator[Problem]:
    members = settings.members
    if members not in MEMBER_COUNTS:
        if members % 2 == 0:
            reason = (
                f"an even number survives no more failures than {members - 1}, and has more that can fail"
            )
        elif members < min(MEMBER_COUNTS):
            reason = "survives no failure"
        else:
            reason = "every write waits for more members, and none of them adds speed"
        yield Problem("members", f"{members}: {reason}; write 3 or 5")
    elif settings.anti_affinity == "required" and nodes is not None and nodes < members:
        yield Problem(
            "antiAffinity",
            f"'required': {members} members need {members} nodes and {nodes} qualify; add nodes, or write "
            "'preferred' and live with the loss of the quorum when a node is lost",
        )


def _names(settings: EtcdSettings) -> Iterator[Problem]:
    longest = min(
        MAX_STATEFUL_SET_NAME,
        MAX_CRON_JOB_NAME - len(_LONGEST_CRON_SUFFIX),
        MAX_NAME - len(_LONGEST_CLIENT_SUFFIX),
    )
    if len(settings.name) > longest:
        yield Problem("name", f"{settings.name!r}: longer than {longest} characters; shorten it")
        return
    for index, client in enumerate(settings.clients):
        if len(client_secret(settings.name, client.name)) > MAX_NAME:
            yield Problem(
                f"clients[{index}].name",
                f"{client.name!r}: with the cluster's name longer than {MAX_NAME} characters; shorten it",
            )


def _sizes(settings: EtcdSettings) -> Iterator[Problem]:
    quota, resources = settings.backend_quota, settings.resources
    if quota > MAXIMUM_BACKEND_QUOTA:
        yield Problem(
            "backendQuota",
            f"{format_bytes(quota)}: more than {format_bytes(MAXIMUM_BACKEND_QUOTA)}, beyond which etcd "
            f"starts and "
            "recovers too slowly; lower it and keep less history",
        )
    if quota >= resources.memory:
        yield Problem(
            "resources.memory",
            f"{format_bytes(resources.memory)}: does not hold a database of backendQuota "
            f"{format_bytes(quota)}; "
            "raise it, or lower backendQuota",
        )
    needed = 2 * quota + WRITE_AHEAD_LOG
    if settings.storage.size < needed:
        yield Problem(
            "storage.size",
            f"{format_bytes(settings.storage.size)}: the database, its copy while it is defragmented and the "
            f"write-ahead log need {format_bytes(needed)}; raise it, or lower backendQuota",
        )
    if settings.snapshots.size < 3 * quota:
        yield Problem(
            "snapshots.size",
            f"{format_bytes(settings.snapshots.size)}: two snapshots and the one being taken need "
            f"{format_bytes(3 * quota)}; raise it, or lower backendQuota",
        )
    for key, given in (("resources", resources), ("tools", settings.tools)):
        if given.cpu_limit is not None and given.cpu_limit < given.cpu:
            yield Problem(
                f"{key}.cpuLimit",
                f"{given.cpu_limit}m: less than cpu {given.cpu}m; raise it or leave it out",
            )


def _timing(settings: EtcdSettings) -> Iterator[Problem]:
    heartbeat, timeout = settings.election.heartbeat_milliseconds, settings.election.timeout_milliseconds
    least, most = HEARTBEATS_PER_ELECTION
    if timeout < least * heartbeat:
        yield Problem(
            "election.timeoutMilliseconds",
            f"{timeout}: less than {least} heartbeats of {heartbeat} ms, which etcd refuses; write at least "
            f"{10 * heartbeat}",
        )
    elif timeout > most * heartbeat:
        yield Problem(
            "election.timeoutMilliseconds",
            f"{timeout}: more than {most} heartbeats of {heartbeat} ms, so a lost leader is noticed "
            f"needlessly late; "
            f"write {10 * heartbeat}",
        )
    compaction = settings.compaction
    if compaction.mode == "periodic" and compaction.retention_revisions is not None:
        yield Problem(
            "compaction.retentionRevisions",
            f"{compaction.retention_revisions}: has no meaning in mode 'periodic'; write retentionMinutes, "
            f"or mode "
            "'revision'",
        )
    if compaction.mode == "revision" and compaction.retention_minutes is not None:
        yield Problem(
            "compaction.retentionMinutes",
            f"{compaction.retention_minutes}: has no meaning in mode 'revision'; write retentionRevisions, "
            f"or mode "
            "'periodic'",
        )


def _restore(settings: EtcdSettings) -> Iterator[Problem]:
    if (
        settings.restore is not None
        and settings.anti_affinity == "required"
        and settings.snapshots.access_mode == "ReadWriteOnce"
    ):
        yield Problem(
            "restore.snapshot",
            f"{settings.restore.snapshot!r}: lies on a volume that one node can mount, and the members are "
            f"on "
            "several; use snapshots.accessMode ReadWriteMany",
        )
