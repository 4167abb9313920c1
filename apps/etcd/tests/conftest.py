"""Fixtures of the etcd tools' tests."""

import sys
from pathlib import Path

import pytest

if str(Path(__file__).resolve().parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).resolve().parent))

from fake_etcd import FakeCluster, FakeEtcd, FakeMember


@pytest.fixture
def etcd() -> FakeEtcd:
    """Three healthy members, the first one leads."""
    return FakeEtcd([FakeMember(1, "etcd-0"), FakeMember(2, "etcd-1"), FakeMember(3, "etcd-2")])


@pytest.fixture
def cluster(etcd: FakeEtcd) -> FakeCluster:
    return FakeCluster(etcd)


@pytest.fixture
def told() -> list[str]:
    """What was reported."""
    return []
