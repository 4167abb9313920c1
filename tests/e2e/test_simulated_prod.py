"""A simulated prod and staging: real engine, API server and scheduler, nodes shaped like the plan's pools.

What is simulated: nodes and the running of pods (kwok), and what only a cloud has, volumes and addresses of
load balancers (`tests.e2e.simulated.cloud`). Everything else, admission, quota, scheduling, Jobs, rollouts
and the policy pack with the stack's own levels, is real.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.accelerators.shapes import NodePoolShape
from components.common.labels import NODE_POOL, PART_OF
from components.eks import autoscaler
from components.eks.plan import EksPlan
from components.model_server.component import server_selector
from stacks import placement
from stacks.model_plan import ModelPlan
from stacks.plan import PlatformPlan
from tests.e2e.conftest import Deployment
from tests.e2e.simulated import cloud, nodes, scheduler
from tests.e2e.simulated.nodes import ZONE, amount_of
from tests.e2e.simulated.stack import SimulatedStack, stack_plan
from tests.harness import kube
from tests.harness.commands import Result
from tests.harness.engine import Settings, registered

STACKS = ("prod", "staging")
ROUNDS = 3
"""Of generated pods, one size for each node pool at a time."""


@dataclass(frozen=True)
class Simulated:
    """A stack and the nodes of its plan."""

    stack: SimulatedStack
    plan: PlatformPlan

    @property
    def pools(self) -> tuple[NodePoolShape, ...]:
        """The plan's node pools."""
        return self.plan.cluster.pools

    @property
    def namespace(self) -> str:
        """Where the tenant's objects are."""
        return self.plan.settings.tenant.namespace

    @property
    def model(self) -> ModelPlan:
        """The first model."""
        return self.plan.models[0]

    @property
    def pool(self) -> NodePoolShape:
        """The node pool of the first model."""
        return next(pool for pool in self.pools if pool.name == self.model.model.node_pool)

    @property
    def server(self) -> placement.Pods:
        """One server of the first model, as the planner sees it."""
        resources = self.model.resources
        amounts = {
            "cpu": resources.cpu,
            "memory": resources.memory,
            "ephemeral-storage": resources.ephemeral_storage,
            **dict(resources.extended),
        }
        return placement.Pods(amounts, self.model.model.replicas, self.pool.name)

    @property
    def servers(self) -> list[dict[str, Any]]:
        """The first model's pods."""
        labels = server_selector(self.model.model.name)
        return self.pods(",".join(f"{key}={value}" for key, value in labels.items()))

    def pods(self, selector: str = "") -> list[dict[str, Any]]:
        """The tenant's pods."""
        return kube.items("pods", "--namespace", self.namespace, "-l", selector)


@dataclass(frozen=True)
class Applied:
    """The stack after `pulumi up`."""

    simulated: Simulated
    update: Result
    cloud: cloud.Cloud


@pytest.fixture(scope="module")
def simulator(deployment: Deployment) -> Iterator[None]:
    """What all simulations need, beside stack dev; a namespace for pods that nobody planned."""
    with nodes.simulator(), scheduler.namespace():
        yield


@pytest.fixture(scope="module", params=STACKS)
def simulated(request: pytest.FixtureRequest, simulator: None) -> Iterator[Simulated]:
    """The nodes of a stack's plan; the embedded node takes no pods meanwhile."""
    plan = stack_plan(request.param)
    with nodes.simulated_nodes(plan.cluster.pools):
        yield Simulated(SimulatedStack(request.param), plan)


@pytest.fixture(scope="module")
def applied(simulated: Simulated) -> Iterator[Applied]:
    """The stack, applied; destroyed at the end."""
    stack = simulated.stack
    stack.create()
    try:
        with cloud.Cloud(simulated.namespace) as controllers:
            yield Applied(simulated, stack.up().succeeded(), controllers)
    finally:
        stack.destroy().succeeded()
        cloud.remove_volumes()
        stack.forget()


def _pools_of_nodes() -> dict[str, str]:
    """Pool of each node by name; the real node has none."""
    return {
        node["metadata"]["name"]: node["metadata"]["labels"].get(NODE_POOL, "")
        for node in kube.items("nodes")
    }


def _generated(seed: str, pools: tuple[NodePoolShape, ...]) -> list[placement.Pods]:
    """For each pool pods of which two or three, or just not so many, have room on a node."""
    chance = random.Random(seed)
    generated = []
    for pool in pools:
        room = placement.available(pool)
        per_node, scarce = chance.randint(1, 3), chance.choice(("cpu", "memory", "ephemeral-storage"))
        amounts = {
            resource: room[resource] // chance.randint(4, 9)
            for resource in ("cpu", "memory", "ephemeral-storage")
        }
        # To the byte: what fits exactly, and what is one too large.
        amounts[scarce] = room[scarce] // per_node + chance.randint(0, 1)
        for resource in (name for name in room if "/" in name):
            amounts[resource] = chance.randint(0, room[resource])
        generated.append(placement.Pods(amounts, 1, pool.name if placement.tolerated(pool) else None))
    return generated


