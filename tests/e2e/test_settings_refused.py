"""A bad settings file ends `pulumi up` before any resource is registered, naming file, key, value and fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.engine import Engine, Settings, registered, write_settings

FILE = "Pulumi.dev.yaml"


def _unknown_key(settings: Settings) -> None:
    settings["models"][0]["replica"] = 2


def _unknown_section(settings: Settings) -> None:
    settings["tennant"] = settings["tenant"]


def _wrong_unit(settings: Settings) -> None:
    settings["models"][0]["resources"]["memory"] = "6GB"


def _model_too_large(settings: Settings) -> None:
    settings["models"][0]["weights"]["size"] = "20Gi"


def _bad_digest(settings: Settings) -> None:
    settings["models"][0]["sha256Sums"] = f"{'a' * 63}  config.json\n"


def _unknown_flag(settings: Settings) -> None:
    settings["models"][0]["engine"]["flags"]["maxModelLenght"] = 4096


def _credential(settings: Settings) -> None:
    settings["models"][0]["source"]["path"] = "hf_" + "Canary0123456789abcdefghij"


CASES: dict[str, tuple[Callable[[Settings], None], list[str]]] = {
    "F53 unknown key": (_unknown_key, ["models[0].replica", "unknown key", "replicas"]),
    "F53 unknown section": (_unknown_section, ["tennant", "tenant"]),
    "wrong unit": (_wrong_unit, ["models[0].resources.memory", "6GB", "6Gi"]),
    "F49 model larger than its memory": (_model_too_large, ["models[0].resources.memory", "6Gi"]),
    "F50 checksum not 64 hex digits": (_bad_digest, ["models[0].sha256Sums", "64"]),
    "flag that the engine lacks": (_unknown_flag, ["models[0].engine.flags.maxModelLenght", "maxModelLen"]),
    "F54 secret as plain config": (_credential, ["models[0].source.path", "Secret"]),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("case", CASES)
def test_refused_before_any_resource_call(case: str, engine: Engine, tmp_path: Path) -> None:
    change, said = CASES[case]
    event_log = tmp_path / "events.json"
    result = engine.up(
        "--event-log",
        str(event_log),
        config_file=write_settings(tmp_path, change),
        PULUMI_DEBUG_COMMANDS="true",
    ).failed()
    lines = [line for line in result.output.splitlines() if f"{FILE}: {said[0]}: " in line]
    assert lines, f"{result}"
    for fragment in said[1:]:
        assert fragment in " ".join(lines), f"{result}"
    assert "hf_Canary" not in result.output
    assert "Traceback" not in result.output
    assert set(registered(event_log)) <= {"pulumi:pulumi:Stack"}
