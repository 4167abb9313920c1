"""What the cases share: the example's plan, and a lab that is up."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from components.virtual_ip.plan import VirtualIpPlan, plan_virtual_ip
from components.virtual_ip.settings import VirtualIp
from tests.chaos.virtual_ip.lab import Lab, LabError
from toolchain.errors import ToolchainError
from toolchain.images import virtual_ip


def plan(**changes: Any) -> VirtualIpPlan:
    """Three nodes with the defaults of the settings, and the changes."""
    document: dict[str, Any] = {
        "nodes": [{"name": f"node-{number}", "address": f"192.168.1.1{number}"} for number in (1, 2, 3)],
        "frontend": {"kind": "model-api", "plainHttp": True},
    }
    planned, problems = plan_virtual_ip(VirtualIp.model_validate(document | changes))
    assert planned is not None, problems
    return planned


@pytest.fixture(scope="session")
def root() -> Any:
    """The image's file system; skips where the machine cannot run a lab."""
    if not sys.platform.startswith("linux"):
        pytest.skip("network namespaces: needs Linux")
    if os.geteuid() != 0:
        pytest.skip("network namespaces: needs root")
    if shutil.which("ip") is None:
        pytest.skip("network namespaces: needs the program `ip` (Debian: iproute2)")
    try:
        return virtual_ip.root()
    except ToolchainError as error:
        pytest.skip(f"keepalived and haproxy cannot be had: {error}")


def _make(stack: ExitStack, root: Any, planned: VirtualIpPlan, servers: tuple[str, ...]) -> Lab:
    try:
        made = stack.enter_context(Lab(planned, root, servers))
        made.nodes[0].nft("list", "tables")
        return made
    except LabError as error:
        pytest.skip(f"this kernel gives no lab: {error}")


@pytest.fixture
def lab_of(root: Any) -> Iterator[Callable[..., Lab]]:
    """Makes a lab of a plan and removes it at the end of the test."""
    with ExitStack() as stack:

        def make(planned: VirtualIpPlan, servers: tuple[str, ...] = ("192.168.1.253:8000",)) -> Lab:
            return _make(stack, root, planned, servers)

        yield make


@pytest.fixture(scope="module")
def steady(root: Any) -> Iterator[Lab]:
    """A lab with three nodes, up, for all cases that leave it as it was."""
    with ExitStack() as stack:
        made = _make(stack, root, plan(), ("192.168.1.253:8000",))
        made.settle()
        yield made


@pytest.fixture
def lab(lab_of: Callable[..., Lab]) -> Lab:
    """A lab with three nodes, up."""
    made = lab_of(plan())
    made.settle()
    return made