@pytest.mark.parametrize("number", range(ROUNDS))
def test_planner_and_scheduler_agree_on_pods_of_any_size(simulated: Simulated, number: int) -> None:
    generated = _generated(f"{simulated.stack.name}/{number}", simulated.pools)
    fitting = [placement.pods_that_fit(pods, (), simulated.pools) for pods in generated]
    answers = scheduler.schedule(
        [(pods, count + 1) for pods, count in zip(generated, fitting, strict=True)], simulated.pools
    )
    for pods, count, answer in zip(generated, fitting, answers, strict=True):
        assert answer.bound == count, f"{pods}: the planner says {count}, the scheduler {answer}"
        assert len(answer.refused) == 1
        assert answer.pools <= {pool.name for pool in placement.candidates(pods, simulated.pools)}


def test_policy_pack_of_the_stack_has_judged_the_update(applied: Applied) -> None:
    verdict = applied.update.output.partition("Policies:")[2]
    assert "autoglm-platform@" in verdict, f"{applied.update}"
    assert "[mandatory]" not in verdict


def test_second_preview_expects_no_changes(applied: Applied) -> None:
    applied.simulated.stack.run("preview", "--expect-no-changes").succeeded()


def test_every_pod_of_the_tenant_runs_on_the_pool_that_the_plan_names(applied: Applied) -> None:
    simulated, pool_of = applied.simulated, _pools_of_nodes()
    assert len(simulated.servers) == simulated.model.model.replicas
    assert {pool_of[pod["spec"]["nodeName"]] for pod in simulated.servers} == {simulated.pool.name}
    fetch = simulated.pods("app.kubernetes.io/name=model-fetch")
    assert [pod["status"]["phase"] for pod in fetch] == ["Succeeded"]
    # Whatever names no pool is on one that is open to all.
    servers = {pod["metadata"]["name"] for pod in simulated.servers}
    others = [pod for pod in simulated.pods() if pod["metadata"]["name"] not in servers]
    open_pools = {pool.name for pool in placement.open_pools(simulated.pools)}
    assert {pool_of[pod["spec"]["nodeName"]] for pod in others} <= open_pools


def test_add_ons_run_where_they_belong(applied: Applied) -> None:
    simulated, pool_of = applied.simulated, _pools_of_nodes()
    found: dict[str, list[str]] = {}
    for pod in kube.items("pods", "--namespace", "kube-system", "-l", f"app.kubernetes.io/part-of={PART_OF}"):
        kind = pod["metadata"]["ownerReferences"][0]["kind"]
        found.setdefault(kind, []).append(pool_of[pod["spec"]["nodeName"]])
    expected = {}
    if isinstance(simulated.plan.cluster.below, EksPlan):
        # The device plugin on each node with GPUs, the autoscaler where everybody may be; GKE brings its own.
        gpus = [pool for pool in simulated.pools if "nvidia.com/gpu" in pool.allocatable]
        (system,) = placement.open_pools(simulated.pools)
        expected = {
            "DaemonSet": sorted(pool.name for pool in gpus for _ in range(pool.max_nodes)),
            "ReplicaSet": [system.name] * autoscaler.REPLICAS,
        }
    assert {kind: sorted(pools) for kind, pools in found.items()} == expected


def test_nothing_is_pending_and_everything_is_ready(applied: Applied) -> None:
    def waiting() -> list[str]:
        """Pods of stack dev, beside which this runs, are the business of other tests."""
        own = (f"{applied.simulated.namespace}/", "kube-system/")
        return [f"{name}: {why}" for name, why in kube.unready_pods().items() if name.startswith(own)]

    kube.wait_until("all pods ready", lambda: not waiting(), 30)


def test_replicas_are_spread_over_nodes_and_zones(applied: Applied) -> None:
    simulated = applied.simulated
    zones = {node["metadata"]["name"]: node["metadata"]["labels"].get(ZONE) for node in kube.items("nodes")}
    used = [pod["spec"]["nodeName"] for pod in simulated.servers]
    assert len(set(used)) == len(used) == simulated.model.model.replicas
    assert len({zones[node] for node in used}) == min(len(used), len(simulated.pool.zones))


def test_servers_hold_the_accelerators_of_the_plan(applied: Applied) -> None:
    ((resource, count),) = applied.simulated.model.resources.extended
    for pod in applied.simulated.servers:
        held = pod["spec"]["containers"][0]["resources"]
        assert held["requests"][resource] == held["limits"][resource] == str(count)


def test_quota_counts_what_the_plan_counts(applied: Applied) -> None:
    simulated = applied.simulated
    server, replicas = simulated.server, simulated.model.model.replicas

    def settled() -> bool:
        """Accelerators are for servers only; a fetch Job that has ended no longer counts."""
        (quota,) = kube.items("resourcequotas", "--namespace", simulated.namespace)
        used, hard = quota["status"].get("used", {}), quota["status"].get("hard", {})
        assert all(amount_of(name, used[name]) <= amount_of(name, hard[name]) for name in used)
        return all(
            amount_of(name, used[f"requests.{name}"]) == amount * replicas
            for name, amount in server.amounts.items()
            if "/" in name
        )

    kube.wait_until("the quota counts the servers' accelerators", settled, 30)


