"""One deployment for all end-to-end tests: what `make up` brings up on this machine."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.harness import kube
from tests.harness.api import Client
from tests.harness.commands import make
from tests.harness.engine import Engine
from tests.harness.published import MODEL
from toolchain import cluster
from toolchain.cluster import host_state
from toolchain.errors import ToolchainError

FIRST_UP_SECONDS = 3600
"""Longest that a first `make up` is waited for; on two idle cores it takes a third of that."""


@dataclass(frozen=True)
class Deployment:
    """What `make up` left."""

    output: str
    """What it printed."""
    was_up: bool
    """The cluster ran before the tests, so they leave it running."""
    host_before: dict[str, list[str]]
    """The host before, as `host_state` sees it."""

    @property
    def endpoint(self) -> str:
        """Base URL of the API, as printed."""
        found = re.search(r"^\s*endpoint\s+(http://\S+)$", self.output, re.MULTILINE)
        assert found, f"`make up` printed no endpoint:\n{self.output}"
        return found.group(1)

    @property
    def curl(self) -> str:
        """The printed `curl` line."""
        found = re.search(r"^\s*(curl .*)$", self.output, re.MULTILINE)
        assert found, f"`make up` printed no curl line:\n{self.output}"
        return found.group(1)


def _missing() -> str | None:
    """Why this machine cannot run the embedded cluster."""
    if not sys.platform.startswith("linux"):
        return "the embedded cluster needs Linux"
    if os.geteuid() != 0:
        return "the embedded cluster needs root"
    try:
        cluster.preflight()
    except ToolchainError as error:
        return " ".join(str(error).split())
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if item.path.parent.name == "e2e"]
    for item in here:
        item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """Stack dev on the embedded cluster."""
    if missing := _missing():
        pytest.skip(missing)
    before = host_state.capture()
    was_up = cluster.status().running
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with ExitStack() as stack:
        if capture is not None:
            # A quarter of an hour without a word looks like a hang.
            stack.enter_context(capture.global_and_fixture_disabled())
            print()
        result = make("up", timeout=FIRST_UP_SECONDS, echo=True)
    if result.status != 0:
        pytest.fail(f"`make up` failed with status {result.status}; its output is above", pytrace=False)
    return Deployment(result.output, was_up, before)


@pytest.fixture(scope="session")
def engine(deployment: Deployment) -> Engine:
    """The engine on the deployed stack."""
    return Engine()


@pytest.fixture(scope="session")
def api(deployment: Deployment) -> Client:
    """A client of the deployed model."""
    return Client(deployment.endpoint, MODEL)


@pytest.fixture(scope="session")
def namespace(engine: Engine) -> str:
    """Namespace of the platform."""
    return engine.run("stack", "output", "namespace").succeeded().stdout.strip()


@pytest.fixture
def untouched(engine: Engine, namespace: str) -> Iterator[None]:
    """Asserts that the test has changed neither the state nor the cluster."""
    state, objects = engine.recorded(), kube.objects(namespace)
    yield
    assert engine.recorded() == state, "the stack's state has changed"
    assert kube.objects(namespace) == objects, "objects in the cluster have changed"
