"""From settings to what is built: pure functions, no Pulumi, every problem collected."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

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
from stacks.images import ENGINES, VERIFIER
from stacks.problems import Problem, SettingsError
from stacks.settings import SCRATCH_BYTES, VERIFIER_EPHEMERAL, VERIFIER_MEMORY, Model, Settings
from stacks.versions import Versions

_MOVING_REVISIONS: Final = frozenset(
    {"main", "master", "latest", "head", "stable", "dev", "nightly", "current"}
)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
FETCH_BASE_SECONDS: Final = 300
"""Of the fetch Job's deadline: placing the pod, listing the source, retries of single requests."""


@dataclass(frozen=True)
class ModelPlan:
    """Everything that one model needs, checked."""

    model: Model
    weights_bytes: int
    verifier_image: str
    engine_image: str
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


@dataclass(frozen=True)
class PlatformPlan:
    """What a stack is built from."""

    settings: Settings
    pod_security_version: str
    models: tuple[ModelPlan, ...]

    @property
    def protect(self) -> bool:
        """Whether what holds data is kept from deletion."""
        return self.settings.data_protection == "protected"


def plan_platform(
    settings: Settings, versions: Versions, images: Mapping[str, str], file: str
) -> PlatformPlan:
    """The plan of a stack; raises SettingsError with every problem that the settings have together."""
    problems = [*_duplicates(settings), *_quota_problems(settings)]
    plans = []
    for index, model in enumerate(settings.models):
        planner = _ModelPlanner(settings, versions, images, model, f"models[{index}]")
        plan = planner.plan()
        problems.extend(planner.problems)
        if plan is not None:
            plans.append(plan)
    if problems:
        raise SettingsError(file, problems)
    return PlatformPlan(settings, versions.pod_security, tuple(plans))


def weights_bytes(model: Model) -> int | None:
    """Bytes of the model's weights; None where the settings give neither size nor parameters."""
    weights = model.weights
    if weights.size is not None:
        return weights.size
    return None if weights.parameters is None else weights.parameters * DTYPE_BYTES[weights.dtype]


def _duplicates(settings: Settings) -> Iterable[Problem]:
    for key, values in (
        ("name", [model.name for model in settings.models]),
        ("servedModelName", [model.served_model_name or model.name for model in settings.models]),
    ):
        for index, value in enumerate(values):
            if (first := values.index(value)) != index:
                yield Problem(
                    f"models[{index}].{key}", f"{value!r}: already that of models[{first}]; choose another"
                )


def _quota_problems(settings: Settings) -> Iterable[Problem]:
    """Servers and fetch Jobs that the tenant's quota would refuse only when they are created."""
    quota, models = settings.tenant.quota, settings.models
    demands = {
        "cpu": (quota.cpu, sum(m.resources.cpu * m.replicas + m.fetch.resources.cpu for m in models), "{}m"),
        "memory": (
            quota.memory,
            sum(m.resources.memory * m.replicas + m.fetch.resources.memory for m in models),
            None,
        ),
        "ephemeralStorage": (
            quota.ephemeral_storage,
            sum(
                m.resources.ephemeral_storage * m.replicas + m.fetch.resources.ephemeral_storage
                for m in models
            ),
            None,
        ),
        "storage": (
            quota.storage,
            sum(m.storage.size + (m.source.size if isinstance(m.source, FileSource) else 0) for m in models),
            None,
        ),
        "pods": (quota.pods, sum(m.replicas + 1 for m in models), "{}"),
        "persistentVolumeClaims": (
            quota.persistent_volume_claims,
            sum(1 + isinstance(m.source, FileSource) for m in models),
            "{}",
        ),
    }
    for key, (limit, needed, form) in demands.items():
        if needed > limit:
            shown, need = (
                (form.format(limit), form.format(needed))
                if form
                else (format_bytes(limit), format_bytes(needed))
            )
            yield Problem(
                f"tenant.quota.{key}",
                f"{shown}: the models and their fetch Jobs need {need}; raise it, or lower replicas or "
                "resources",
            )
    needed_accelerators: dict[str, int] = {}
    for model in models:
        if model.accelerator:
            resource = model.accelerator.resource
            needed_accelerators[resource] = (
                needed_accelerators.get(resource, 0) + model.accelerator.count * model.replicas
            )
    for resource, count in needed_accelerators.items():
        if count > quota.accelerators.get(resource, 0):
            yield Problem(
                f"tenant.quota.accelerators.{resource}",
                f"{quota.accelerators.get(resource, 0)}: the models need {count}; raise it or lower replicas",
            )