def test_clients_reach_the_address_that_the_cloud_gave(applied: Applied) -> None:
    outputs = applied.simulated.stack.run("stack", "output", "loadBalancer").succeeded()
    assert outputs.stdout.strip() == cloud.ADDRESS
    assert applied.cloud.failures == []


@dataclass(frozen=True)
class Misfit:
    """Settings whose pods fit no node pool."""

    key: str
    """Of the first model."""
    change: Callable[[Settings, Simulated], str]
    """Changes the settings; gives the value as the message shows it."""
    fix: str
    pods: Callable[[Simulated], tuple[placement.Pods, int]]
    """The pods that the settings would have come to beside those that run, and how many of them."""
    reason: str
    """Part of the scheduler's own reason."""


def _raise_quota(settings: Settings) -> None:
    """Room in the quota and in the container limits: the nodes are to be what is too small."""
    tenant = settings["tenant"]
    tenant["quota"] |= {"cpu": "1000", "memory": "4Ti", "ephemeralStorage": "4Ti", "pods": 200}
    tenant["quota"]["accelerators"] = dict.fromkeys(tenant["quota"]["accelerators"], 64)
    tenant["containerLimits"]["maximum"] = {"cpu": "1000", "memory": "4Ti", "ephemeralStorage": "4Ti"}


def _one_replica_too_many(simulated: Simulated) -> int:
    return placement.pods_that_fit(simulated.server, (), simulated.pools) + 1


def _change_replicas(settings: Settings, simulated: Simulated) -> str:
    settings["models"][0]["replicas"] = _one_replica_too_many(simulated)
    return f"{_one_replica_too_many(simulated)}: there is room for {_one_replica_too_many(simulated) - 1}"


def _accelerators(simulated: Simulated) -> tuple[str, int]:
    ((resource, _),) = simulated.model.resources.extended
    return resource, 2 * simulated.pool.allocatable[resource]


def _change_accelerators(settings: Settings, simulated: Simulated) -> str:
    _, count = _accelerators(simulated)
    model = settings["models"][0]
    model["accelerator"]["count"] = count
    model["engine"]["flags"]["tensorParallelSize"] = count
    return f"{count}: a node of pool {simulated.pool.name} ({simulated.pool.machine_type}) has"


def _cpus(simulated: Simulated) -> int:
    """Whole CPUs that the node has, but not for one pod."""
    return placement.available(simulated.pool)["cpu"] // 1000 + 1


def _change_cpu(settings: Settings, simulated: Simulated) -> str:
    settings["models"][0]["resources"]["cpu"] = str(_cpus(simulated))
    return f"{_cpus(simulated)}: a node of pool {simulated.pool.name} ({simulated.pool.machine_type}) has"


def _with(simulated: Simulated, **amounts: int) -> placement.Pods:
    return placement.Pods({**simulated.server.amounts, **amounts}, 1, simulated.pool.name)


MISFITS = {
    "F49 more accelerators than a node has": Misfit(
        key="accelerator.count",
        change=_change_accelerators,
        fix="lower it or choose a larger machine type",
        pods=lambda simulated: (_with(simulated, **dict([_accelerators(simulated)])), 1),
        reason="Insufficient nvidia.com/gpu",
    ),
    "more CPU than a node has": Misfit(
        key="resources.cpu",
        change=_change_cpu,
        fix="lower it or choose a larger machine type",
        pods=lambda simulated: (_with(simulated, cpu=_cpus(simulated) * 1000), 1),
        reason="Insufficient cpu",
    ),
    "more replicas than the pool has room for": Misfit(
        key="replicas",
        change=_change_replicas,
        fix="maxNodes of node pool",
        pods=lambda simulated: (
            simulated.server,
            _one_replica_too_many(simulated) - simulated.model.model.replicas,
        ),
        reason="Insufficient nvidia.com/gpu",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_pod_that_fits_no_pool_is_refused_in_preview_and_would_be_pending(
    applied: Applied, case: str, tmp_path: Path
) -> None:
    misfit, simulated = MISFITS[case], applied.simulated
    stack, event_log = simulated.stack, tmp_path / "events.json"
    before = stack.recorded(), kube.objects(simulated.namespace)
    shown: list[str] = []

    def change(settings: Settings) -> None:
        _raise_quota(settings)
        shown.append(misfit.change(settings, simulated))

    result = stack.preview_changed(change, "--event-log", str(event_log)).failed()
    start = f"Pulumi.{stack.name}.yaml: models[0].{misfit.key}: {shown[0]}"
    (line,) = [line for line in result.output.splitlines() if start in line]
    assert misfit.fix in line
    assert "Traceback" not in result.output
    assert set(registered(event_log)) <= {"pulumi:pulumi:Stack"}
    assert (stack.recorded(), kube.objects(simulated.namespace)) == before

    # The same pods, applied past the planner.
    pods, count = misfit.pods(simulated)
    (answer,) = scheduler.schedule([(pods, count)], simulated.pools)
    assert answer.bound == count - 1, f"{answer}"
    assert misfit.reason in answer.refused[0]
