"""Monitoring of the deployed stack: Prometheus scrapes the real engine, and tells when it is gone."""

from __future__ import annotations

import datetime
import ipaddress
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

import promql_parser as promql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from components.monitoring.stack import MODEL_SERVER
from tests.harness import kube
from tests.harness.api import Client
from tests.harness.engine import Engine, Settings, write_settings
from tests.harness.published import MODEL
from toolchain import paths

CHATS = "e2e-chats"
HOST = f"chats.{CHATS}.svc"
KNOWN = {
    "access_token": "e2e-token",
    "signing_secret": "SECe2e",
    "corp_id": "ww0123456789abcdef",
    "api_secret": "e2e-secret",
}
_BACK_SECONDS = 240
_TOLD_SECONDS = 240
"""A minute until the alert fires, ten seconds for its group, and what scraping and evaluation take."""

ENGINE_SERIES = (
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "vllm:request_success_total",
    "vllm:time_to_first_token_seconds_bucket",
    "vllm:e2e_request_latency_seconds_bucket",
    "http_requests_total",
)

ABSENT = {
    "kube_job_failed": "until a Job has failed",
    "kube_node_labels": "of the pool: nodes of stack dev belong to none",
    "node_pool:requested:sum": "nodes of stack dev belong to no pool",
    "node_pool:allocatable:sum": "nodes of stack dev belong to no pool",
    "audit_sealed_day_timestamp_seconds": "no day has ended since the stack was deployed",
    "audit_verify_success": "the trail is verified twice a day",
    "audit_verify_timestamp_seconds": "the trail is verified twice a day",
}
"""Series that rules ask for and stack dev need not have, with the reason."""


