"""Order of all tests: quick ones first, then those on the shared deployment, `make down` last of all."""

from __future__ import annotations

from pathlib import Path

import pytest

_END_TO_END = (
    # On the deployment as it is.
    "test_serving.py",
    "test_convergence.py",
    "test_network.py",
    "test_connectivity.py",
    "test_etcd.py",
    "test_settings_refused.py",
    "test_policies_refuse.py",
    "test_secrets.py",
    "test_virtual_ip.py",
    # Beside it, on nodes of its own.
    "test_simulated_prod.py",
    # These change it and put it right again.
    "test_monitoring.py",
    "test_audit.py",
    "test_drift.py",
    "test_weights.py",
    "test_process_failures.py",
    "test_teardown.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--keep-cluster",
        action="store_true",
        help="leave stack dev and the embedded cluster running at the end",
    )


def _position(item: pytest.Item) -> tuple[int, int]:
    path = Path(item.path)
    if path.parent.name != "e2e":
        return (1 if item.get_closest_marker("e2e") else 0), 0
    # A file that nobody placed comes before those that disturb the deployment.
    known = {name: position for position, name in enumerate(_END_TO_END)}
    return 2, known.get(path.name, known["test_drift.py"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_position)
