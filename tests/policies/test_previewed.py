"""An update is let through after its own engine's preview alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import analyzer_pb2

from policies import previewed, server
from policies.catalogue import RULES, STACK_RULES
from policies.previewed import CannotTell, Previews, Process, Record
from policies.resource import Resource
from tests.policies.examples import GOOD, edited
from toolchain import paths

ENGINE = previewed._from_proc(os.getpid()) or Process(os.getpid(), 1, "pulumi", "then")
OTHER = ENGINE._replace(pid=os.getppid())
RECORD = Record("organization/autoglm-platform/prod", "levels")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "previews"


def test_a_record_is_taken_once_by_its_own_engine(place: Path) -> None:
    Previews(place, ENGINE).passed(RECORD)
    assert "no preview has passed" in str(Previews(place, OTHER).take(RECORD))
    assert Previews(place, ENGINE).take(RECORD) is None
    assert "no preview has passed" in str(Previews(place, ENGINE).take(RECORD))


@pytest.mark.parametrize(
    ("now", "problem"),
    [
        (RECORD._replace(stack="organization/autoglm-platform/staging"), "another stack"),
        (RECORD._replace(levels="edited"), "levels of the rules have changed"),
    ],
)
def test_what_was_previewed_has_to_be_what_is_made(place: Path, now: Record, problem: str) -> None:
    Previews(place, ENGINE).passed(RECORD)
    assert problem in str(Previews(place, ENGINE).take(now))


def test_a_process_that_got_the_number_of_the_engine_is_another(place: Path) -> None:
    Previews(place, ENGINE).passed(RECORD)
    assert Previews(place, ENGINE._replace(started="later")).take(RECORD) is not None


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_reach_is_not_believed(place: Path, mode: int) -> None:
    Previews(place, ENGINE).passed(RECORD)
    place.chmod(mode)
    assert f"{place} is not a folder of this user's alone; remove it" in str(
        Previews(place, ENGINE).take(RECORD)
    )


def test_a_link_in_place_of_the_folder_is_not_believed(place: Path, tmp_path: Path) -> None:
    Previews(place, ENGINE).passed(RECORD)
    link = tmp_path / "link"
    link.symlink_to(place)
    assert "is not a folder" in str(Previews(link, ENGINE).take(RECORD))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"stack": 1}', "\x00"])
def test_a_record_that_cannot_be_read_is_none(place: Path, text: str) -> None:
    Previews(place, ENGINE).passed(RECORD)
    (file,) = place.iterdir()
    file.write_text(text)
    assert Previews(place, ENGINE).take(RECORD) is not None


def test_a_preview_is_not_stopped_where_nothing_can_be_recorded(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    Previews(tmp_path / "file", ENGINE).passed(RECORD)
    assert "cannot be told" in str(Previews(tmp_path / "file", ENGINE).take(RECORD))


def test_records_of_engines_that_have_ended_are_removed(place: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])
    running = previewed.process(child.pid)
    assert running is not None
    Previews(place, running).passed(RECORD)
    Previews(place, ENGINE).passed(RECORD)
    assert len(list(place.iterdir())) == 2
    child.kill()
    child.wait()
    Previews(place, ENGINE).passed(RECORD)
    (left,) = place.iterdir()
    assert left.name.startswith(f"{ENGINE.pid}-")


def test_records_are_the_users_own(place: Path) -> None:
    Previews(place, ENGINE).passed(RECORD)
    (file,) = place.iterdir()
    assert place.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600


def test_records_lie_in_the_users_runtime_directory(tmp_path: Path) -> None:
    name = "autoglm-platform-previews"
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": "/var/tmp"}
    assert previewed.folder(runtime) == tmp_path / name
    runtime["XDG_RUNTIME_DIR"] = str(tmp_path / "missing")
    assert previewed.folder(runtime) == Path(f"/var/tmp/{name}-{os.getuid()}")
    assert previewed.folder({}) == Path(f"/tmp/{name}-{os.getuid()}")


# Processes

HOST = "pulumi-language-python"


def _started_by(folder: Path, name: str, *, host: bool) -> tuple[int, str]:
    """The number of a process that is the engine, and whom the pack below it takes for the engine."""
    shell = shutil.which("bash")
    assert shell
    for one in (name, HOST):
        (folder / one).symlink_to(shell)
    (folder / "pack.py").write_text(
        f"import sys; sys.path.insert(0, {str(paths.ROOT)!r})\n"
        "from policies import previewed; one = previewed.engine(); print(one.pid, one.name)\n"
    )
    # Never a script's last command, which a shell would turn into.
    pack = f'"{sys.executable}" "{folder / "pack.py"}"\n:\n'
    (folder / "host").write_text(pack)
    (folder / "program").write_text(f'"{folder / HOST}" "{folder / "host"}"\n:\n' if host else pack)
    running = subprocess.Popen(
        [folder / name, folder / "program"], stdout=subprocess.PIPE, text=True, cwd=folder
    )
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    return running.pid, output.strip()


@pytest.mark.parametrize("host", [False, True], ids=["program", "folder"])
@pytest.mark.parametrize("name", ["pulumi", ".pulumi-wrapped"])
def test_the_engine_is_found_with_and_without_a_language_host(tmp_path: Path, name: str, host: bool) -> None:
    pid, found = _started_by(tmp_path, name, host=host)
    assert found == f"{pid} {name}"


@pytest.mark.skipif(shutil.which("ps") is None, reason="ps is not installed")
def test_where_there_is_no_proc_ps_tells_the_same() -> None:
    pid = os.getpid()
    by_ps, found = previewed._from_ps(pid), previewed.process(pid)
    assert by_ps is not None
    assert found is not None
    assert (by_ps.pid, by_ps.parent) == (found.pid, found.parent)
    assert by_ps == previewed._from_ps(pid)
    child = subprocess.Popen(["sleep", "60"])
    try:
        started = previewed._from_ps(child.pid)
        assert started is not None
        assert (started.parent, started.name) == (pid, "sleep")
        assert "/" not in started.started
    finally:
        child.kill()
        child.wait()
    assert previewed._from_ps(child.pid) is None
    assert previewed.process(child.pid) is None


def test_an_engine_that_is_not_to_be_seen_makes_nothing(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr(previewed, "process", lambda pid: None)
    with pytest.raises(CannotTell):
        previewed.engine()
    Previews(place).passed(RECORD)
    assert "the engine's process is not to be seen" in str(Previews(place).take(RECORD))


# The pack

GOOD_SERVICE = GOOD["service"]
BAD_SERVICE = edited(GOOD_SERVICE, {"spec type": "NodePort"})


class Run:
    """A process of the pack that an engine has started for a preview or an update."""

    def __init__(
        self, place: Path, *, preview: bool, levels: Mapping[str, Any] | None = None, stack: str = "prod"
    ) -> None:
        self.pack = server.Pack(RULES, STACK_RULES, previews=Previews(place, ENGINE))
        request = analyzer_pb2.AnalyzerStackConfigureRequest(
            organization="organization", project="autoglm-platform", stack=stack, dry_run=preview
        )
        server.Analyzer(self.pack).ConfigureStack(request, None)  # type: ignore[arg-type]
        self.pack.configure(levels or {})

    def judge(self, *resources: tuple[str, dict[str, Any]]) -> list[tuple[str, str]]:
        """Rules that refuse or remark, in the order of the resources; then the stack as a whole."""
        found = [
            one
            for number, (token, inputs) in enumerate(resources)
            for one in self.pack.judge(Resource(token, inputs, f"urn:x::{token}::{number}"))
        ]
        found += self.pack.judge_stack([])
        return [(one.rule, one.level) for one in found]


def test_an_update_after_its_preview_is_judged_by_the_other_rules_alone(place: Path) -> None:
    assert Run(place, preview=True).judge(GOOD_SERVICE) == []
    assert Run(place, preview=False).judge(BAD_SERVICE) == [("service-node-port", "mandatory")]


def test_every_resource_of_an_update_without_preview_is_refused(place: Path) -> None:
    found = Run(place, preview=False).judge(GOOD_SERVICE, GOOD_SERVICE)
    assert found == [("update-previewed", "mandatory")] * 2


def test_a_preview_that_was_refused_counts_as_none(place: Path) -> None:
    assert Run(place, preview=True).judge(BAD_SERVICE) == [("service-node-port", "mandatory")]
    assert Run(place, preview=False).judge(GOOD_SERVICE) == [("update-previewed", "mandatory")]


def test_a_preview_that_was_not_judged_to_the_end_counts_as_none(place: Path) -> None:
    Run(place, preview=True).pack.judge(Resource(*GOOD_SERVICE))
    assert Run(place, preview=False).judge(GOOD_SERVICE) == [("update-previewed", "mandatory")]


def test_a_preview_by_other_levels_or_of_another_stack_counts_as_none(place: Path) -> None:
    lenient = {"workload-replicas": {"maximum": 4}}
    Run(place, preview=True, levels=lenient).judge(GOOD_SERVICE)
    assert Run(place, preview=False).judge(GOOD_SERVICE) == [("update-previewed", "mandatory")]
    Run(place, preview=True, stack="staging").judge(GOOD_SERVICE)
    assert Run(place, preview=False).judge(GOOD_SERVICE) == [("update-previewed", "mandatory")]


@pytest.mark.parametrize(
    ("level", "told"), [("advisory", [("update-previewed", "advisory")]), ("disabled", [])]
)
def test_a_stack_can_do_without_for_a_reason(place: Path, level: str, told: list[tuple[str, str]]) -> None:
    lowered = {"enforcementLevel": level, "reason": "updates come from the Automation API"}
    run = Run(place, preview=False, levels={"update-previewed": lowered})
    assert run.judge(GOOD_SERVICE, GOOD_SERVICE) == told


def test_without_levels_an_update_is_refused(place: Path) -> None:
    Run(place, preview=True).judge(GOOD_SERVICE)
    pack = server.Pack(RULES, STACK_RULES, previews=Previews(place, ENGINE))
    pack.runs("organization/autoglm-platform/prod", preview=False)
    (found,) = pack.judge(Resource(*GOOD_SERVICE))
    assert found.rule == "update-previewed"


def test_recorded_state_needs_no_preview(place: Path) -> None:
    # So `pulumi policy analyze` configures the pack, by way of a language host.
    assert Run(place, preview=False, stack="").judge(GOOD_SERVICE) == []
    assert not place.exists()


@pytest.mark.parametrize(("dry_run", "refused"), [("true", False), ("false", True)])
def test_a_language_host_can_tell_in_the_environment(place: Path, dry_run: str, refused: bool) -> None:
    pack = server.Pack(RULES, STACK_RULES, previews=Previews(place, ENGINE))
    server._hear(pack, {"PULUMI_STACK": "prod", "PULUMI_PROJECT": "x", "PULUMI_DRY_RUN": dry_run})
    pack.configure({})
    assert bool(pack.judge(Resource(*GOOD_SERVICE))) == refused
    assert pack.preview == (dry_run == "true")