@dataclass(frozen=True)
class Prometheus:
    """The API of the running Prometheus, through the API server."""

    namespace: str

    def get(self, path: str, **parameters: str) -> Any:
        """What it answers."""
        query = "&".join(f"{key}={quote(value)}" for key, value in parameters.items())
        address = f"/api/v1/namespaces/{self.namespace}/services/prometheus:9090/proxy/api/v1/{path}"
        answer = kube.kubectl("get", "--raw", f"{address}?{query}" if query else address).succeeded().stdout
        return json.loads(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Samples of now."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Every rule, with its state."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def state(self, alert: str) -> str:
        """`inactive`, `pending` or `firing`."""
        states = [rule["state"] for rule in self.rules() if rule["name"] == alert]
        assert states, f"no rule {alert}"
        return str(states[0])


@pytest.fixture(scope="module")
def prometheus(namespace: str) -> Prometheus:
    """Of the stack, scraping for long enough to have two samples of everything."""
    found = [one["metadata"] for one in kube.items("prometheuses.monitoring.coreos.com", "-A")]
    ours = [one for one in found if one["labels"].get("app.kubernetes.io/managed-by") == "pulumi"]
    if not ours:
        pytest.skip("the stack's settings have no section monitoring")
    server = Prometheus(ours[0]["namespace"])

    def scraped() -> bool:
        pods = kube.kubectl(
            *("get", "pods", "-n", server.namespace, "-l", "app.kubernetes.io/name=prometheus", "-o", "name")
        )
        ready = kube.kubectl(
            *("wait", "-n", server.namespace, "--for=condition=Ready", "--timeout=5s"),
            *pods.stdout.split(),
        )
        return ready.status == 0 and bool(
            server.query(f'count_over_time(up{{job="{MODEL_SERVER}"}}[5m]) > 2')
        )

    kube.wait_until("Prometheus scrapes the model server", scraped, _BACK_SECONDS)
    return server


def test_every_target_is_up_and_the_real_engine_is_one(prometheus: Prometheus) -> None:
    def all_up() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = prometheus.get("targets", state="active")["activeTargets"]
        return found if found and all(one["health"] == "up" for one in found) else None

    targets = kube.wait_until("all targets up", all_up, 120, pause=5)
    jobs = {one["labels"]["job"] for one in targets}
    print(f"\n{len(targets)} targets up: {', '.join(sorted(jobs))}")
    assert jobs >= {
        *("apiserver", "kubelet", "kube-state-metrics", "node-exporter"),
        *(MODEL_SERVER, "prometheus", "alertmanager"),
    }


def test_the_engines_series_are_there(prometheus: Prometheus, api: Client) -> None:
    assert api.chat(max_tokens=4).status == 200

    def counted() -> bool:
        done = prometheus.query(f'sum(vllm:generation_tokens_total{{job="{MODEL_SERVER}"}})')
        return bool(done) and float(done[0]["value"][1]) > 0

    kube.wait_until("the answer is counted", counted, 60, pause=5)
    for name in ENGINE_SERIES:
        (series, *_) = prometheus.query(f'{{__name__="{name}",job="{MODEL_SERVER}"}}') or [{}]
        assert series, f"{name} is not scraped"
        assert series["metric"]["model"] == MODEL
    everything = prometheus.query(f'count({{job="{MODEL_SERVER}"}})')[0]["value"][1]
    print(f"\n{everything} series of the engine, among them {', '.join(ENGINE_SERIES)}")


def test_metrics_that_rules_ask_for_exist(prometheus: Prometheus, api: Client) -> None:
    assert api.chat(max_tokens=4).status == 200
    wanted = {name for rule in prometheus.rules() for name in _names(promql.parse(rule["query"]))}

    def missing() -> set[str]:
        return wanted - set(prometheus.get("label/__name__/values")) - ABSENT.keys()

    # What is recorded from rates is there after two scrapes and an evaluation.
    deadline = time.monotonic() + 150
    while missing() and time.monotonic() < deadline:
        time.sleep(5)
    assert missing() == set()
    absent = sorted(wanted & ABSENT.keys())
    print(f"\n{len(wanted) - len(absent)} metrics of rules are there; not on stack dev: {absent}")


def _names(node: Any) -> Iterator[str]:
    """Names of the series that an expression asks for."""
    if isinstance(node, promql.VectorSelector) and node.name:
        yield node.name
    children = [getattr(node, key, None) for key in ("expr", "lhs", "rhs", "vector_selector")]
    for child in [*children, *(getattr(node, "args", None) or [])]:
        if child is not None:
            yield from _names(child)


def test_rules_are_evaluated_and_recording_rules_record(prometheus: Prometheus) -> None:
    rules = prometheus.rules()
    assert [(one["name"], one.get("lastError")) for one in rules if one["health"] != "ok"] == []
    recorded = {one["name"] for one in rules if one["type"] == "recording"} - ABSENT.keys()
    assert [name for name in sorted(recorded) if not prometheus.query(name)] == []
    slowest = max(rules, key=lambda one: one["evaluationTime"])
    print(
        f"\n{len(rules)} rules, {len(recorded)} of them recording; slowest: {slowest['name']}, "
        f"{1000 * slowest['evaluationTime']:.1f} ms"
    )


# The chats, and a stack that tells them.


def _certificate(host: str) -> tuple[str, str, str]:
    """PEM of an authority, of a server's certificate that it has signed, and of the server's key."""

    def pem(key: ec.EllipticCurvePrivateKey) -> str:
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    now = datetime.datetime.now(datetime.UTC)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "e2e chats")])

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(hours=2))
        )

    root = (
        builder(authority, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    server = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    return root.public_bytes(encoding).decode(), server.public_bytes(encoding).decode(), pem(key)


@dataclass(frozen=True)
class Chats:
    """The fake endpoints of DingTalk and WeCom in a pod."""

    authority: str
    address: str

    def received(self, chat: str) -> list[dict[str, Any]]:
        """What has arrived, with the time; `refused` has what was wrong with the rest."""
        lines = kube.kubectl("logs", "chats", "-n", CHATS).succeeded().stdout.splitlines()
        return [entry for entry in map(json.loads, lines) if entry["chat"] == chat]


@pytest.fixture(scope="module")
def chats(prometheus: Prometheus) -> Iterator[Chats]:
    """Both chats, and the Secrets that the stack's Alertmanager and relay reach them with."""
    authority, certificate, key = _certificate(HOST)
    code = (paths.ROOT / "tests" / "artifacts" / "fake_chats.py").read_text(encoding="utf-8")
    image = json.loads(paths.IMAGES_FILE.read_text(encoding="utf-8"))["images"]["probe"]["reference"]
    spec = kube.pod_spec(image, "import sys; sys.exit()")
    (container,) = spec["containers"]
    container |= {
        "command": ["python3", "-u", "/etc/chats/code/fake_chats.py", "/etc/chats/known"],
        "volumeMounts": [
            {"name": name, "mountPath": f"/etc/chats/{name}", "readOnly": True} for name in ("code", "known")
        ],
    }
    container["resources"]["limits"]["cpu"] = "200m"
    spec["securityContext"]["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    spec["volumes"] = [
        {"name": "code", "configMap": {"name": "code"}},
        {"name": "known", "secret": {"secretName": "known"}},
    ]
    labels = {"app": "chats"}

    def secret(name: str, namespace: str, **data: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": namespace, "labels": {"purpose": CHATS}}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}

    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    try:
        kube.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CHATS, "labels": restricted}},
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "code", "namespace": CHATS},
                "data": {"fake_chats.py": code},
            },
            secret(
                "known", CHATS, **{"tls.crt": certificate, "tls.key": key, "known.json": json.dumps(KNOWN)}
            ),
            secret("wecom-e2e", prometheus.namespace, **{"api-secret": KNOWN["api_secret"]}),
            secret(
                "dingtalk-e2e",
                prometheus.namespace,
                **{"access-token": KNOWN["access_token"], "signing-secret": KNOWN["signing_secret"]},
            ),
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "chats", "namespace": CHATS},
                "spec": {"selector": labels, "ports": [{"port": 443, "targetPort": 443}]},
            },
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "chats", "namespace": CHATS, "labels": labels},
                "spec": spec,
            },
        ).succeeded()
        kube.kubectl("wait", "--for=condition=Ready", "pod/chats", "-n", CHATS, "--timeout=60s").succeeded()
        address = str(ipaddress.ip_address(kube.get("pod", "chats", "-n", CHATS)["status"]["podIP"]))
        yield Chats(authority, address)
    finally:
        kube.kubectl("delete", "namespace", CHATS, "--ignore-not-found", "--wait=false")
        kube.kubectl(
            *("delete", "secret", "wecom-e2e", "dingtalk-e2e", "-n", prometheus.namespace),
            "--ignore-not-found",
        )


