"""The supervisor keeps services running and ends with them, not with pods."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain import paths
from toolchain.cluster import layout, processes, supervisor
from toolchain.cluster.supervisor import Service

if not sys.platform.startswith("linux"):
    pytest.skip("needs Linux's process descriptors", allow_module_level=True)

_FILES = ("SUPERVISOR_LOCK", "SUPERVISOR_STATE", "SERVICES", "SERVICE_LOGS")
# The supervisor's loop in a process of its own, without the control group and mount namespace that need root.
_LOOP = """
import sys
from pathlib import Path
from toolchain.cluster import layout, supervisor
for name in {names!r}:
    setattr(layout, name, Path(sys.argv[1]) / name.lower())
running = supervisor.Supervisor()
running.load()
running.run()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in _FILES:
        monkeypatch.setattr(layout, name, tmp_path / name.lower())
    return tmp_path


@pytest.fixture
def loop(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    supervisor.write_services([_sleeper("one"), _sleeper("two")], "/test")
    code = _LOOP.format(names=_FILES)
    child = subprocess.Popen([sys.executable, "-c", code, str(place)], env={"PYTHONPATH": str(paths.ROOT)})
    try:
        assert processes.wait_until(lambda: len(supervisor.recorded().services) == 2, 20)
        yield child
    finally:
        child.kill()
        child.wait()


def _sleeper(name: str, generation: str = "") -> Service:
    argv = (sys.executable, "-c", "import time; time.sleep(600)")
    return Service(name, argv, generation=generation)


def _kill(name: str) -> processes.Process:
    process = supervisor.recorded().services[name]
    processes.send(process, signal.SIGKILL)
    return process


def test_a_killed_service_is_started_again(loop: subprocess.Popen[bytes]) -> None:
    killed = _kill("one")

    def replaced() -> bool:
        now = supervisor.recorded().services.get("one")
        return now is not None and now != killed

    assert processes.wait_until(replaced, 20)


def test_a_changed_service_is_restarted_and_a_removed_one_ended(loop: subprocess.Popen[bytes]) -> None:
    before = supervisor.recorded().services
    supervisor.write_services([_sleeper("one", generation="new")], "/test")
    loop.send_signal(signal.SIGHUP)

    def as_wanted() -> bool:
        now = supervisor.recorded().services
        return set(now) == {"one"} and now["one"] != before["one"]

    assert processes.wait_until(as_wanted, 20)
    assert not processes.alive(before["two"])


def test_services_end_with_a_killed_supervisor(loop: subprocess.Popen[bytes]) -> None:
    services = supervisor.recorded().services.values()
    loop.kill()
    loop.wait()
    assert processes.wait_until(lambda: not any(map(processes.alive, services)), 20)
    assert supervisor.recorded().supervisor is None


def test_a_service_waits_for_what_it_requires(place: Path) -> None:
    service = Service("late", ("/bin/true",), requires=(str(place / "absent"),))
    assert not supervisor._Running(service).start_if_due()


def test_a_process_number_given_to_another_process_is_not_the_recorded_one() -> None:
    own = processes.identify(os.getpid())
    assert own is not None
    assert processes.alive(own)
    assert not processes.alive(processes.Process(own.pid, own.start - 1))


def test_a_large_log_is_set_aside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_LOG_BYTES", 10)
    log = place / "a.log"
    log.write_text("x" * 20)
    supervisor.open_log(log).close()
    assert (place / "a.log.1").read_text() == "x" * 20
    assert log.read_text() == ""
