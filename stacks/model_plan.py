"""From one model's settings to what serves it: pure, every problem collected."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from components.accelerators.catalogue import ACCELERATORS, support
from components.accelerators.shapes import NodePoolShape, Taint
from components.common.labels import NODE_POOL
from components.common.quantities import GIB, Resources, format_bytes, human_bytes
from components.model_server.memory import (
    DEFAULT_MEMORY_UTILIZATION,
    DTYPE_BYTES,
    MemoryDemand,
    accelerator_demand,
    accelerator_host_demand,
    cpu_demand,
    shared_memory_bytes,
)
from components.model_server.rollout import Rollout, plan_rollout, pods_that_fit
from components.model_server.timing import (
    ServerTiming,
    planned_startup_seconds,
    read_seconds,
    required_grace_seconds,
    required_startup_seconds,
)
from components.model_server.vllm import (
    DEFAULT_PROCESSOR_CACHE_GIB,
    flag_problems,
    load_catalogue,
    render_arguments,
    supported_versions,
)
from components.model_store.sources import FileSource, HuggingFaceSource
from stacks import placement
from stacks.clusters import ClusterPlan
from stacks.images import ENGINES, VERIFIER
from stacks.problems import Problem
from stacks.settings import Settings
from stacks.settings.model import SCRATCH_BYTES, VERIFIER_EPHEMERAL, VERIFIER_MEMORY, Model
from stacks.versions import Versions

_MOVING_REVISIONS: Final = frozenset(
    {"main", "master", "latest", "head", "stable", "dev", "nightly", "current"}
)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SETTING_OF: Final = {
    "cpu": "resources.cpu",
    "memory": "resources.memory",
    "ephemeral-storage": "resources.ephemeralStorage",
}
FETCH_BASE_SECONDS: Final = 300
"""Of the fetch Job's deadline: placing the pod, listing the source, retries of single requests."""


@dataclass(frozen=True)
class ModelPlan:
    """Everything that one model needs, checked."""

    model: Model
    weights_bytes: int
    engine_image: str
    """Name of the engine's image in the settings."""
    engine_version: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    model_path: str
    resources: Resources
    verifier_resources: Resources
    shared_memory: int
    timing: ServerTiming
    rollout: Rollout
    fetch_deadline_seconds: int
    source_networks: tuple[str, ...]
    """Networks that the fetch Job reaches its source through."""
    node_selector: Mapping[str, str]
    tolerations: tuple[Taint, ...]
    """Taints of the nodes that the servers are bound to."""
    tls_secret: str | None
    """Secret with the certificate that the servers answer with."""
    volume_follows_node: bool
    """Whether the fetch Job has to run where the servers do, because one node alone mounts the volume."""


def weights_bytes(model: Model) -> int | None:
    """Bytes of the model's weights; None where the settings give neither size nor parameters."""
    weights = model.weights
    if weights.size is not None:
        return weights.size
    return None if weights.parameters is None else weights.parameters * DTYPE_BYTES[weights.dtype]


@dataclass(frozen=True)
class ServerAccelerator:
    """The accelerators of one server, from the settings or from the node pool that they name."""

    resource: str
    count: int
    memory: int
    """Bytes of each."""


def server_accelerator(model: Model, cluster: ClusterPlan) -> ServerAccelerator | None:
    """Accelerators of one server; None if it has none, or if what is said of them is not enough."""
    accelerator = model.accelerator
    if accelerator is None:
        return None
    pool = cluster.pool(model.node_pool) if model.node_pool else None
    if pool is not None:
        resource = next((name for name in pool.allocatable if "/" in name), None)
        if resource is None or pool.accelerator_memory is None:
            return None
        return ServerAccelerator(resource, accelerator.count, pool.accelerator_memory)
    if accelerator.resource is None or accelerator.memory is None:
        return None
    return ServerAccelerator(accelerator.resource, accelerator.count, accelerator.memory)


