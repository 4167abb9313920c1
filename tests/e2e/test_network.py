"""Who reaches the model and what its namespace reaches: real pods, real packets, none beyond this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.harness import kube
from tests.harness.api import Client
from tests.harness.published import MODEL
from toolchain import paths

TRUSTED, UNTRUSTED, TARGET = "e2e-trusted", "e2e-untrusted", "e2e-target"
PORT = 8000
TARGET_PORT = 8080
OTHER_PORT = 9090

# A new pod is refused until the controller knows its address, so what must open is tried for a while; what
# must stay closed is tried after that, and often enough to tell a refusal from a lost packet.
PROBE = """
import json, socket, sys, time

def reaches(host, port, attempts):
    for _ in range(attempts):
        try:
            socket.create_connection((host, port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.5)
    return False

def resolves(name, attempts):
    for _ in range(attempts):
        try:
            socket.getaddrinfo(name, None)
            return True
        except OSError:
            time.sleep(0.5)
    return False

result = {}
for check in json.loads(sys.argv[1]):
    if "resolve" in check:
        result[check["resolve"]] = resolves(check["resolve"], 30)
    else:
        result[check["as"]] = reaches(check["host"], check["port"], 30 if check["opens"] else 4)
print(json.dumps(result))
"""

LISTEN = f"""
import http.server
http.server.ThreadingHTTPServer(("", {TARGET_PORT}), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@dataclass(frozen=True)
class Network:
    """Addresses within the cluster."""

    image: str
    model_service: str
    model_pod: str
    target: str
    api_server: str


def _address(kind: str, name: str, namespace: str) -> str:
    address: str = kube.get(kind, name, "--namespace", namespace)["spec"]["clusterIP"]
    return address


def _pod(
    name: str, namespace: str, spec: dict[str, Any], labels: dict[str, str] | None = None
) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def network(api: Client, namespace: str) -> Iterator[Network]:
    """Three namespaces of clients, one of them trusted, one with a server that anybody may reach."""
    image = json.loads(paths.IMAGES_FILE.read_text())["images"]["weights"]["reference"]
    labels = {TRUSTED: {"purpose": "trusted"}, UNTRUSTED: {"purpose": "other"}, TARGET: {}}
    names = tuple(labels)
    kube.kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait", timeout=180)
    kube.apply(
        *(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels[name]}}
            for name in names
        )
    ).succeeded()
    try:
        kube.apply(_pod("target", TARGET, kube.pod_spec(image, LISTEN))).succeeded()

        def target() -> str | None:
            status = kube.get("pod", "target", "--namespace", TARGET)["status"]
            return status.get("podIP") if status["phase"] == "Running" else None

        address = kube.wait_until("target pod running", target, 60)
        selector = ("--namespace", namespace, "-l", "app.kubernetes.io/name=model-server")
        (server,) = kube.items("pods", *selector)
        yield Network(
            image=image,
            model_service=_address("service", MODEL, namespace),
            model_pod=server["status"]["podIP"],
            target=address,
            api_server=_address("service", "kubernetes", "default"),
        )
    finally:
        kube.kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait=false")


def _probe(
    network: Network, namespace: str, checks: list[dict[str, Any]], labels: dict[str, str] | None = None
) -> Any:
    """What a pod in the namespace finds out."""
    name = "e2e-probe"
    spec = kube.pod_spec(network.image, PROBE, json.dumps(checks))
    kube.kubectl("delete", "pod", name, "--namespace", namespace, "--ignore-not-found", "--wait")
    kube.apply(_pod(name, namespace, spec, labels)).succeeded()
    try:

        def ended() -> str | None:
            phase = kube.get("pod", name, "--namespace", namespace)["status"]["phase"]
            return phase if phase in ("Succeeded", "Failed") else None

        kube.wait_until(f"probe in {namespace} ended", ended, 120)
        return json.loads(kube.kubectl("logs", name, "--namespace", namespace).succeeded().stdout)
    finally:
        kube.kubectl("delete", "pod", name, "--namespace", namespace, "--wait=false")


