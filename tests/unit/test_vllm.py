"""Typed flags become vLLM's command line; what the pinned version does not accept is refused beforehand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model_server.vllm import (
    VllmFlags,
    catalogue_from,
    flag_problems,
    load_catalogue,
    render_arguments,
    supported_versions,
)
from tests.unit.examples import CATALOGUE


def flags(**values: Any) -> VllmFlags:
    return VllmFlags.model_validate({"maxModelLen": 1000, **values})


def problems(**values: Any) -> list[tuple[str, str]]:
    return [(problem.key, problem.message) for problem in flag_problems(flags(**values), CATALOGUE)]


def arguments(**values: Any) -> list[str]:
    return render_arguments(
        flags(**values), CATALOGUE, model_path="/models/phone", served_model_name="phone", drain_seconds=45
    )


def test_model_and_platform_flags_come_first() -> None:
    assert arguments()[:5] == [
        "serve",
        "/models/phone",
        "--served-model-name=phone",
        "--port=8000",
        "--shutdown-timeout=45",
    ]


def test_a_version_without_shutdown_timeout_does_not_get_it() -> None:
    older = catalogue_from({"version": "0.12.0", "flags": {"--max-model-len": {"type": "int"}}})
    rendered = render_arguments(flags(), older, model_path="/m", served_model_name="m", drain_seconds=1)
    assert not any("shutdown" in argument for argument in rendered)


@pytest.mark.parametrize(
    ("values", "rendered"),
    [
        ({"limitMmPerPrompt": {"image": 10}}, '--limit-mm-per-prompt={"image":10}'),
        ({"mmProcessorKwargs": {"max_pixels": 5000000}}, '--mm-processor-kwargs={"max_pixels":5000000}'),
        ({"enforceEager": True}, "--enforce-eager"),
        ({"enforceEager": False}, "--no-enforce-eager"),
        ({"mmProcessorCacheGb": 1}, "--mm-processor-cache-gb=1"),
        ({"mmProcessorCacheGb": 0.5}, "--mm-processor-cache-gb=0.5"),
        ({"dtype": "bfloat16"}, "--dtype=bfloat16"),
        ({"extra": {"max-log-len": 10}}, "--max-log-len=10"),
        ({"extra": {"max_log_len": 10}}, "--max-log-len=10"),
    ],
)
def test_rendering(values: dict[str, Any], rendered: str) -> None:
    assert problems(**values) == []
    assert arguments(**values)[-1] == rendered


def test_lists_become_several_arguments() -> None:
    assert arguments(extra={"middleware": ["a", "b"]})[-3:] == ["--middleware", "a", "b"]


def test_what_is_not_set_is_not_passed() -> None:
    assert arguments() == [*arguments()[:5], "--max-model-len=1000"]


def test_an_unknown_flag_names_the_closest_one() -> None:
    assert problems(extra={"max-log-length": 1}) == [
        ("extra.max-log-length", "vLLM 0.32.0 has no flag --max-log-length; did you mean --max-log-len?")
    ]


def test_a_typed_flag_that_the_version_lacks_is_refused() -> None:
    (problem,) = problems(seed=1)
    assert problem[0] == "seed"
    assert "has no flag --seed" in problem[1]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"allowed-local-media-path": "/"}, "lets a request read files of the server"),
        ({"--api-key": "x"}, "is a secret"),
        ({"port": 80}, "set from the Service"),
        ({"dtype": "bfloat16"}, "set flags.dtype instead"),
        ({"-tp": 2}, "tp"),
        ({"max-log-len": "ten"}, "needs a number"),
        ({"max-log-len": 1.5}, "needs a whole number"),
        ({"max-log-len": True}, "needs a number"),
        ({"middleware": {"a": 1}}, "needs a single value"),
    ],
)
def test_what_is_refused_says_why(extra: dict[str, Any], message: str) -> None:
    assert any(message in problem for _, problem in problems(extra=extra))


@given(
    st.text(max_size=20),
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
    ),
)
def test_any_extra_flag_is_judged(name: str, value: Any) -> None:
    for key, message in problems(extra={name: value}):
        assert key.startswith("extra.")
        assert message


def test_versions_without_catalogue_are_not_guessed() -> None:
    assert load_catalogue("0.0.1") is None


@pytest.mark.skipif(not supported_versions(), reason="no catalogue of vLLM's flags is committed")
@pytest.mark.parametrize("version", supported_versions())
def test_the_committed_catalogues_know_autoglms_flags(version: str) -> None:
    catalogue = load_catalogue(f"{version}.0")
    assert catalogue is not None
    profile = VllmFlags.model_validate(
        {
            "mmEncoderTpMode": "data",
            "mmProcessorCacheType": "shm",
            "mmProcessorKwargs": {"max_pixels": 5000000},
            "maxModelLen": 25480,
            "chatTemplateContentFormat": "string",
            "limitMmPerPrompt": {"image": 10},
            "dtype": "bfloat16",
            "enforceEager": True,
            "mmProcessorCacheGb": 1,
            "gpuMemoryUtilization": 0.9,
            "tensorParallelSize": 1,
            "maxNumSeqs": 16,
            "maxNumBatchedTokens": 8192,
            "kvCacheDtype": "auto",
            "enablePrefixCaching": True,
            "seed": 0,
        }
    )
    assert flag_problems(profile, catalogue) == []
