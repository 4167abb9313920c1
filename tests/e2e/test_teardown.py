"""`make down` leaves the host as it was before `make up`."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Deployment
from tests.harness.commands import make
from toolchain.cluster import host_state


def test_host_is_as_before_make_up(deployment: Deployment, request: pytest.FixtureRequest) -> None:
    if deployment.was_up:
        pytest.skip(
            "the cluster ran before the tests: it stays up, and there is no earlier state to compare with"
        )
    if request.config.getoption("--keep-cluster"):
        pytest.skip("--keep-cluster")
    make("down", timeout=600).succeeded()
    assert host_state.difference(deployment.host_before, host_state.capture()) == {}


def test_make_down_a_second_time_finds_nothing_to_do(
    deployment: Deployment, request: pytest.FixtureRequest
) -> None:
    if deployment.was_up or request.config.getoption("--keep-cluster"):
        pytest.skip("the cluster stays up")
    make("down", timeout=120).succeeded()
