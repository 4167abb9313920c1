"""The analyser of stacks/connectivity against real packets: a Job per source tries every target and port.

The pods of the platform are played by small ones with the labels and ports of the real ones, in a namespace
of their own with copies of the deployed NetworkPolicies and Services; beside them are pods that policies with
ranges, named ports, expressions, blocks and exceptions apply to. Every pod answers on every port that is
tried, so a connection fails only where a policy refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from stacks.connectivity.cluster import Cluster, Extent
from stacks.connectivity.endpoints import Endpoint
from stacks.connectivity.surroundings import Surroundings
from tests.harness import kube
from toolchain import paths

Json = dict[str, Any]

COPY, RULES = "e2e-connectivity", "e2e-connectivity-rules"
TRUSTED, MONITORING, OTHER = (f"e2e-connectivity-{one}" for one in ("trusted", "monitoring", "other"))
NAMESPACES: Mapping[str, Mapping[str, str]] = {
    COPY: {},
    RULES: {},
    TRUSTED: {"purpose": "trusted"},
    MONITORING: {"purpose": "monitoring"},
    OTHER: {"purpose": "other"},
}
PORTS = (
    ("TCP", 2379),
    ("TCP", 2380),
    ("TCP", 2381),
    ("TCP", 8000),
    ("TCP", 8080),
    ("TCP", 9090),
    ("UDP", 8000),
)

LISTEN = f"""
import socket, threading

def answer(protocol, port):
    if protocol == "UDP":
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("", port))
        while True:
            data, client = server.recvfrom(64)
            server.sendto(data, client)
    server = socket.create_server(("", port), backlog=128)
    while True:
        server.accept()[0].close()

for one in {PORTS!r}:
    threading.Thread(target=answer, args=one).start()
"""

ROUNDS, SETTLING, SECONDS = 10, 4, 1.5
# A new pod is refused until the controller knows its address, and not yet held back itself: what counts is
# what it finds out afterwards. One success is enough there: on a busy machine packets get lost, never found.
PROBE = f"""
import concurrent.futures, json, socket, sys, time

def reaches(check):
    _, host, protocol, port = check
    try:
        if protocol == "TCP":
            socket.create_connection((host, port), timeout={SECONDS}).close()
            return True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout({SECONDS})
            client.connect((host, port))
            client.send(b"probe")
            return client.recv(64) == b"probe"
    except OSError:
        return False

checks = json.loads(sys.argv[1])
rounds = []
with concurrent.futures.ThreadPoolExecutor(len(checks)) as pool:
    for number in range({ROUNDS}):
        started = time.monotonic()
        rounds.append(list(pool.map(reaches, checks)))
        time.sleep(max(0, {SECONDS} - (time.monotonic() - started)))
found = [any(outcomes) for outcomes in zip(*rounds[{SETTLING}:])]
early = [sum(was and not now for was, now in zip(one, found)) for one in rounds[:{SETTLING}]]
print(json.dumps({{"found": found, "early": early}}))
"""


@dataclass(frozen=True)
class Target:
    """Something that answers."""

    name: str
    """As the analyser finds it: `namespace/name`; for a Service, `service namespace/name`."""
    host: str
    ports: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Outcome:
    """What the packets tell, and the objects that the analyser is to tell the same of."""

    cluster: Cluster
    targets: tuple[Target, ...]
    found: Mapping[str, Mapping[tuple[str, str, int], bool]]
    """By name of the source: whether it reached target, protocol and port."""
    early: tuple[int, ...]
    """Connections that were open only while their source was new: in the first round, in the second, …"""


def _spec(code: str, *arguments: str) -> Json:
    image = json.loads(paths.IMAGES_FILE.read_text())["images"]["probe"]["reference"]
    spec = kube.pod_spec(image, code, *arguments)
    resources = {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "4Mi"}
    spec["containers"][0]["resources"] = {
        "requests": resources,
        "limits": {"cpu": "500m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
    }
    return spec


def _listener(name: str, namespace: str, labels: Mapping[str, str], ports: list[Json]) -> Json:
    spec = _spec(LISTEN)
    spec["containers"][0]["ports"] = ports
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _job(name: str, namespace: str, labels: Mapping[str, str], checks: list[Any]) -> Json:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": 120,
            "template": {"metadata": {"labels": dict(labels)}, "spec": _spec(PROBE, json.dumps(checks))},
        },
    }


def _policy(name: str, namespace: str, spec: Json) -> Json:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _copied(item: Json, *keys: str) -> Json:
    """A deployed object as it would be in the other namespace."""
    metadata = {"name": item["metadata"]["name"], "namespace": COPY}
    spec = {key: item["spec"][key] for key in keys if key in item["spec"]}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": metadata, "spec": spec}


def _own(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels without those of the Job controller, which are each Job's own."""
    return {key: value for key, value in labels.items() if not key.endswith(("job-name", "controller-uid"))}