class _ModelPlanner:
    """Plans one model and notes what is wrong with it."""

    def __init__(
        self, settings: Settings, versions: Versions, images: Mapping[str, str], model: Model, path: str
    ) -> None:
        self.problems: list[Problem] = []
        self._settings = settings
        self._images = images
        self._model = model
        self._path = path
        self._engine_version = model.engine.version or versions.engines.vllm

    def plan(self) -> ModelPlan | None:
        """The model's plan; None if there are problems."""
        model = self._model
        self._check_revision()
        self._check_egress()
        self._check_container_limits()
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
        engine_image = self._image(ENGINES[model.engine.device])
        verifier_image = self._image(VERIFIER)
        if size is not None:
            self._check_memory(size, shared_memory)
            self._check_storage(size)
        timing = self._timing(size or 0)
        if self.problems or size is None or arguments is None:
            return None
        return ModelPlan(
            model=model,
            weights_bytes=size,
            verifier_image=verifier_image,
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
        )

    def _problem(self, key: str, message: str) -> None:
        self.problems.append(Problem(f"{self._path}.{key}", message))

    @property
    def _model_path(self) -> str:
        return f"/models/{self._model.name}"

    @property
    def _resources(self) -> Resources:
        model = self._model
        extended = ((model.accelerator.resource, model.accelerator.count),) if model.accelerator else ()
        return Resources(
            model.resources.cpu, model.resources.memory, model.resources.ephemeral_storage, extended
        )

    def _image(self, name: str) -> str:
        reference = self._images.get(name)
        # Where the whole list is missing, that has been told already.
        if reference is None and self._images:
            message = f"no image of that name, which {self._path} needs; add it with its digest"
            self.problems.append(Problem(f"images.{name}", message))
        return reference or ""

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

    def _check_egress(self) -> None:
        if isinstance(self._model.source, FileSource):
            return
        for index, cidr in enumerate(self._model.source.egress_cidrs):
            key = f"source.egressCidrs[{index}]"
            try:
                network = ipaddress.ip_network(cidr)
            except ValueError as error:
                self._problem(key, f"{cidr!r}: {error}; write a network such as 192.0.2.0/24")
                continue
            if network.prefixlen == 0:
                self._problem(key, f"{cidr!r}: everything; name the networks of the source or of a proxy")

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
        accelerator = model.accelerator
        if model.engine.cpu_kv_cache_gib is not None:
            self._problem(
                "engine.cpuKvCacheGib", f"{model.engine.cpu_kv_cache_gib}: for device cpu only; remove it"
            )
        if accelerator is None:
            self._problem(
                "accelerator",
                f"missing: device {model.engine.device} needs one; add resource, count and memory",
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
            self._problem(
                "accelerator.memory",
                f"{format_bytes(accelerator.memory)}: {share:.0%} of it is less than the {demand} that "
                "each needs; "
                "use a larger accelerator or more of them, or a lower maxModelLen",
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
        if (
            storage.access_mode == "ReadWriteOnce"
            and self._model.replicas > 1
            and self._settings.cluster.nodes > 1
        ):
            self._problem(
                "storage.accessMode",
                f"ReadWriteOnce: {self._model.replicas} replicas on {self._settings.cluster.nodes} "
                "nodes need "
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
        fitting = pods_that_fit(self._room(), _amounts(self._model))
        if model.replicas > fitting:
            self._problem(
                "replicas",
                f"{model.replicas}: quota and cluster have room for {fitting} beside the other models; "
                "lower it, "
                "lower resources, or raise tenant.quota and cluster.capacity",
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
                f"for {fitting}; "
                "lower it (0 with maxUnavailable 1 needs no room), or raise tenant.quota and "
                "cluster.capacity",
            )
        return Rollout(wanted.max_surge, wanted.max_unavailable)

    def _room(self) -> dict[str, int]:
        """What quota and cluster leave for this model's servers beside the others and the fetch Jobs."""
        quota, capacity = self._settings.tenant.quota, self._settings.cluster.capacity
        resources = {name for model in self._settings.models for name in _amounts(model)}
        limits = {
            "cpu": min(quota.cpu, capacity.cpu),
            "memory": min(quota.memory, capacity.memory),
            "ephemeral-storage": quota.ephemeral_storage,
            **{
                name: min(quota.accelerators.get(name, 0), capacity.accelerators.get(name, 0))
                for name in resources
                if "/" in name
            },
        }
        for other in self._settings.models:
            fetch = other.fetch.resources
            limits["cpu"] -= fetch.cpu
            limits["memory"] -= fetch.memory
            limits["ephemeral-storage"] -= fetch.ephemeral_storage
            if other is not self._model:
                for name, amount in _amounts(other).items():
                    limits[name] -= amount * other.replicas
        return {name: max(0, amount) for name, amount in limits.items()}


def _amounts(model: Model) -> dict[str, int]:
    amounts = {
        "cpu": model.resources.cpu,
        "memory": model.resources.memory,
        "ephemeral-storage": model.resources.ephemeral_storage,
    }
    if model.accelerator:
        amounts[model.accelerator.resource] = model.accelerator.count
    return amounts