@pytest.fixture(scope="module")
def telling(chats: Chats, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The stack with both chats as receivers of pages; as it was, afterwards."""

    def change(settings: Settings) -> None:
        settings["monitoring"] |= {
            "routing": {
                "receivers": [
                    {
                        "kind": "wecom",
                        "name": "on-call",
                        "corpId": KNOWN["corp_id"],
                        "agentId": 1000002,
                        "toParty": "2",
                        "secretName": "wecom-e2e",
                    },
                    {"kind": "dingtalk", "name": "platform-group", "secretName": "dingtalk-e2e"},
                ],
                "pages": ["on-call", "platform-group"],
                "dingtalkUrl": f"https://{HOST}/robot/send",
                "wecomUrl": f"https://{HOST}/cgi-bin/",
                "proxyCa": chats.authority,
            },
            "relayEgressCidrs": [f"{chats.address}/32"],
            "wecomEgressCidrs": [f"{chats.address}/32"],
        }

    try:
        engine.up(config_file=write_settings(tmp_path_factory.mktemp("telling"), change)).succeeded()
        yield
    finally:
        engine.up().succeeded()


def _configured(prometheus: Prometheus) -> bool:
    address = (
        f"/api/v1/namespaces/{prometheus.namespace}/pods/alertmanager-platform-0:9093/proxy/api/v2/status"
    )
    answer = kube.kubectl("get", "--raw", address)
    return answer.status == 0 and KNOWN["corp_id"] in answer.stdout


def _reached(prometheus: Prometheus, state: str) -> bool:
    return prometheus.state("ModelServersDown") in (state, "firing")


def _told(chats: Chats, chat: str) -> dict[str, Any] | None:
    return next((one for one in chats.received(chat) if "No model server" in json.dumps(one)), None)


def test_a_stopped_model_is_told_to_both_chats(
    prometheus: Prometheus, telling: None, chats: Chats, namespace: str
) -> None:
    kube.wait_until("Alertmanager has the receivers", lambda: _configured(prometheus), 120)
    kube.wait_until(
        "Prometheus knows Alertmanager",
        lambda: bool(prometheus.get("alertmanagers")["activeAlertmanagers"]),
        120,
    )
    deployment = f"deployment/{MODEL}"
    replicas = kube.get(deployment, "-n", namespace)["spec"]["replicas"]
    assert prometheus.state("ModelServersDown") == "inactive"
    seconds: dict[str, float] = {}
    stopped = time.time()
    try:
        kube.kubectl("scale", deployment, "-n", namespace, "--replicas=0").succeeded()
        for state in ("pending", "firing"):
            kube.wait_until(
                f"ModelServersDown {state}",
                partial(_reached, prometheus, state),
                _TOLD_SECONDS,
                pause=0.5,
            )
            seconds[state] = time.time() - stopped
        for chat in ("dingtalk", "wecom"):
            first = kube.wait_until(
                f"the message is in {chat}",
                partial(_told, chats, chat),
                _TOLD_SECONDS,
                pause=0.5,
            )
            seconds[chat] = first["at"] - stopped
            assert namespace in json.dumps(first["message"])
            assert "runbooks/model-servers-down.md" in json.dumps(first["message"])
    finally:
        kube.kubectl("scale", deployment, "-n", namespace, f"--replicas={replicas}").succeeded()
        kube.kubectl(
            *("rollout", "status", deployment, "-n", namespace, f"--timeout={_BACK_SECONDS}s"),
            timeout=_BACK_SECONDS + 10,
        ).succeeded()
    # The fake recomputes the signature and refuses a wrong one, as DingTalk does.
    assert chats.received("refused") == []
    print("\nseconds after the model was stopped: " + ", ".join(f"{k} {v:.1f}" for k, v in seconds.items()))


def test_what_monitoring_takes_stays_within_what_it_asks_for(prometheus: Prometheus) -> None:
    namespaces = (prometheus.namespace, "node-agents")
    (node,) = kube.items("nodes")
    address = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
    summary = json.loads(kube.kubectl("get", "--raw", address).succeeded().stdout)
    used: dict[tuple[str, str, str], tuple[float, float]] = {}
    for pod in summary["pods"]:
        for container in pod["containers"]:
            key = (pod["podRef"]["namespace"], pod["podRef"]["name"], container["name"])
            used[key] = (
                container.get("cpu", {}).get("usageNanoCores", 0) / 1e6,
                container.get("memory", {}).get("workingSetBytes", 0) / 2**20,
            )
    cpu = memory = asked_cpu = asked_memory = 0.0
    print()
    for pod in (one for namespace in namespaces for one in kube.items("pods", "-n", namespace)):
        for container in pod["spec"]["containers"]:
            metadata, requests = pod["metadata"], container["resources"]["requests"]
            millicores, mebibytes = used[metadata["namespace"], metadata["name"], container["name"]]
            wanted = _mebibytes(requests["memory"])
            print(
                f"{metadata['name']}/{container['name']}: {millicores:.1f}m of {requests['cpu']}, "
                f"{mebibytes:.0f}Mi of {wanted:.0f}Mi"
            )
            assert mebibytes <= wanted, f"{metadata['name']}/{container['name']}"
            cpu, memory = cpu + millicores, memory + mebibytes
            asked_cpu += float(requests["cpu"].removesuffix("m"))
            asked_memory += wanted
    print(f"together {cpu:.0f}m of {asked_cpu:.0f}m CPU, {memory:.0f}Mi of {asked_memory:.0f}Mi")
    # Over some minutes, for a moment says little.
    both = "|".join(namespaces)
    usage = f'container_cpu_usage_seconds_total{{namespace=~"{both}",container=""}}'
    for sample in prometheus.query(f"sum(rate({usage}[5m]))"):
        average = 1000 * float(sample["value"][1])
        print(f"CPU over five minutes: {average:.0f}m")
        assert average <= asked_cpu


def _mebibytes(quantity: str) -> float:
    units = {"Ki": 1 / 1024, "Mi": 1.0, "Gi": 1024.0}
    return float(quantity[:-2]) * units[quantity[-2:]] if quantity[-2:] in units else float(quantity) / 2**20