def _templates(namespace: str) -> Iterator[tuple[str, Json]]:
    """Pod templates of the deployed workloads, one for each set of labels."""
    seen: set[str] = set()
    for item in kube.items("deployment,statefulset,daemonset,job,cronjob", "--namespace", namespace):
        spec = item["spec"].get("jobTemplate", item)["spec"]
        template = spec["template"]
        own = _own(template["metadata"]["labels"])
        key = json.dumps(own, sort_keys=True)
        if key not in seen and not item["metadata"].get("ownerReferences"):
            seen.add(key)
            yield (
                f"{own['app.kubernetes.io/name']}-{len(seen)}",
                {
                    "labels": own,
                    "ports": [
                        {key: port[key] for key in ("name", "containerPort", "protocol") if key in port}
                        for container in template["spec"]["containers"]
                        for port in container.get("ports", [])
                    ],
                },
            )


API_PORT: Json = {"name": "api", "containerPort": 8080}
LISTENERS: Mapping[str, tuple[str, list[Json]]] = {
    "ranges": (RULES, []),
    "named": (RULES, [API_PORT]),
    "blocks": (RULES, []),
    "closed": (RULES, []),
    "open": (OTHER, []),
}
"""Pods that policies of this test apply to: namespace and declared ports."""


def _rules(pods: str, addresses: Mapping[str, str]) -> list[Json]:
    def of(role: str) -> Json:
        return {"matchLabels": {"role": role}}

    purpose = {
        "matchExpressions": [{"key": "purpose", "operator": "In", "values": ["trusted", "monitoring"]}]
    }
    unlabelled = {"matchExpressions": [{"key": "purpose", "operator": "DoesNotExist"}]}
    not_other = {"matchExpressions": [{"key": "purpose", "operator": "NotIn", "values": ["other"]}]}
    return [
        _policy(
            "ranges",
            RULES,
            {
                "podSelector": of("ranges"),
                "ingress": [
                    {"ports": [{"port": 2380, "endPort": 8000}]},
                    {
                        "from": [{"namespaceSelector": not_other}],
                        "ports": [{"protocol": "UDP", "port": 8000}],
                    },
                ],
            },
        ),
        _policy(
            "named",
            RULES,
            {
                "podSelector": of("named"),
                "policyTypes": ["Ingress"],
                "ingress": [
                    {"from": [{"namespaceSelector": purpose}], "ports": [{"port": "api"}]},
                    {"from": [{"podSelector": {}}], "ports": [{"port": 9090}, {"port": "missing"}]},
                ],
            },
        ),
        _policy(
            "blocks",
            RULES,
            {
                "podSelector": of("blocks"),
                "ingress": [
                    {"from": [{"ipBlock": {"cidr": pods}}], "ports": [{"port": 2379}]},
                    {
                        "from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [pods]}}],
                        "ports": [{"port": 8000}],
                    },
                    {"from": [{"namespaceSelector": unlabelled}], "ports": [{"protocol": "TCP"}]},
                ],
            },
        ),
        # Rules for egress without the type say nothing.
        _policy("closed", RULES, {"podSelector": of("closed"), "policyTypes": ["Ingress"], "egress": [{}]}),
        _policy(
            "restricted",
            RULES,
            {
                "podSelector": of("restricted"),
                "policyTypes": ["Egress"],
                "egress": [
                    {
                        "to": [{"ipBlock": {"cidr": pods, "except": [f"{addresses['open']}/32"]}}],
                        "ports": [{"port": 2379, "endPort": 2380}],
                    },
                    {"to": [{"podSelector": of("named")}], "ports": [{"port": 9090}]},
                ],
            },
        ),
    ]


