"""Everything rendered, read by the programs that it is for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from components.virtual_ip.firewall import render_firewall
from components.virtual_ip.haproxy import render_haproxy
from components.virtual_ip.keepalived import render_keepalived
from components.virtual_ip.plan import VirtualIpPlan
from tests.harness.commands import Result, run
from tests.unit.virtual_ip.examples import SERVER, plan, plans
from toolchain.errors import ToolchainError
from toolchain.images import virtual_ip

ENTER = Path(__file__).parents[2] / "chaos" / "virtual_ip" / "enter.py"
NAMESPACE = f"vip-tools-{os.getpid()}"
_ALL_CAPABILITIES = list(range(41))
FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Tools:
    """Programs of the image, in a network of their own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root, self._folder = root, folder
        (folder / "run").mkdir()
        shutil.copytree(root / "etc", folder / "etc")
        (folder / "etc" / "resolv.conf").write_text("nameserver 127.0.0.1\n")

    def check(self, text: str, *command: str) -> Result:
        """Run a program on a file `/run/file` with that text."""
        (self._folder / "run" / "file").write_text(text, encoding="utf-8")
        options = {
            "netns": NAMESPACE,
            "root": str(self._root),
            "run": str(self._folder / "run"),
            "etc": str(self._folder / "etc"),
            "user": 0,
            "capabilities": _ALL_CAPABILITIES,
        }
        return run([sys.executable, ENTER, json.dumps(options), *command], timeout=60)

    def certificate(self) -> str:
        """Folder with a self-signed certificate, as the programs see it."""
        folder = self._folder / "run" / "tls"
        folder.mkdir(exist_ok=True)
        run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-nodes",
                ),
                *("-subj", "/CN=entry", "-keyout", folder / "tls.key", "-out", folder / "tls.crt"),
            ]
        ).succeeded()
        return "/run/tls"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network namespace: needs root and the program `ip`")
    try:
        root = virtual_ip.root()
    except ToolchainError as error:
        pytest.skip(f"keepalived and haproxy cannot be had: {error}")
    made = subprocess.run(["ip", "netns", "add", NAMESPACE], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this machine gives no network namespace: {made.stderr.strip()}")
    try:
        run(["ip", "-n", NAMESPACE, "link", "set", "lo", "up"]).succeeded()
        # keepalived wants the interfaces that it is told of.
        for name in ("eth0", "bond0.100", "enp1s0"):
            link = ["link", "add", name, "type", "veth", "peer", "name", f"p-{name}"[:15]]
            run(["ip", "-n", NAMESPACE, *link]).succeeded()
        yield Tools(root, tmp_path_factory.mktemp("tools"))
    finally:
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False)


@FEW
@given(planned=plans())
def test_keepalived_accepts_its_configuration(tools: Tools, planned: VirtualIpPlan) -> None:
    for member in planned.members:
        text = render_keepalived(planned, member, script_user="nonroot")
        checked = tools.check(text, "/usr/sbin/keepalived", "-t", "--use-file=/run/file").succeeded()
        # It warns of what it ignores, and succeeds.
        assert checked.output == ""


def test_keepalived_refuses_a_broken_one(tools: Tools) -> None:
    text = render_keepalived(plan(), plan().members[0], script_user="nonroot")
    broken = text.replace("virtual_router_id 51", "virtual_router_id 256")
    tools.check(broken, "/usr/sbin/keepalived", "-t", "--use-file=/run/file").failed()


@FEW
@given(planned=plans())
def test_haproxy_accepts_its_configuration(tools: Tools, planned: VirtualIpPlan) -> None:
    for member in planned.members:
        names = planned.settings.frontend.kind == "model-api"
        text = render_haproxy(planned, member, [SERVER if names else "10.0.0.2:6443", "10.0.0.1:8000"])
        checked = tools.check(text, "/usr/sbin/haproxy", "-c", "-f", "/run/file").succeeded()
        assert "WARNING" not in checked.output


def test_haproxy_accepts_a_certificate(tools: Tools) -> None:
    folder = tools.certificate()
    text = render_haproxy(plan(), plan().members[0], [SERVER], tls_folder=folder)
    tools.check(text, "/usr/sbin/haproxy", "-c", "-f", "/run/file").succeeded()


def test_haproxy_refuses_a_broken_one(tools: Tools) -> None:
    text = render_haproxy(plan(frontend={"kind": "kubernetes-api"}), plan().members[0], [SERVER])
    broken = text.replace("balance leastconn", "balance sometimes")
    tools.check(broken, "/usr/sbin/haproxy", "-c", "-f", "/run/file").failed()


@FEW
@given(planned=plans())
def test_nft_accepts_the_rules_twice(tools: Tools, planned: VirtualIpPlan) -> None:
    text = render_firewall(planned, planned.members[0])
    for _ in range(2):
        tools.check(text, "/usr/sbin/nft", "-f", "/run/file").succeeded()
