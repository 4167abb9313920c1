"""Clusters for the fault tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.etcd.clusters import Binaries, EtcdUnderTest, requirements
from toolchain import golang

Factory = Callable[..., EtcdUnderTest]


@pytest.fixture(scope="session", autouse=True)
def _possible() -> None:
    reason = requirements()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def binaries(_possible: None) -> Binaries:
    return Binaries(**golang.ensure_binaries("etcd", "etcdctl", "etcdutl", link=False))


@pytest.fixture(scope="module")
def shared_cluster(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdUnderTest]:
    """Three members for the faults that heal."""
    cluster = EtcdUnderTest(tmp_path_factory.mktemp("etcd"), binaries)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def cluster(shared_cluster: EtcdUnderTest) -> Iterator[EtcdUnderTest]:
    """The shared cluster, whole and healthy before and after."""
    shared_cluster.heal()
    yield shared_cluster
    shared_cluster.heal()


@pytest.fixture
def fresh_cluster(binaries: Binaries, tmp_path: Path) -> Iterator[Factory]:
    """Makes clusters of the test's own; not started."""
    made: list[EtcdUnderTest] = []

    def make(changes: Mapping[str, Any] | None = None) -> EtcdUnderTest:
        made.append(EtcdUnderTest(tmp_path / f"etcd-{len(made)}", binaries, changes))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()