def _running(namespaces: tuple[str, ...]) -> dict[str, Json]:
    """The listening pods once all run, by `namespace/name`."""

    def all_run() -> dict[str, Json] | None:
        found = {
            f"{one}/{pod['metadata']['name']}": pod
            for one in namespaces
            for pod in kube.items("pods", "-n", one)
        }
        return found if all(pod["status"].get("phase") == "Running" for pod in found.values()) else None

    return kube.wait_until("listening pods running", all_run, 90)


def _targets(pods: Mapping[str, Json], services: list[Json]) -> Iterator[Target]:
    for name, pod in pods.items():
        yield Target(name, pod["status"]["podIP"], PORTS)
    for item in services:
        if item["spec"]["clusterIP"] != "None":
            ports = tuple((port["protocol"], port["port"]) for port in item["spec"]["ports"])
            name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
            yield Target(f"service {name}", item["spec"]["clusterIP"], ports)


def _logs(job: str, namespace: str) -> Json:
    def ended() -> Json | None:
        status: Json = kube.get("job", job, "--namespace", namespace)["status"]
        return status if status.get("succeeded") or status.get("failed") else None

    status = kube.wait_until(f"Job {namespace}/{job} ended", ended, 120)
    log = kube.kubectl("logs", f"job/{job}", "--namespace", namespace).succeeded().stdout
    assert status.get("succeeded"), log
    result: Json = json.loads(log)
    return result


@pytest.fixture(scope="module")
def outcome(namespace: str) -> Iterator[Outcome]:
    """Everything tried once; nothing of it leaves the machine."""
    names = tuple(NAMESPACES)
    kube.kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait", timeout=180)
    try:
        yield _tried(namespace)
    finally:
        kube.kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait=false")


def _tried(namespace: str) -> Outcome:
    templates = dict(_templates(namespace))
    system = kube.items("pods", "--namespace", "kube-system", "-l", "k8s-app=kube-dns")
    api_server = kube.items("pods", "--namespace", "kube-system", "-l", "component=kube-apiserver")
    policies = [
        _copied(item, "podSelector", "ingress", "egress", "policyTypes")
        for item in kube.items("networkpolicy", "--namespace", namespace)
    ]
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.apply(
        *(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {**labels, **restricted}},
            }
            for name, labels in NAMESPACES.items()
        ),
        *policies,
        *(
            _copied(item, "ports", "selector")
            for item in kube.items("service", "--namespace", namespace)
            if item["spec"].get("selector")
        ),
        *(_listener(name, COPY, one["labels"], one["ports"]) for name, one in templates.items()),
        *(_listener(name, where, {"role": name}, ports) for name, (where, ports) in LISTENERS.items()),
    ).succeeded()
    pods = _running((COPY, RULES, OTHER))
    services = kube.items("service", "--namespace", COPY)
    addresses = {name.partition("/")[2]: pod["status"]["podIP"] for name, pod in pods.items()}
    network_of_pods = kube.get("node", system[0]["spec"]["nodeName"])["spec"]["podCIDR"]
    kube.apply(*_rules(network_of_pods, addresses)).succeeded()
    targets = (
        *_targets(pods, services),
        Target(f"kube-system/{system[0]['metadata']['name']}", system[0]["status"]["podIP"], (("TCP", 53),)),
        Target(
            f"kube-system/{api_server[0]['metadata']['name']}",
            api_server[0]["status"]["podIP"],
            (("TCP", 6443),),
        ),
    )
    sources = {
        **{f"from-{name}": (COPY, one["labels"]) for name, one in templates.items()},
        "from-neighbour": (COPY, {}),
        "from-restricted": (RULES, {"role": "restricted"}),
        "from-trusted": (TRUSTED, {}),
        "from-monitoring": (MONITORING, {}),
        "from-other": (OTHER, {}),
    }
    checks = [
        (target.name, target.host, protocol, port) for target in targets for protocol, port in target.ports
    ]
    jobs = [_job(name, where, labels, checks) for name, (where, labels) in sources.items()]
    kube.apply(*jobs).succeeded()
    found, early = {}, [0] * SETTLING
    for name, (where, _) in sources.items():
        result = _logs(name, where)
        found[f"{where}/{name}"] = {
            (target, protocol, port): reached
            for (target, _, protocol, port), reached in zip(checks, result["found"], strict=True)
        }
        early = [sum(both) for both in zip(early, result["early"], strict=True)]
    objects = [
        *(kube.get("namespace", name) for name in (*NAMESPACES, "kube-system")),
        *(item for name in NAMESPACES for item in kube.items("networkpolicy,service", "--namespace", name)),
        *pods.values(),
        *system[:1],
        *api_server[:1],
        *jobs,
    ]
    return Outcome(Cluster(objects, Surroundings(pods=(network_of_pods,))), targets, found, tuple(early))