def amounts(model: Model, cluster: ClusterPlan) -> dict[str, int]:
    """What one server asks for, by Kubernetes resource name."""
    accelerator = server_accelerator(model, cluster)
    return {
        "cpu": model.resources.cpu,
        "memory": model.resources.memory,
        "ephemeral-storage": model.resources.ephemeral_storage,
        "pods": 1,
        **({accelerator.resource: accelerator.count} if accelerator else {}),
    }


class ModelPlanner:
    """Plans one model and notes what is wrong with it."""

    def __init__(
        self,
        settings: Settings,
        versions: Versions,
        images: Mapping[str, str],
        cluster: ClusterPlan,
        model: Model,
        path: str,
    ) -> None:
        self.problems: list[Problem] = []
        self._settings = settings
        self._cluster = cluster
        self._accelerator = server_accelerator(model, cluster)
        self._images = images
        self._model = model
        self._path = path
        self._engine_version = model.engine.version or versions.engines.vllm

    def plan(self) -> ModelPlan | None:
        """The model's plan; None if there are problems."""
        model = self._model
        self._check_revision()
        source_networks = self._source_networks()
        self._check_container_limits()
        self._check_node_pool()
        size = weights_bytes(model)
        if size is None:
            self._problem("weights", "gives neither size nor parameters; add one of them")
        elif model.weights.size is not None and model.weights.parameters is not None:
            self._problem(
                "weights.parameters", f"{model.weights.parameters}: size is given too; remove one of them"
            )
        arguments = self._arguments()
        shared_memory = self._shared_memory()
        rollout = self._rollout()
        engine_image = ENGINES[model.engine.device]
        for image in (engine_image, VERIFIER):
            self._check_image(image)
        if size is not None:
            self._check_memory(size, shared_memory)
            self._check_storage(size)
        timing = self._timing(size or 0)
        if self.problems or size is None or arguments is None:
            return None
        return ModelPlan(
            model=model,
            weights_bytes=size,
            engine_image=engine_image,
            engine_version=self._engine_version,
            arguments=tuple(arguments),
            environment=self._environment(),
            model_path=self._model_path,
            resources=self._resources,
            verifier_resources=Resources(model.resources.cpu, VERIFIER_MEMORY, VERIFIER_EPHEMERAL),
            shared_memory=shared_memory,
            timing=timing,
            rollout=rollout,
            fetch_deadline_seconds=FETCH_BASE_SECONDS + read_seconds(size, model.fetch.mib_per_second),
            source_networks=source_networks,
            node_selector=self._node_selector(),
            tolerations=placement.tolerated(pool) if (pool := self._pool) else (),
            tls_secret=self._tls_secret,
            volume_follows_node=self._bound_to_one_node(model),
        )

    def _problem(self, key: str, message: str) -> None:
        self.problems.append(Problem(f"{self._path}.{key}", message))

    @property
    def _model_path(self) -> str:
        return f"/models/{self._model.name}"

    @property
    def _tls_secret(self) -> str | None:
        """The entry leads to the first model only."""
        entry = self._settings.entry
        return entry.server_secret if entry and self._model is self._settings.models[0] else None

    @property
    def _pool(self) -> NodePoolShape | None:
        return self._cluster.pool(self._model.node_pool) if self._model.node_pool else None

    @property
    def _resources(self) -> Resources:
        model, accelerator = self._model, self._accelerator
        return Resources(
            model.resources.cpu,
            model.resources.memory,
            model.resources.ephemeral_storage,
            ((accelerator.resource, accelerator.count),) if accelerator else (),
        )

    def _node_selector(self) -> Mapping[str, str]:
        if self._pool is not None:
            return {NODE_POOL: self._pool.name}
        return self._model.accelerator.node_selector if self._model.accelerator else {}

    def _check_image(self, name: str) -> None:
        # Where the whole list is missing, that has been told already.
        if name not in self._images and self._images:
            message = f"no image of that name, which {self._path} needs; add it with its digest"
            self.problems.append(Problem(f"images.{name}", message))

    def _check_revision(self) -> None:
        revision = self._model.revision
        if isinstance(self._model.source, HuggingFaceSource):
            if not _COMMIT.fullmatch(revision):
                self._problem("revision", f"{revision!r}: not a pinned commit; write its 40 hex digits")
        elif revision.lower() in _MOVING_REVISIONS:
            self._problem(
                "revision",
                f"{revision!r}: a name that moves; write one that stands for this version for good",
            )

    def _source_networks(self) -> tuple[str, ...]:
        """Networks that the fetch Job reaches its source through."""
        source = self._model.source
        if isinstance(source, FileSource):
            return ()
        own = self._cluster.object_storage
        if not source.egress_cidrs and own is not None and source.kind == own.kind:
            return own.cidrs
        if not source.egress_cidrs:
            self._problem("source.egressCidrs", "missing: name the networks of the source or of a proxy")
        for index, cidr in enumerate(source.egress_cidrs):
            key = f"source.egressCidrs[{index}]"
            try:
                network = ipaddress.ip_network(cidr)
            except ValueError as error:
                self._problem(key, f"{cidr!r}: {error}; write a network such as 192.0.2.0/24")
                continue
            if network.prefixlen == 0:
                self._problem(key, f"{cidr!r}: everything; name the networks of the source or of a proxy")
        return source.egress_cidrs

    def _check_container_limits(self) -> None:
        maximum = self._settings.tenant.container_limits.maximum
        for key, amounts in (
            ("resources", self._model.resources),
            ("fetch.resources", self._model.fetch.resources),
        ):
            if amounts.cpu > maximum.cpu:
                self._problem(
                    f"{key}.cpu",
                    f"{amounts.cpu}m > tenant.containerLimits.maximum.cpu {maximum.cpu}m; align them",
                )
            for name, amount, most in (
                ("memory", amounts.memory, maximum.memory),
                ("ephemeralStorage", amounts.ephemeral_storage, maximum.ephemeral_storage),
            ):
                if amount > most:
                    self._problem(
                        f"{key}.{name}",
                        f"{format_bytes(amount)} > tenant.containerLimits.maximum.{name} "
                        f"{format_bytes(most)}; align them",
                    )
        if self._model.resources.ephemeral_storage <= SCRATCH_BYTES:
            self._problem(
                "resources.ephemeralStorage",
                f"{format_bytes(self._model.resources.ephemeral_storage)}: /tmp alone may take "
                f"{format_bytes(SCRATCH_BYTES)}; give more",
            )

    def _check_node_pool(self) -> None:
        model, pool = self._model, self._pool
        if model.node_pool is not None and pool is None:
            known = ", ".join(one.name for one in self._cluster.pools)
            fix = f"use one of {known}" if known else "this cluster's nodes are not described; remove it"
            self._problem("nodePool", f"{model.node_pool!r}: no such node pool; {fix}")
        elif pool is None:
            self._check_accelerator_without_pool()
        else:
            self._check_accelerator_of(pool)
        for key, demand in (("", self._servers()), ("fetch.", self._fetch(model))):
            self._check_size(key, demand)

    def _check_accelerator_without_pool(self) -> None:
        accelerator = self._model.accelerator
        if accelerator is None:
            return
        if self._cluster.pools:
            self._problem("nodePool", "missing: accelerators lie in a node pool; name it")
            return
        for key, value in (("resource", accelerator.resource), ("memory", accelerator.memory)):
            if value is None:
                self._problem(f"accelerator.{key}", "missing: there is no nodePool that would say it; add it")

    def _check_accelerator_of(self, pool: NodePoolShape) -> None:
        accelerator = self._model.accelerator
        if accelerator is None:
            if pool.accelerator is not None:
                self._problem(
                    "accelerator",
                    f"missing: node pool {pool.name} is one of {pool.accelerator}; add its count, or choose "
                    "another pool",
                )
            return
        for key, given in (
            ("resource", accelerator.resource),
            ("memory", accelerator.memory),
            ("nodeSelector", accelerator.node_selector or None),
        ):
            if given is not None:
                self._problem(f"accelerator.{key}", f"node pool {pool.name} says it; remove it")
        if pool.accelerator is None:
            self._problem("accelerator", f"node pool {pool.name} ({pool.machine_type}) has none; remove it")
            return
        verdict = support(self._model.family, ACCELERATORS[pool.accelerator])
        if not verdict.proven and not accelerator.allow_unproven:
            self._problem(
                "accelerator.allowUnproven",
                f"false: {self._model.family} is not proven on {pool.accelerator} ({verdict.reason}); choose "
                "another node pool, or set it to true and try",
            )

    def _check_size(self, key: str, demand: placement.Pods) -> None:
        """One pod against an empty node."""
        pools = placement.candidates(demand, self._cluster.pools)
        if not self._cluster.pools:
            return
        if not pools:
            if demand.pool is None:
                self._problem(f"{key}resources", "no node pool without taints would take its pod; add one")
            return
        exceeded = [placement.excess(demand.amounts, pool) for pool in pools]
        if all(exceeded):
            for name in exceeded[0]:
                setting = _SETTING_OF.get(name, "accelerator.count")
                self._problem(
                    f"{key}{setting}",
                    f"{placement.amount_text(name, demand.amounts[name])}: a node of pool {pools[0].name} "
                    f"({pools[0].machine_type}) has {placement.describe(pools[0])} for pods; lower it or "
                    "choose a larger machine type",
                )

    def _servers(self) -> placement.Pods:
        return placement.Pods(amounts(self._model, self._cluster), 1, self._model.node_pool)

    def _arguments(self) -> list[str] | None:
        engine, model = self._model.engine, self._model
        catalogue = load_catalogue(self._engine_version)
        if catalogue is None:
            known = ", ".join(supported_versions()) or "none"
            self._problem(
                "engine.version",
                f"{self._engine_version}: no catalogue of its flags; use one of {known}, or generate it",
            )
            return None
        problems = flag_problems(engine.flags, catalogue)
        for problem in problems:
            self._problem(f"engine.flags.{problem.key}", problem.message)
        if problems:
            return None
        return render_arguments(
            engine.flags,
            catalogue,
            model_path=self._model_path,
            served_model_name=model.served_model_name or model.name,
            drain_seconds=model.timing.drain_seconds,
            tls=self._tls_secret is not None,
        )

    def _environment(self) -> dict[str, str]:
        environment = {
            "HOME": "/tmp",
            # Weights are verified files; nothing may be looked up or reported elsewhere.
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_CACHE_ROOT": "/tmp/vllm",
        }
        engine = self._model.engine
        if engine.device == "cpu":
            environment |= {
                "VLLM_TARGET_DEVICE": "cpu",
                "VLLM_CPU_KVCACHE_SPACE": str(engine.cpu_kv_cache_gib or 0),
            }
        return environment

    def _shared_memory(self) -> int:
        flags = self._model.engine.flags
        cache = flags.mm_processor_cache_gb
        return shared_memory_bytes(
            flags.mm_processor_cache_type, DEFAULT_PROCESSOR_CACHE_GIB if cache is None else cache
        )

    def _check_memory(self, weights: int, shared_memory: int) -> None:
        model, flags = self._model, self._model.engine.flags
        kv_type = flags.kv_cache_dtype if flags.kv_cache_dtype not in (None, "auto") else flags.dtype
        kv_cache = model.weights.architecture.kv_cache_bytes(flags.max_model_len, kv_type or "auto")
        if model.engine.device == "cpu":
            self._check_cpu_memory(weights, kv_cache, shared_memory)
            return
        accelerator = self._accelerator
        if model.engine.cpu_kv_cache_gib is not None:
            self._problem(
                "engine.cpuKvCacheGib", f"{model.engine.cpu_kv_cache_gib}: for device cpu only; remove it"
            )
        if accelerator is None:
            if model.accelerator is None:
                self._problem(
                    "accelerator", f"missing: device {model.engine.device} needs one; add nodePool and count"
                )
            return
        if (flags.tensor_parallel_size or 1) != accelerator.count:
            self._problem(
                "engine.flags.tensorParallelSize",
                f"{flags.tensor_parallel_size or 1}: accelerator.count is {accelerator.count}; make "
                "them equal",
            )
        share = flags.gpu_memory_utilization or DEFAULT_MEMORY_UTILIZATION
        demand = accelerator_demand(weights, kv_cache, accelerator.count)
        if demand.total > accelerator.memory * share:
            holder = f" of node pool {self._pool.name}" if self._pool else ""
            self._problem(
                "nodePool" if self._pool else "accelerator.memory",
                f"{human_bytes(accelerator.memory)}{holder}: {share:.0%} of it is less than the {demand} "
                "that each accelerator needs; use a larger one, more of them, or a lower maxModelLen",
            )
        self._check_host_memory(accelerator_host_demand(shared_memory))

    def _check_cpu_memory(self, weights: int, kv_cache: int, shared_memory: int) -> None:
        engine = self._model.engine
        if self._model.accelerator is not None:
            self._problem(
                "accelerator", "given, but engine.device is cpu; remove it or choose another device"
            )
        if engine.cpu_kv_cache_gib is None:
            self._problem("engine.cpuKvCacheGib", "missing: device cpu needs it; add it")
            return
        space = engine.cpu_kv_cache_gib * GIB
        if kv_cache > space:
            self._problem(
                "engine.cpuKvCacheGib",
                f"{engine.cpu_kv_cache_gib}: one request of maxModelLen {engine.flags.max_model_len} needs "
                f"{human_bytes(kv_cache)}; raise it or lower maxModelLen",
            )
        self._check_host_memory(cpu_demand(weights, space, shared_memory))

    def _check_host_memory(self, demand: MemoryDemand) -> None:
        memory = self._model.resources.memory
        if demand.total > memory:
            self._problem(
                "resources.memory",
                f"{format_bytes(memory)}: the model needs {demand}; give at least "
                f"{format_bytes(-(-demand.total // GIB) * GIB)} or serve a smaller one",
            )

    def _bound_to_one_node(self, model: Model) -> bool:
        """Whether a model's fetch Job and servers share a volume that only one node mounts."""
        return model.storage.access_mode == "ReadWriteOnce" and bool(self._cluster.pools)

    def _fetch(self, model: Model) -> placement.Pods:
        fetch = model.fetch.resources
        amounts = {
            "cpu": fetch.cpu,
            "memory": fetch.memory,
            "ephemeral-storage": fetch.ephemeral_storage,
            "pods": 1,
        }
        # A volume that one node mounts is made where the Job runs, and the servers follow it there.
        bound = self._bound_to_one_node(model)
        return placement.Pods(amounts, 1, model.node_pool if bound else None)

    def _check_storage(self, weights: int) -> None:
        storage = self._model.storage
        needed = (storage.keep_versions + 1) * weights
        if storage.size < needed:
            self._problem(
                "storage.size",
                f"{format_bytes(storage.size)}: {storage.keep_versions} versions and the one being "
                "fetched need "
                f"{human_bytes(needed)}; raise it or lower keepVersions",
            )
        bound = storage.access_mode == "ReadWriteOnce" and not self._cluster.pools
        if bound and self._cluster.nodes > 1 and self._model.replicas > 1:
            self._problem(
                "storage.accessMode",
                f"ReadWriteOnce: {self._model.replicas} replicas on {self._cluster.nodes} nodes need "
                "ReadWriteMany; change it or set replicas to 1",
            )

    def _timing(self, weights: int) -> ServerTiming:
        timing, startup = self._model.timing, self._model.startup
        grace = required_grace_seconds(timing.pre_stop_seconds, timing.drain_seconds)
        if timing.termination_grace_period_seconds < grace:
            self._problem(
                "timing.terminationGracePeriodSeconds",
                f"{timing.termination_grace_period_seconds}: preStopSeconds {timing.pre_stop_seconds} "
                "and drainSeconds "
                f"{timing.drain_seconds} need at least {grace}; raise it or lower those",
            )
        required = required_startup_seconds(weights, startup.load_mib_per_second)
        if startup.budget_seconds is not None and startup.budget_seconds < required:
            self._problem(
                "startup.budgetSeconds",
                f"{startup.budget_seconds}: loading {human_bytes(weights)} at "
                f"{startup.load_mib_per_second} MiB/s and "
                f"initialising the engine may take {required}; raise it or remove it",
            )
        return ServerTiming(
            startup_seconds=startup.budget_seconds
            or planned_startup_seconds(weights, startup.load_mib_per_second),
            verify_seconds=2 * read_seconds(weights, startup.load_mib_per_second),
            pre_stop_seconds=timing.pre_stop_seconds,
            drain_seconds=timing.drain_seconds,
            termination_grace_period_seconds=timing.termination_grace_period_seconds,
        )

    def _rollout(self) -> Rollout:
        model, path = self._model, "rollout"
        fitting = self._fitting()
        if model.replicas > fitting:
            self._problem(
                "replicas",
                f"{model.replicas}: there is room for {fitting} beside the other models; lower it or its "
                f"resources, or raise tenant.quota and {self._source_of_room}",
            )
        wanted = model.rollout
        if wanted is None:
            return plan_rollout(model.replicas, fitting)
        if wanted.max_surge == 0 and wanted.max_unavailable == 0:
            self._problem(
                f"{path}.maxUnavailable", "0: maxSurge is 0 too, so nothing could ever change; raise one"
            )
        if wanted.max_surge > 0 and model.replicas + wanted.max_surge > fitting:
            self._problem(
                f"{path}.maxSurge",
                f"{wanted.max_surge}: {model.replicas} replicas and the surge do not fit, there is room "
                f"for {fitting}; lower it (0 with maxUnavailable 1 needs no room), or raise tenant.quota and "
                f"{self._source_of_room}",
            )
        return Rollout(wanted.max_surge, wanted.max_unavailable)

    @property
    def _source_of_room(self) -> str:
        """The settings that say how much room the cluster has."""
        if not self._cluster.pools:
            return "cluster.capacity"
        if self._bound_to_one_node(self._model):
            return "the size of its nodes, or storage.accessMode to ReadWriteMany: one node holds the volume"
        return f"maxNodes of node pool {self._pool.name}" if self._pool else "maxNodes of the node pools"

    def _fitting(self) -> int:
        """How many servers of this model fit into quota and cluster, beside everything else."""
        one = amounts(self._model, self._cluster)
        within_quota = pods_that_fit(self._room(), one)
        if not self._cluster.pools:
            return within_quota
        others = [self._fetch(model) for model in self._settings.models]
        others += [
            placement.Pods(amounts(model, self._cluster), model.replicas, model.node_pool)
            for model in self._settings.models
            if model is not self._model
        ]
        pools = self._cluster.pools
        if self._bound_to_one_node(self._model):
            pools = tuple(replace(pool, max_nodes=min(pool.max_nodes, 1)) for pool in pools)
            others = [self._fetch(self._model)]
        return min(within_quota, placement.pods_that_fit(self._servers(), others, pools))

    def _room(self) -> dict[str, int]:
        """What quota and capacity leave for this model's servers beside the others and the fetch Jobs."""
        quota, capacity = self._settings.tenant.quota, self._cluster.capacity
        limits = {
            "cpu": quota.cpu,
            "memory": quota.memory,
            "ephemeral-storage": quota.ephemeral_storage,
            "pods": quota.pods,
            **{
                name: quota.accelerators.get(name, 0)
                for model in self._settings.models
                for name in amounts(model, self._cluster)
                if "/" in name
            },
        }
        if capacity is not None:
            held = {"cpu": capacity.cpu, "memory": capacity.memory}
            for name in limits:
                if name not in ("ephemeral-storage", "pods"):
                    limits[name] = min(limits[name], held.get(name, capacity.accelerators.get(name, 0)))
        for other in self._settings.models:
            taken = [self._fetch(other)]
            if other is not self._model:
                taken.append(placement.Pods(amounts(other, self._cluster), other.replicas))
            for pods in taken:
                for name, amount in pods.amounts.items():
                    limits[name] -= amount * pods.count
        return {name: max(0, amount) for name, amount in limits.items()}
