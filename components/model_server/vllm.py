"""vLLM's command line: typed flags, checked against the catalogue of what the pinned version accepts.

The catalogues in `flags/` are generated from vLLM's own argument parser, one for each minor version.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue

from components.common.schema import FrozenModel, NonNegativeInt, PositiveInt

CERTIFICATE_MOUNT: Final = "/tls"
"""Where the server's certificate and key are mounted, under the names of a kubernetes.io/tls Secret."""
PORT: Final = 8000
CATALOGUES: Final = Path(__file__).parent / "flags"
DEFAULT_PROCESSOR_CACHE_GIB: Final = 4.0
"""vLLM's default of --mm-processor-cache-gb (vllm/config/multimodal.py, 0.12 to 0.32)."""

# Flags that the platform sets itself, and where their value comes from.
_MANAGED: Final = {
    "--host": "the container's address",
    "--port": "the Service",
    "--model": "the verified weights",
    "--served-model-name": "servedModelName",
    "--shutdown-timeout": "timing.drainSeconds",
    "--ssl-certfile": "entry.tls",
    "--ssl-keyfile": "entry.tls",
    "--enable-ssl-refresh": "entry.tls",
}
_REFUSED: Final = {
    "--allowed-local-media-path": "lets a request read files of the server; clients send pictures as base64",
    "--allowed-media-domains": "lets a request make the server fetch URLs; clients send base64",
    "--trust-remote-code": "runs code that comes with the weights",
    "--api-key": "is a secret and would be readable in the pod; clients are admitted by network and gateway",
    "--hf-token": "is a secret and would be readable in the pod; weights are fetched by the store's Job",
    "--download-dir": "would fetch weights that nobody has verified",
}


