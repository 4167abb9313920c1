"""Stack dev, create to ready: `pulumi up` ÷ kubectl with the same objects.

`kubectl apply`, `kubectl wait` and `kubectl rollout status` are what it takes by hand.

Both start from nothing but the running embedded cluster with its images imported, and end when the model
server is ready. They alternate, so that neither has the warmer machine. Run as root after `make up`:

    .toolchain/venv/bin/python -m benchmarks.pulumi_up --rounds 3
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from tests.harness import kube
from tests.harness.engine import Engine, manifests

_READY_SECONDS = 600


def main() -> None:
    """Measure and print; the stack is up again at the end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (default %(default)s)")
    rounds = parser.parse_args().rounds
    engine = Engine()
    engine.up().succeeded()
    objects = manifests(engine.resources())
    namespace = next(item["metadata"]["name"] for item in objects if item["kind"] == "Namespace")
    print(f"{len(objects)} objects; {rounds} rounds, alternating", flush=True)
    pulumi: list[float] = []
    kubectl: list[float] = []
    destroy(engine, namespace)
    for index in range(rounds):
        pulumi.append(seconds_of_pulumi(engine))
        destroy(engine, namespace)
        kubectl.append(seconds_of_kubectl(objects, namespace))
        kube.kubectl("delete", "namespace", namespace, "--wait", timeout=300).succeeded()
        print(f"round {index + 1}: pulumi up {pulumi[-1]:.1f} s, kubectl {kubectl[-1]:.1f} s", flush=True)
    engine.up().succeeded()
    ours, reference = statistics.median(pulumi), statistics.median(kubectl)
    print(
        f"pulumi up {ours:.1f} s ÷ kubectl apply + wait {reference:.1f} s = {ours / reference:.2f} (medians)"
    )


def destroy(engine: Engine, namespace: str) -> None:
    """Remove all that the stack made."""
    engine.run("destroy", "--yes").succeeded()
    gone = ("get", "namespace", namespace, "--ignore-not-found", "-o", "name")
    kube.wait_until("namespace gone", lambda: not kube.kubectl(*gone).stdout.strip(), 120)


def seconds_of_pulumi(engine: Engine) -> float:
    """`pulumi up` with the policy pack, preview included, as people run it."""
    started = time.monotonic()
    engine.up().succeeded()
    return time.monotonic() - started


def seconds_of_kubectl(objects: list[dict[str, Any]], namespace: str) -> float:
    """The same objects in the same order: the server must not start before its weights are there."""
    named = [with_name(item) for item in objects]
    server = [item for item in named if item["kind"] == "Deployment"]
    others = [item for item in named if item["kind"] != "Deployment"]
    waiting = ("wait", "--namespace", namespace, f"--timeout={_READY_SECONDS}s")
    started = time.monotonic()
    kube.apply(*others).succeeded()
    kube.kubectl(*waiting, "--for=condition=complete", "job", "--all", timeout=_READY_SECONDS).succeeded()
    kube.apply(*server).succeeded()
    # Not `kubectl wait`: with one replica that may be missing, a Deployment counts as available with none.
    rollout = ("rollout", "status", "--namespace", namespace, f"--timeout={_READY_SECONDS}s")
    for item in server:
        kube.kubectl(*rollout, f"deployment/{item['metadata']['name']}", timeout=_READY_SECONDS).succeeded()
    return time.monotonic() - started


def with_name(item: dict[str, Any]) -> dict[str, Any]:
    """The object with a name where the engine would have chosen one: `kubectl apply` needs it."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "generateName"}
    return {**item, "metadata": {"name": f"benchmark-{item['kind'].lower()}", **metadata}}


if __name__ == "__main__":
    main()