def _reach(name: str, host: str, port: int, *, opens: bool) -> dict[str, Any]:
    return {"as": name, "host": host, "port": port, "opens": opens}


def test_trusted_namespace_reaches_the_model(network: Network, namespace: str) -> None:
    checks = [
        _reach("by name", f"{MODEL}.{namespace}.svc.cluster.local", PORT, opens=True),
        _reach("service", network.model_service, PORT, opens=True),
        _reach("pod", network.model_pod, PORT, opens=True),
    ]
    assert _probe(network, TRUSTED, checks) == {"by name": True, "service": True, "pod": True}


def test_other_namespace_does_not_reach_the_model(network: Network) -> None:
    checks = [
        # It has a network, and may reach whoever lets it in.
        _reach("target", network.target, TARGET_PORT, opens=True),
        _reach("service", network.model_service, PORT, opens=False),
        _reach("pod", network.model_pod, PORT, opens=False),
    ]
    assert _probe(network, UNTRUSTED, checks) == {"target": True, "service": False, "pod": False}


@contextmanager
def _listening(namespace: str, port: int) -> Iterator[None]:
    """Another port of the server's pod answers while this lasts, and for a minute at most."""
    code = (
        "import socket, time\n"
        f"listener = socket.create_server(('', {port}))\n"
        "listener.settimeout(60)\n"
        "print('up', flush=True)\n"
        "deadline = time.monotonic() + 60\n"
        "while time.monotonic() < deadline: listener.accept()[0].close()\n"
    )
    command = ["exec", f"deployment/{MODEL}", "--namespace", namespace, "--container", "vllm", "--"]
    env = {**os.environ, "KUBECONFIG": str(paths.KUBECONFIG)}
    argv = [str(paths.BIN / "kubectl"), *command, "python3", "-c", code]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        try:
            assert listener.stdout.readline() == "up\n"
            yield
        finally:
            listener.terminate()


def test_trusted_namespace_reaches_no_other_port_of_the_server(network: Network, namespace: str) -> None:
    checks = [
        _reach("api", network.model_pod, PORT, opens=True),
        _reach("other", network.model_pod, OTHER_PORT, opens=False),
    ]
    with _listening(namespace, OTHER_PORT):
        # The node itself is not subject to network policies: kubelet's probes come from there.
        socket.create_connection((network.model_pod, OTHER_PORT), timeout=2).close()
        assert _probe(network, TRUSTED, checks) == {"api": True, "other": False}


def test_platform_namespace_has_no_egress_but_dns(network: Network, namespace: str) -> None:
    dns_name = "kubernetes.default.svc.cluster.local"
    checks = [
        {"resolve": dns_name},
        _reach("target", network.target, TARGET_PORT, opens=False),
        _reach("api server", network.api_server, 443, opens=False),
        # Not even its neighbour: ingress is for namespaces with the label, and this one lacks it.
        _reach("model", network.model_service, PORT, opens=False),
    ]
    expected = {dns_name: True, "target": False, "api server": False, "model": False}
    assert _probe(network, namespace, checks) == expected


def test_server_pod_itself_has_no_egress(network: Network, namespace: str) -> None:
    """From inside the engine's container, where a compromised engine would be."""
    code = (
        "import socket\n"
        f"for address in [({network.target!r}, {TARGET_PORT}), ({network.api_server!r}, 443)]:\n"
        "    try:\n"
        "        socket.create_connection(address, timeout=2)\n"
        "        print('open')\n"
        "    except OSError:\n"
        "        print('refused')\n"
    )
    command = ("exec", f"deployment/{MODEL}", "--namespace", namespace, "--container", "vllm", "--")
    result = kube.kubectl(*command, "python3", "-c", code).succeeded()
    assert result.stdout.split() == ["refused", "refused"]