class VllmFlags(FrozenModel):
    """Flags of `vllm serve`. What is left out keeps vLLM's default."""

    max_model_len: PositiveInt
    """Longest sequence, prompt and answer together, in tokens. Required: the memory plan depends on it."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] | None = None
    """Type that weights and activations are computed in."""
    chat_template_content_format: Literal["auto", "string", "openai"] | None = None
    """How the chat template gets a message's content."""
    limit_mm_per_prompt: dict[str, PositiveInt] | None = None
    """Most items of each modality in one prompt, e.g. `{image: 10}`."""
    mm_encoder_tp_mode: Literal["weights", "data"] | None = None
    """Whether the vision encoder is split by weights or by data over tensor-parallel ranks."""
    mm_processor_cache_type: Literal["lru", "shm"] | None = None
    """Where preprocessed pictures are cached: in each process, or once in shared memory."""
    mm_processor_cache_gb: Annotated[float, Field(ge=0)] | None = None
    """Size of that cache in GiB; vLLM's default is 4."""
    mm_processor_kwargs: dict[str, JsonValue] | None = None
    """Arguments of the model's picture processor, e.g. `{max_pixels: 5000000}`."""
    enforce_eager: Annotated[bool, Field(strict=True)] | None = None
    """Skip compilation and CUDA graphs: slower answers, much faster start."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the accelerator's memory that the engine may take."""
    tensor_parallel_size: PositiveInt | None = None
    """Accelerators that share one copy of the model."""
    max_num_seqs: PositiveInt | None = None
    """Most sequences in one batch."""
    max_num_batched_tokens: PositiveInt | None = None
    """Most tokens in one step."""
    kv_cache_dtype: Literal["auto", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2"] | None = None
    """Type of the KV cache."""
    quantization: str | None = None
    """Quantisation method of the weights."""
    enable_prefix_caching: Annotated[bool, Field(strict=True)] | None = None
    """Reuse the KV cache of shared prompt prefixes."""
    seed: NonNegativeInt | None = None
    """Seed of sampling."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """Any other flag of the pinned version by its name without dashes in front, e.g. `max-log-len: 100`."""

    def by_flag(self) -> dict[str, tuple[str, JsonValue]]:
        """Flag → (settings key, value), of what is set."""
        typed = {
            _flag(name): (_alias(name), value)
            for name in type(self).model_fields
            if name != "extra" and (value := getattr(self, name)) is not None
        }
        return typed | {_flag(name): (f"extra.{name}", value) for name, value in self.extra.items()}


@dataclass(frozen=True)
class FlagProblem:
    """Why a flag is not accepted."""

    key: str
    """Settings key relative to the flags, e.g. `extra.max-log-len`."""
    message: str


@dataclass(frozen=True)
class FlagSpec:
    """What vLLM's parser says of one flag."""

    kind: str
    choices: tuple[str, ...]
    many: bool
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Catalogue:
    """Every flag that one version of `vllm serve` accepts."""

    version: str
    flags: Mapping[str, FlagSpec]

    def resolve(self, flag: str) -> str | None:
        """The canonical flag behind a name or alias."""
        if flag in self.flags:
            return flag
        return next((name for name, spec in self.flags.items() if flag in spec.aliases), None)


def _flag(name: str) -> str:
    return "--" + name.lstrip("-").replace("_", "-")


def _alias(name: str) -> str:
    return VllmFlags.model_fields[name].alias or name


def supported_versions() -> tuple[str, ...]:
    """Minor versions that have a catalogue."""
    return tuple(sorted(path.stem.removeprefix("vllm-") for path in CATALOGUES.glob("vllm-*.json")))


@cache
def load_catalogue(version: str) -> Catalogue | None:
    """Catalogue of the minor version that `version` (e.g. `0.32.0`) belongs to; None if there is none."""
    path = CATALOGUES / f"vllm-{'.'.join(version.split('.')[:2])}.json"
    if not path.is_file():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    return catalogue_from(document)


def catalogue_from(document: Mapping[str, object]) -> Catalogue:
    """Catalogue from its JSON form."""
    flags = document["flags"]
    assert isinstance(flags, Mapping)
    return Catalogue(
        version=str(document["version"]),
        flags={
            name: FlagSpec(
                kind=spec["type"],
                choices=tuple(str(choice) for choice in spec.get("choices") or ()),
                many=spec.get("nargs") in ("*", "+") or isinstance(spec.get("nargs"), int),
                aliases=tuple(spec.get("aliases") or ()),
            )
            for name, spec in flags.items()
        },
    )


def flag_problems(flags: VllmFlags, catalogue: Catalogue) -> list[FlagProblem]:
    """Every flag that the catalogue's version lacks or would refuse, or that is not for settings."""
    problems = []
    typed = {_flag(name): _alias(name) for name in VllmFlags.model_fields if name != "extra"}
    for name in flags.extra:
        flag, key = _flag(name), f"extra.{name}"
        canonical = catalogue.resolve(flag) or flag
        if canonical in typed:
            problems.append(FlagProblem(key, f"has a typed key; set flags.{typed[canonical]} instead"))
    for flag, (key, value) in flags.by_flag().items():
        canonical = catalogue.resolve(flag) or flag
        if canonical in _REFUSED:
            problems.append(FlagProblem(key, f"{canonical} {_REFUSED[canonical]}; remove it"))
        elif canonical in _MANAGED and key.startswith("extra."):
            problems.append(FlagProblem(key, f"{canonical} is set from {_MANAGED[canonical]}; remove it"))
        elif canonical not in catalogue.flags:
            closest = difflib.get_close_matches(canonical, catalogue.flags, n=1, cutoff=0.6)
            fix = f"did you mean {closest[0]}?" if closest else "remove it or pin a version that has it"
            problems.append(FlagProblem(key, f"vLLM {catalogue.version} has no flag {flag}; {fix}"))
        elif message := _value_problem(value, catalogue.flags[canonical]):
            problems.append(FlagProblem(key, message))
    return problems


def _value_problem(value: JsonValue, spec: FlagSpec) -> str | None:
    values = value if spec.many and isinstance(value, list) else [value]
    for item in values:
        if (
            spec.choices
            and not (item is None or isinstance(item, bool | dict))
            and str(item) not in spec.choices
        ):
            closest = difflib.get_close_matches(str(item), spec.choices, n=1)
            fix = f"did you mean {closest[0]}?" if closest else f"use one of {', '.join(spec.choices)}"
            return f"{item!r}: not a choice; {fix}"
        if spec.kind == "bool" and not isinstance(item, bool):
            return f"{item!r}: needs true or false"
        if spec.kind in ("int", "float") and (isinstance(item, bool) or not isinstance(item, int | float)):
            return f"{item!r}: needs a number"
        if spec.kind == "int" and isinstance(item, float):
            return f"{item!r}: needs a whole number"
        if isinstance(item, bool) and spec.kind not in ("bool", "json"):
            return f"{item!r}: needs a value, not true or false"
        if isinstance(item, dict) and spec.kind != "json":
            return f"{json.dumps(item)}: needs a single value"
    return None


def render_arguments(
    flags: VllmFlags,
    catalogue: Catalogue,
    *,
    model_path: str,
    served_model_name: str,
    drain_seconds: int,
    tls: bool = False,
) -> list[str]:
    """Arguments of the `vllm` command that serve `model_path`; `flag_problems` must have found nothing.

    The model is the positional argument, which replaces the deprecated --model of `vllm serve`.
    """
    arguments = ["serve", model_path, f"--served-model-name={served_model_name}", f"--port={PORT}"]
    if "--shutdown-timeout" in catalogue.flags:
        arguments.append(f"--shutdown-timeout={drain_seconds}")
    if tls:
        # A renewed certificate is taken up while the server runs.
        files = (f"--ssl-certfile={CERTIFICATE_MOUNT}/tls.crt", f"--ssl-keyfile={CERTIFICATE_MOUNT}/tls.key")
        arguments += [*files, "--enable-ssl-refresh"]
    for flag, (_, value) in flags.by_flag().items():
        arguments.extend(_render(flag, value))
    return arguments


def _render(flag: str, value: JsonValue) -> Sequence[str]:
    match value:
        case None:
            return ()
        case True:
            return (flag,)
        case False:
            return (f"--no-{flag[2:]}",)
        case dict():
            return (f"{flag}={json.dumps(value, sort_keys=True, separators=(',', ':'))}",)
        case list():
            return (flag, *(str(item) for item in value))
        case float():
            return (f"{flag}={value:g}",)
        case _:
            return (f"{flag}={value}",)