def _expected(cluster: Cluster, source: str, target: str, protocol: str, port: int) -> Extent:
    start = cluster.find(source)
    kind, _, name = target.rpartition(" ")
    if not kind:
        return cluster.decide(start, cluster.find(f"Pod {name}"), port, protocol).extent
    (service,) = [one for one in cluster.objects.services if str(one) == name]
    extents = {decision.extent for _, _, decision in cluster.through(start, service, port, protocol)}
    # Nothing behind it is never reached; all that is behind it is alike here.
    assert len(extents) <= 1
    return extents.pop() if extents else Extent.NONE


def test_packets_and_analyser_agree(outcome: Outcome) -> None:
    expected = {
        source: {
            (target, protocol, port): _expected(outcome.cluster, source, target, protocol, port)
            for target, protocol, port in found
        }
        for source, found in outcome.found.items()
    }
    # Every address is known, so the analyser leaves nothing open.
    assert Extent.SOME not in {extent for one in expected.values() for extent in one.values()}
    differences = [
        f"{source} -> {target} {port}/{protocol}: packets {'arrive' if reached else 'do not arrive'}, "
        f"the analyser says {expected[source][target, protocol, port].name}"
        for source, found in outcome.found.items()
        for (target, protocol, port), reached in found.items()
        if reached != (expected[source][target, protocol, port] is Extent.ALL)
    ]
    tried = sum(map(len, outcome.found.values()))
    open_ = sum(reached for found in outcome.found.values() for reached in found.values())
    print(
        f"{len(outcome.found)} sources, {len(outcome.targets)} targets, {tried} connections: {open_} open; "
        f"while their source was new {outcome.early} more, round by round"
    )
    assert 0 < open_ < tried
    assert differences == []


def test_the_copies_are_ruled_like_the_platform(outcome: Outcome, namespace: str) -> None:
    """So what the packets tell of the copies is true of the platform's own pods."""
    kinds = "networkpolicy,deployment,statefulset,daemonset,job,cronjob"
    platform = Cluster([kube.get("namespace", namespace), *kube.items(kinds, "--namespace", namespace)])
    sources = {
        _role(one): one for one in outcome.cluster.objects.workloads if one.name.startswith(f"Job {COPY}/")
    }
    targets = {
        _role(one): one for one in outcome.cluster.objects.workloads if one.name.startswith(f"Pod {COPY}/")
    }
    assert {_role(one) for one in platform.objects.workloads} == set(targets)
    for source in platform.objects.workloads:
        for target in platform.objects.workloads:
            copy = outcome.cluster.reachable(sources[_role(source)], targets[_role(target)])
            assert platform.reachable(source, target) == copy, f"{source} to {target}"


def _role(endpoint: Endpoint) -> str:
    """Labels that tell workloads apart, without those of the Job controller."""
    return json.dumps(_own(endpoint.labels), sort_keys=True)
