"""Alertmanager's configuration, judged by amtool, and messages that really arrive."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.monitoring.alertmanager import (
    INHIBITIONS,
    WECOM_SECRET,
    Endpoints,
    configuration_text,
)
from components.monitoring.catalogue import rule_groups
from tests.artifacts.fake_chats import Chats, serve
from tests.artifacts.monitoring_tools import alertmanager_program
from tests.harness.commands import run
from tests.unit.monitoring.examples import DINGTALK, ROUTING, STACK, WECOM, settings
from toolchain import paths

ACCESS_TOKEN = "canary-access-token-5c1f"
SIGNING_SECRET = "SECcanary-signing-secret-9b7e"
API_SECRET = "canary-api-secret-31d0"
CANARIES = (ACCESS_TOKEN, SIGNING_SECRET, API_SECRET)
_PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def amtool() -> Path:
    return alertmanager_program("amtool")


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("alertmanager") / "alertmanager.yaml"
    endpoints = Endpoints("http://alert-relay.monitoring.svc:8060")
    file.write_text(configuration_text(settings().routing, endpoints), encoding="utf-8")
    return file


def test_the_configuration_is_accepted(amtool: Path, configuration: Path) -> None:
    done = run([amtool, "check-config", configuration], timeout=60).succeeded()
    assert "4 receivers" in done.output


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["severity=page", "alertname=ModelServersDown"], "pages"),
        (["severity=ticket", "alertname=NodeDiskFillingUp"], "tickets"),
        (["severity=none", "alertname=Watchdog"], "nobody"),
        (["severity=critical", "alertname=SomebodyElses"], "tickets"),
        (["alertname=WithoutSeverity"], "tickets"),
    ],
)
def test_each_severity_has_its_receiver(
    labels: list[str], receiver: str, amtool: Path, configuration: Path
) -> None:
    done = run(
        [amtool, "config", "routes", "test", f"--config.file={configuration}", *labels], timeout=60
    ).succeeded()
    assert done.stdout.split() == [receiver]


def test_inhibitions_speak_of_alerts_that_there_are() -> None:
    names = {alert.name for group in rule_groups(settings(), STACK) for alert in group.alerts}
    for inhibition in INHIBITIONS:
        assert names.issuperset(inhibition.causes + inhibition.consequences)


def test_cause_and_consequence_agree_in_the_labels_that_must_be_equal() -> None:
    """A label that one of two lacks would keep both: nothing would ever be left out."""
    labels: dict[str, set[str]] = {}
    for group in rule_groups(settings(), STACK):
        for alert in group.alerts:
            labels.setdefault(alert.name, set()).update(alert.all_labels, *alert.firing.labels)
    for inhibition in INHIBITIONS:
        for name in inhibition.causes + inhibition.consequences:
            assert labels[name].issuperset(inhibition.equal), name


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


def wait_for(condition: Callable[[], bool], what: str) -> float:
    """Seconds until it holds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < _PATIENCE_SECONDS, f"{what}: not within {_PATIENCE_SECONDS} s"
        time.sleep(0.05)
    return time.monotonic() - started


@dataclass
class Delivery:
    """Alertmanager and relay as they run, and the chats they send to."""

    chats: Chats
    alertmanager: str
    relay: str
    folder: Path

    def fire(self, severity: str, name: str, *, ends: datetime | None = None, **labels: str) -> None:
        """Give Alertmanager an alert, as Prometheus does."""
        started = datetime.now(UTC)
        alert: dict[str, Any] = {
            "labels": {"alertname": name, "severity": severity, "namespace": "autoglm", **labels},
            "annotations": {
                "summary": f"summary of {name}",
                "description": "what it means",
                "runbook_url": "https://git.example.com/platform/docs/runbooks/model-slow.md",
            },
            "startsAt": (ends - timedelta(minutes=1) if ends else started).isoformat(),
            "endsAt": (ends or started + timedelta(minutes=5)).isoformat(),
        }
        post(f"{self.alertmanager}/api/v2/alerts", [alert])

    def titles(self) -> list[str]:
        """Of what has arrived in the DingTalk group."""
        return [body["markdown"]["title"] for body in self.chats.dingtalk]

    def said(self) -> str:
        """Everything that both programs have written."""
        return "".join(file.read_text(encoding="utf-8") for file in self.folder.glob("*.log"))


def post(url: str, body: object) -> int:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        text: str = response.read().decode()
        return text


def answers(url: str) -> bool:
    try:
        get(url)
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    """The real Alertmanager, configured as rendered, the real relay, and fake chats; on loopback only."""
    program = alertmanager_program("alertmanager")
    folder = tmp_path_factory.mktemp("delivery")
    for name, key, value in (
        (DINGTALK["name"], "access-token", ACCESS_TOKEN),
        (DINGTALK["name"], "signing-secret", SIGNING_SECRET),
        (WECOM["secretName"], WECOM_SECRET, API_SECRET),
    ):
        file = folder / "secrets" / str(name) / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n", encoding="utf-8")
    alertmanager, relay = free_port(), free_port()
    chats = Chats(ACCESS_TOKEN, SIGNING_SECRET, str(WECOM["corpId"]), API_SECRET)
    running: list[subprocess.Popen[bytes]] = []
    with serve(chats):
        endpoints = Endpoints(f"http://127.0.0.1:{relay}", str(folder / "secrets"), chats.wecom_api)
        # Seconds instead of minutes: nobody waits for a test.
        routing = settings(routing={**ROUTING, "groupWait": "1s", "groupInterval": "1s"}).routing
        text = json.loads(configuration_text(routing, endpoints))
        text["route"]["group_wait"] = "1s"
        (folder / "alertmanager.yaml").write_text(json.dumps(text), encoding="utf-8")
        commands = {
            "relay": [
                *(sys.executable, "-m", "alert_relay", "--listen=127.0.0.1", f"--port={relay}"),
                *(f"--robots={folder / 'secrets'}", f"--endpoint={chats.robots}"),
            ],
            "alertmanager": [
                *(str(program), f"--config.file={folder / 'alertmanager.yaml'}"),
                *(f"--storage.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{alertmanager}"),
                *("--cluster.listen-address=", "--log.level=debug"),
            ],
        }
        environment = {**os.environ, "PYTHONPATH": str(paths.ROOT / "apps" / "alert_relay")}
        try:
            for name, command in commands.items():
                with (folder / f"{name}.log").open("wb") as log:
                    running.append(
                        subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
                    )
            found = Delivery(chats, f"http://127.0.0.1:{alertmanager}", f"http://127.0.0.1:{relay}", folder)
            wait_for(lambda: answers(f"{found.alertmanager}/-/ready"), "Alertmanager's start")
            wait_for(lambda: answers(f"{found.relay}/healthz"), "the relay's start")
            yield found
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(timeout=20)


