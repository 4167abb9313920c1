"""Keeps containerd and kubelet running on hosts without (and with) systemd.

`main` reads services.json, moves into the cluster's control group and mount namespace, starts the services,
starts again what ends, and does so until SIGTERM. SIGHUP has it read services.json again: services whose
definition changed are restarted, removed ones are stopped.

Services end with the supervisor; pods do not. A supervisor that starts after another one was killed takes
over the mount namespace that the pods keep alive.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from toolchain.cluster import cgroups, layout, linux, mountns, processes
from toolchain.cluster.processes import Process

# A service that ran this long starts again at once; one that keeps ending waits longer each time.
_STABLE_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 10.0
_STOP_SECONDS = 15.0
_LOG_BYTES = 16 << 20


@dataclass(frozen=True)
class Service:
    """A program to keep running, in the order of services.json."""

    name: str
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    # Paths that must exist before it starts.
    requires: tuple[str, ...] = ()
    # Anything whose change calls for a restart, such as the digest of a configuration file.
    generation: str = ""

    @staticmethod
    def parse(data: dict[str, Any]) -> Service:
        """The service that `dataclasses.asdict` made `data` from."""
        return Service(
            name=data["name"],
            argv=tuple(data["argv"]),
            environment=tuple((key, value) for key, value in data["environment"]),
            requires=tuple(data["requires"]),
            generation=data["generation"],
        )


def write_services(services: list[Service], cgroup: str) -> None:
    """Write services.json; a running supervisor acts on it at the next SIGHUP."""
    content = {"cgroup": cgroup, "services": [dataclasses.asdict(service) for service in services]}
    temporary = layout.SERVICES.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(temporary, layout.SERVICES)


def open_log(path: Path) -> TextIO:
    """A log to append to; a large one is set aside first, and the one set aside before is dropped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        os.replace(path, path.with_suffix(".log.1"))
    return path.open("a")


class _Running:
    """A service and its process, if it has one now."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.process: Process | None = None
        self.started = 0.0
        self.not_before = 0.0
        self.pause = 0.5

    def start_if_due(self) -> bool:
        """Start the service when it does not run, is due, and what it requires is there.

        Whether it was started.
        """
        if self.process or time.monotonic() < self.not_before:
            return False
        if not all(Path(path).exists() for path in self.service.requires):
            return False
        own = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_service(own)
        self.process = processes.identify(pid)
        self.started = time.monotonic()
        return True

    def _become_service(self, parent: int) -> None:
        try:
            linux.die_with_parent(signal.SIGTERM, parent)
            os.setsid()
            log = open_log(layout.SERVICE_LOGS / f"{self.service.name}.log")
            null = os.open(os.devnull, os.O_RDONLY)
            for target, source in ((0, null), (1, log.fileno()), (2, log.fileno())):
                os.dup2(source, target)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execve(self.service.argv[0], list(self.service.argv), dict(self.service.environment))
        except OSError as error:
            print(f"{self.service.name}: cannot start {self.service.argv[0]}: {error}", file=sys.stderr)
        os._exit(127)

    def ended(self) -> None:
        """Note that the process is gone, and when to start the next."""
        ran = time.monotonic() - self.started
        self.process = None
        self.pause = 0.5 if ran > _STABLE_SECONDS else min(self.pause * 2, _LONGEST_PAUSE_SECONDS)
        self.not_before = time.monotonic() + (0 if ran > _STABLE_SECONDS else self.pause)

    def stop(self) -> None:
        """End the process, politely at first."""
        if not self.process:
            return
        processes.send(self.process, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while os.waitpid(self.process.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                processes.send(self.process, signal.SIGKILL)
            time.sleep(0.05)
        self.process = None


class Supervisor:
    """The loop around the services."""

    def __init__(self) -> None:
        self.services: list[_Running] = []

    def load(self) -> str:
        """Take over services.json; returns the control group's path."""
        content = json.loads(layout.SERVICES.read_text())
        wanted = [Service.parse(item) for item in content["services"]]
        kept = {running.service: running for running in self.services}
        for running in reversed(self.services):
            if running.service not in wanted:
                _say(f"stopping {running.service.name}")
                running.stop()
        self.services = [kept.get(service) or _Running(service) for service in wanted]
        return str(content["cgroup"])

    def record(self) -> None:
        """Write who runs, for `up` and for the next supervisor."""
        own = processes.identify(os.getpid())
        content = {
            "supervisor": own,
            "mount_namespace": processes.namespace(os.getpid(), "mnt"),
            "services": {r.service.name: r.process for r in self.services if r.process},
        }
        temporary = layout.SUPERVISOR_STATE.with_suffix(".tmp")
        temporary.write_text(json.dumps(content) + "\n")
        os.replace(temporary, layout.SUPERVISOR_STATE)

    def reap(self) -> bool:
        """Collect ended children; whether there were any."""
        any_ended = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return any_ended
            if pid == 0:
                return any_ended
            any_ended = True
            for running in self.services:
                if running.process and running.process.pid == pid:
                    _say(f"{running.service.name} ({pid}) ended: {_describe(status)}")
                    running.ended()

    def run(self) -> None:
        """Until SIGTERM."""
        watched = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
        # A handler must exist for SIGCHLD, whose default is to be dropped, to be seen by sigtimedwait.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        self.record()
        while True:
            started = [running.service for running in self.services if running.start_if_due()]
            if started:
                self.record()
            received = signal.sigtimedwait(watched, 0.3)
            if received and received.si_signo in (signal.SIGTERM, signal.SIGINT):
                break
            if received and received.si_signo == signal.SIGHUP:
                self.load()
                self.record()
            if self.reap():
                self.record()
        for running in reversed(self.services):
            running.stop()
        _say("stopped")


def _describe(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.WEXITSTATUS(status)}"


def _say(message: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {message}", flush=True)


@dataclass(frozen=True)
class Recorded:
    """Contents of supervisor.json that still hold: processes that have ended are left out."""

    supervisor: Process | None
    mount_namespace: str
    services: dict[str, Process]


def recorded() -> Recorded:
    """Who runs now, from supervisor.json."""
    try:
        content = json.loads(layout.SUPERVISOR_STATE.read_text())
        supervisor = Process(*content["supervisor"])
        services = {name: Process(*value) for name, value in content["services"].items()}
    except (OSError, ValueError, TypeError, KeyError):
        return Recorded(None, "", {})
    return Recorded(
        supervisor if processes.alive(supervisor) else None,
        content["mount_namespace"],
        {name: process for name, process in services.items() if processes.alive(process)},
    )


def main() -> int:
    """Become the supervisor; 0 after SIGTERM, 3 when another one runs."""
    lock = layout.SUPERVISOR_LOCK.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("another supervisor runs")
        return 3
    before = recorded()
    # The kernel tells services to end when their supervisor does; one that hangs must not hold ports and
    # sockets.
    processes.end(before.services.values(), _STOP_SECONDS)
    # Containers inherit the limit on open files; shells often set a low one.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    supervisor = Supervisor()
    tree = cgroups.Tree(supervisor.load(), tuple(cgroups.hierarchies()))
    tree.create()
    tree.add(os.getpid())
    mountns.enter_or_create(tree.pids(), before.mount_namespace)
    _say(f"started, mount namespace {processes.namespace(os.getpid(), 'mnt')}")
    supervisor.run()
    return 0
