"""Settings from a stack's configuration, with every problem told at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar, get_args

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from components.common.schema import FrozenModel
from stacks.problems import Problem, SettingsError
from stacks.settings import Settings
from stacks.settings.model import Model

T = TypeVar("T")

_SECTIONS: Final = {field.alias or name: field for name, field in Settings.model_fields.items()}

_SECRET_VALUES: Final = {
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{16,}"),
    "a GitHub token": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    "a GitLab token": re.compile(r"\bglpat-[A-Za-z0-9_-]{16,}"),
    "an AWS access key": re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a Google API key": re.compile(r"\bAIza[0-9A-Za-z_-]{35}"),
    "an API key": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    "a Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a JSON web token": re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\."),
    "a URL with a password": re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@"),
}
_SECRET_KEYS: Final = re.compile(
    r"(password|passwd|passphrase|token|api[-_]?key|access[-_]?key|private[-_]?key|secret|credentials?)$",
    re.IGNORECASE,
)
# Keys that end like a secret but hold a name.
_NAMES_OF_SECRETS: Final = frozenset({"credentialsSecret"})
_SECRET_FIX: Final = "put it into a Secret in the cluster and name that, and revoke the one written here"


def load_settings(raw: Mapping[str, Any], file: str) -> Settings:
    """Settings from the raw sections of `file`; raises SettingsError with every problem found in any of them.

    Sections, and models one by one, are read independently, so that a mistake in one does not hide others.
    """
    secrets = list(_secrets(raw))
    problems: list[Problem] = []
    validated: dict[str, Any] = {}
    for key in raw:
        if key not in _SECTIONS:
            problems.append(Problem(key, f"unknown section; {_closest(key, _SECTIONS)}"))
    for key, field in _SECTIONS.items():
        if key not in raw:
            if field.is_required():
                problems.append(Problem(key, "required section is missing; add it"))
            continue
        if key == "models":
            validated[key] = tuple(_models(raw[key], problems))
            continue
        adapter: TypeAdapter[Any] = TypeAdapter(_annotated(field))
        validated[key] = _validate(adapter, raw[key], (key,), problems)
    # Other messages may repeat a value, which for a secret must not happen.
    hidden = {problem.path for problem in secrets}
    problems = secrets + [problem for problem in problems if problem.path not in hidden]
    if problems:
        raise SettingsError(file, problems)
    return Settings.model_validate(validated)


def _models(value: object, problems: list[Problem]) -> Iterator[Model]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        problems.append(Problem("models", "needs a list of models; start each with '- name: …'"))
        return
    if not value:
        problems.append(Problem("models", "[]: needs at least one model; add one"))
    adapter = TypeAdapter(Model)
    for index, item in enumerate(value):
        model = _validate(adapter, item, ("models", index), problems)
        if model is not None:
            yield model


def _annotated(field: FieldInfo) -> Any:
    if field.discriminator is None:
        return field.annotation
    return Annotated[field.annotation, Field(discriminator=field.discriminator)]


def _validate(
    adapter: TypeAdapter[T], value: object, where: tuple[str | int, ...], problems: list[Problem]
) -> T | None:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        problems.extend(_problem(detail, where, value) for detail in error.errors(include_url=False))
        return None


def _path(parts: Sequence[str | int]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _location(detail: ErrorDetails, root: object) -> list[str | int]:
    """The error's place in the file: pydantic's, without tags of unions and markers of mapping keys."""
    place: list[str | int] = []
    value: Any = root
    for part in detail["loc"]:
        if part == "[key]":
            continue
        if isinstance(value, Mapping):
            # The tag of a discriminated union is the value of its `kind`.
            if part not in value and value.get("kind") == part:
                continue
            value = value.get(part)
        elif isinstance(value, Sequence) and not isinstance(value, str) and isinstance(part, int):
            value = value[part] if part < len(value) else None
        elif isinstance(part, str) and not isinstance(value, Mapping) and value is not None:
            # A branch of a plain union, such as `int` or `constrained-str`.
            continue
        place.append(part)
    return place


def _problem(detail: ErrorDetails, where: tuple[str | int, ...], root: object) -> Problem:
    place = _location(detail, root)
    path = _path([*where, *place])
    return Problem(path, _message(detail, place, where))


def _message(detail: ErrorDetails, place: Sequence[str | int], where: tuple[str | int, ...]) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    shown = (
        repr(value) if isinstance(value, str | int | float | bool) or value is None else type(value).__name__
    )
    match kind:
        case "extra_forbidden":
            return f"unknown key; {_closest(str(place[-1]), _known_keys(place[:-1], where))}"
        case "missing":
            return "required key is missing; add it"
        case "value_error":
            return str(context["error"])
        case "greater_than_equal":
            return f"{shown}: too small; write {context['ge']} or more"
        case "greater_than":
            return f"{shown}: too small; write more than {context['gt']}"
        case "less_than_equal":
            return f"{shown}: too large; write {context['le']} or less"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"{shown}: not a whole number; write it without quotes or fraction"
        case "bool_type" | "bool_parsing":
            return f"{shown}: neither true nor false; write one of them, without quotes"
        case "literal_error":
            choices = [choice.strip("'") for choice in re.findall(r"'[^']*'", str(context["expected"]))]
            return f"{shown}: not a choice; {_closest(str(value), choices)}"
        case "union_tag_invalid":
            choices = re.findall(r"'([^']*)'", str(context["expected_tags"]))
            return f"kind {context['tag']!r}: not a choice; {_closest(str(context['tag']), choices)}"
        case "union_tag_not_found":
            return "kind is missing; add it"
        case "string_pattern_mismatch":
            return f"{shown}: {_pattern_advice(str(place[-1]), str(context['pattern']))}"
        case "string_too_long":
            return f"{shown}: {len(str(value))} characters; write at most {context['max_length']}"
        case "too_short":
            return f"{shown}: too few; give at least {context['min_length']}"
        case "string_type":
            return f"{shown}: not a text; put it in quotes"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{shown}: needs keys and values; indent them below"
        case _:
            return f"{shown}: {detail['msg']}; see docs/settings.md"


def _pattern_advice(key: str, pattern: str) -> str:
    advice = {
        "namespace": "not a DNS label; use lower-case letters, digits and dashes, a letter first, at most 63",
        "name": "not a DNS label; use lower-case letters, digits and dashes, a letter first, at most 63",
        "revision": "not a label value; use at most 63 letters, digits, dots, dashes and underscores",
        "repo": "not a repository; write owner/name",
        "uri": "not an object store's address; write s3://bucket/prefix or gs://bucket/prefix",
        "url": "not an https address; write https://host/path, without user and password",
        "endpoint": "not an https address; write https://host",
        "version": "not a version; write three numbers such as 0.32.0",
        "resource": "not an extended resource; write one such as nvidia.com/gpu",
    }
    if "@sha256" in pattern:
        return "not pinned by digest; write name:tag@sha256:<64 hex digits>"
    return advice.get(key, f"has a form that is not allowed; match {pattern}")


def _closest(key: str, known: Mapping[str, object] | Sequence[str]) -> str:
    close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    return f"use one of {', '.join(known)}" if known else "remove it"


def _known_keys(place: Sequence[str | int], where: tuple[str | int, ...]) -> list[str]:
    """Keys that are allowed at a place, found by walking the models along it."""
    section = _SECTIONS.get(str(where[0]))
    candidates = _models_in(Model if where[0] == "models" else section.annotation if section else None)
    for part in place:
        if isinstance(part, int):
            continue
        candidates = [
            inner
            for model in candidates
            for name, field in model.model_fields.items()
            if (field.alias or name) == part
            for inner in _models_in(field.annotation)
        ]
    return sorted({field.alias or name for model in candidates for name, field in model.model_fields.items()})


def _models_in(annotation: Any) -> list[type[FrozenModel]]:
    if isinstance(annotation, type) and issubclass(annotation, FrozenModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _secrets(value: object, path: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    """Plain values that look like secrets or stand under a key that names one; never repeated."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            place = (*path, str(key))
            if (
                isinstance(inner, str)
                and inner
                and _SECRET_KEYS.search(str(key))
                and str(key) not in _NAMES_OF_SECRETS
            ):
                yield Problem(_path(place), f"is a secret by its name, in plain text; {_SECRET_FIX}")
            else:
                yield from _secrets(inner, place)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            yield from _secrets(inner, (*path, index))
    elif isinstance(value, str):
        for name, pattern in _SECRET_VALUES.items():
            if pattern.search(value):
                yield Problem(_path(path), f"looks like {name}, in plain text; {_SECRET_FIX}")
                break