def test_a_page_reaches_both_chats_signed(delivery: Delivery) -> None:
    delivery.fire("page", "ModelServersDown", area="model")
    chats = delivery.chats
    seconds = wait_for(
        lambda: "firing (1): ModelServersDown" in delivery.titles() and bool(chats.wecom), "the page"
    )
    body = next(body for body in chats.dingtalk if "ModelServersDown" in body["markdown"]["title"])
    assert body["at"] == {"isAtAll": True}
    assert "summary of ModelServersDown" in body["markdown"]["text"]
    assert "(https://git.example.com/platform/docs/runbooks/model-slow.md)" in body["markdown"]["text"]
    assert chats.wecom[0]["agentid"] == str(WECOM["agentId"])
    assert chats.wecom[0]["toparty"] == WECOM["toParty"]
    assert "summary of ModelServersDown" in chats.wecom[0]["text"]["content"]
    assert seconds < _PATIENCE_SECONDS


def test_a_ticket_reaches_those_who_get_tickets_and_disturbs_nobody(delivery: Delivery) -> None:
    before = len(delivery.chats.wecom)
    delivery.fire("ticket", "NodeDiskFillingUp", area="node", instance="gpu-1", device="/dev/vda1")
    wait_for(lambda: any("NodeDiskFillingUp" in title for title in delivery.titles()), "the ticket")
    body = next(b for b in delivery.chats.dingtalk if "NodeDiskFillingUp" in b["markdown"]["title"])
    assert body["at"] == {"isAtAll": False}
    assert len(delivery.chats.wecom) == before


def test_a_consequence_is_left_out_while_its_cause_is_known(delivery: Delivery) -> None:
    delivery.fire("page", "ModelServersDown", area="model")
    delivery.fire("page", "FirstTokenSlow", area="model", model="phone")
    delivery.fire("page", "EtcdDatabaseNearQuota", area="etcd")
    wait_for(lambda: any("EtcdDatabaseNearQuota" in title for title in delivery.titles()), "another page")
    assert not any("FirstTokenSlow" in title for title in delivery.titles())


def test_what_always_fires_is_sent_to_nobody(delivery: Delivery) -> None:
    delivery.fire("none", "Watchdog", area="monitoring")
    delivery.fire("page", "VirtualIpAbsent", area="virtual-ip", address="192.0.2.1")
    wait_for(lambda: any("VirtualIpAbsent" in title for title in delivery.titles()), "another page")
    assert not any("Watchdog" in title for title in delivery.titles())


def test_a_message_that_dingtalk_refuses_is_sent_again(delivery: Delivery) -> None:
    delivery.chats.refuse_next = 2
    delivery.fire("page", "KvCacheFull", area="model", model="other", namespace="elsewhere")
    wait_for(lambda: any("KvCacheFull" in title for title in delivery.titles()), "the page that was refused")
    assert delivery.chats.refused.count("send too fast") == 2
    assert "refused with 130101" in delivery.said()


def test_the_end_is_told(delivery: Delivery) -> None:
    delivery.fire("page", "EtcdNoLeader", area="etcd", pod="etcd-0")
    wait_for(lambda: any("EtcdNoLeader" in title for title in delivery.titles()), "the page")
    delivery.fire("page", "EtcdNoLeader", area="etcd", pod="etcd-0", ends=datetime.now(UTC))
    wait_for(lambda: "resolved: EtcdNoLeader" in delivery.titles(), "its end")


def test_a_wrong_secret_is_noticed_and_a_changed_one_needs_no_restart(delivery: Delivery) -> None:
    file = delivery.folder / "secrets" / str(DINGTALK["name"]) / "signing-secret"
    webhook = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "ByHand"}}]}
    url = f"{delivery.relay}/dingtalk/{DINGTALK['name']}"
    file.write_text("SECsomething-else\n", encoding="utf-8")
    try:
        assert post(url, webhook) == 502
        assert "sign not match" in delivery.chats.refused
    finally:
        file.write_text(f"{SIGNING_SECRET}\n", encoding="utf-8")
    assert post(url, webhook) == 200
    assert "firing (1): ByHand" in delivery.titles()


def test_F57_no_secret_is_in_the_configuration_its_api_or_a_log(delivery: Delivery) -> None:
    """Last: after all that could have written one."""
    shown = get(f"{delivery.alertmanager}/api/v2/status") + get(f"{delivery.relay}/metrics")
    written = (delivery.folder / "alertmanager.yaml").read_text(encoding="utf-8") + delivery.said()
    for canary in CANARIES:
        assert canary not in shown
        assert canary not in written
