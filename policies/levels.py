"""Levels per stack: files for --policy-pack-config that lower, exempt from or configure single rules.

Every rule is mandatory without such a file. In it, by rule id: a level, or an object with `enforcementLevel`,
`reason`, `exemptions` and the rule's own options. The engine accepts any key, so a misspelt one would mean
nothing, silently; here it is an error, in the files beside the pack and in whatever file is passed.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal, cast

from policies.resource import Options
from policies.rule import AnyRule, Bound, Option, Rule

Level = Literal["mandatory", "advisory", "disabled"]

LEVELS: Final[tuple[Level, ...]] = ("mandatory", "advisory", "disabled")
FOLDER: Final = Path(__file__).parent / "levels"
MAX_EXEMPTION_DAYS: Final = 366
"""An exemption without a near end is a rule that nobody wants."""
MIN_REASON: Final = 10
"""Characters; less is no reason."""

_RESERVED: Final = frozenset({"enforcementLevel", "reason", "exemptions"})
_EXEMPTION_KEYS: Final = frozenset({"resource", "reason", "expires"})
_SCHEMA_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "integer": (int,),
    "string": (str,),
    "object": (dict,),
    "array": (list,),
}


class LevelsError(ValueError):
    """A levels file is wrong; the message names file, key, value and fix."""


@dataclass(frozen=True)
class Exemption:
    """Resources that one rule leaves alone for some time."""

    resource: str
    """Pattern over the URN, the type or the name: `*` any characters, `?` one."""
    reason: str
    expires: datetime.date
    """Last day on which it holds, UTC."""
    allowed: frozenset[str] = frozenset()
    """What it lets pass, of a rule whose exemptions have to list that."""

    def covers(self, urn: str) -> bool:
        """Whether it names a resource."""
        _, _, rest = urn.rpartition("$")
        parts = (rest or urn).split("::")
        kind, name = (parts[-2], parts[-1]) if len(parts) > 1 else ("", urn)
        return any(fnmatchcase(one, self.resource) for one in (urn, kind, name, f"{kind}::{name}"))

    def expired(self, today: datetime.date) -> bool:
        """Whether its time is over."""
        return today > self.expires


@dataclass(frozen=True)
class Levels:
    """How strictly the rules hold in a stack."""

    enforcement: Mapping[str, Level] = field(default_factory=dict)
    """By rule; mandatory where nothing is stated."""
    exemptions: Mapping[str, tuple[Exemption, ...]] = field(default_factory=dict)
    options: Options = field(default_factory=dict)

    def level(self, rule: str) -> Level:
        """How strictly a rule holds."""
        return self.enforcement.get(rule, "mandatory")

    def exemption(self, rule: str, urn: str, today: datetime.date) -> Exemption | None:
        """The exemption of a resource from a rule that still holds."""
        for one in self.exemptions.get(rule, ()):
            if one.covers(urn) and not one.expired(today):
                return one
        return None


def parse(content: object, rules: Iterable[AnyRule], today: datetime.date) -> tuple[Levels, list[str]]:
    """Levels from a file's content, and everything that is wrong with it: `key: value; fix`."""
    by_id = {rule.id: rule for rule in rules}
    if not isinstance(content, Mapping):
        return Levels(), ["the file is not an object; write {} to keep every rule as it is"]
    found: list[str] = []
    enforcement: dict[str, Level] = {}
    exemptions: dict[str, tuple[Exemption, ...]] = {}
    options: dict[str, Mapping[str, object]] = {}
    for key, value in content.items():
        level = value.get("enforcementLevel") if isinstance(value, Mapping) else value
        if key == "all":
            if level != "mandatory":
                found.append("all: every rule is mandatory; lower single rules, with a reason")
            continue
        rule = by_id.get(key)
        if rule is None:
            found.append(f"{key}: no such rule; write one of docs/policies.md")
            continue
        if level is None and isinstance(value, Mapping):
            level = "mandatory"
        if level not in LEVELS:
            found.append(f"{key}: {_shown(level)} is not a level; write one of {', '.join(LEVELS)}")
            continue
        enforcement[key] = cast(Level, level)
        stated = value if isinstance(value, Mapping) else {}
        if level != "mandatory" and not _is_reason(stated.get("reason")):
            found.append(
                f"{key}: lowered without a reason; write "
                f'{{"enforcementLevel": "{level}", "reason": "…"}} with {MIN_REASON} characters or more'
            )
        exemptions[key], wrong = _exemptions(stated.get("exemptions"), _bound(rule), today)
        found += [f"{key}.{one}" for one in wrong]
        own, wrong = _options(stated, rule.options)
        found += [f"{key}.{one}" for one in wrong]
        if own:
            options[key] = own
    return Levels(enforcement, {k: v for k, v in exemptions.items() if v}, options), found


def _shown(value: object) -> str:
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 10**18):
        return repr(value)
    return repr(value[:60]) if isinstance(value, str) else type(value).__name__


def _is_reason(value: object) -> bool:
    return isinstance(value, str) and len(value.strip()) >= MIN_REASON


def _bound(rule: AnyRule) -> Bound | None:
    return rule.bound if isinstance(rule, Rule) else None


def _exemptions(
    value: object, bound: Bound | None, today: datetime.date
) -> tuple[tuple[Exemption, ...], list[str]]:
    if value is None:
        return (), []
    if not isinstance(value, list):
        return (), ['exemptions: is not a list; write [{"resource", "reason", "expires"}]']
    found: list[str] = []
    result: list[Exemption] = []
    for index, item in enumerate(value):
        path = f"exemptions[{index}]"
        if not isinstance(item, Mapping):
            found.append(f"{path}: is not an object; write resource, reason and expires")
            continue
        wrong = list(_exemption_problems(item, bound, today))
        found += [f"{path}.{one}" for one in wrong]
        if not wrong:
            result.append(
                Exemption(
                    item["resource"],
                    item["reason"],
                    datetime.date.fromisoformat(item["expires"]),
                    frozenset(item[bound.key]) if bound else frozenset(),
                )
            )
    return tuple(result), found


def _exemption_problems(item: Mapping[str, Any], bound: Bound | None, today: datetime.date) -> Iterator[str]:
    known = {*_EXEMPTION_KEYS, *((bound.key,) if bound else ())}
    for name in sorted(map(str, set(item) - known)):
        yield f"{name}: unknown; write {', '.join(sorted(known))}"
    if bound is not None:
        listed = item.get(bound.key)
        if not isinstance(listed, list) or not listed:
            yield f"{bound.key}: {_shown(listed)} is no list; write what is allowed, {bound.meaning}"
        else:
            for one in listed:
                if not (isinstance(one, str) and re.fullmatch(bound.pattern, one)):
                    yield f"{bound.key}: {_shown(one)} does not match {bound.pattern}"
    pattern = item.get("resource")
    if not isinstance(pattern, str) or not re.search(r"[A-Za-z0-9]{3}", pattern):
        yield (
            f"resource: {_shown(pattern)} names no resource in particular; write a pattern over URN, type or "
            "name, such as kubernetes:apps/v1:DaemonSet::*device-plugin"
        )
    if not _is_reason(item.get("reason")):
        yield f"reason: is missing or too short; write why, in {MIN_REASON} characters or more"
    try:
        expires = datetime.date.fromisoformat(str(item.get("expires")))
    except ValueError:
        yield f"expires: {_shown(item.get('expires'))} is no date; write YYYY-MM-DD"
        return
    if expires < today:
        yield f"expires: {expires} is past; remove the exemption, or review it and set a new date"
    elif (expires - today).days > MAX_EXEMPTION_DAYS:
        yield f"expires: {expires} is more than a year ahead; write an earlier date and review it then"


def _options(
    stated: Mapping[str, object], known: Mapping[str, Option]
) -> tuple[dict[str, object], list[str]]:
    found: list[str] = []
    result: dict[str, object] = {}
    for name, value in stated.items():
        if name in _RESERVED:
            continue
        option = known.get(name)
        if option is None:
            allowed = ", ".join(sorted({*_RESERVED, *known}))
            found.append(f"{name}: unknown; write one of {allowed}")
        elif wrong := _mismatch(value, option.schema):
            found.append(f"{name}{wrong}")
        else:
            result[name] = value
    return result, found


def _mismatch(value: object, schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a value, by the few words of JSON schema that options use."""
    kind = schema.get("type")
    # Numbers arrive as floats from the engine.
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(kind, str) and (
        not isinstance(value, _SCHEMA_TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")
    ):
        return f": {_shown(value)} is not of type {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f": {_shown(value)}; write one of {', '.join(map(str, schema['enum']))}"
    if "pattern" in schema and isinstance(value, str) and not re.fullmatch(schema["pattern"], value):
        return f": {_shown(value)} does not match {schema['pattern']}"
    if "minimum" in schema and isinstance(value, int) and value < schema["minimum"]:
        return f": {_shown(value)}; write {schema['minimum']} or more"
    if isinstance(value, Mapping) and "additionalProperties" in schema:
        for key, item in value.items():
            if wrong := _mismatch(item, schema["additionalProperties"]):
                return f".{str(key)[:60]}{wrong}"
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            if wrong := _mismatch(item, schema["items"]):
                return f"[{index}]{wrong}"
    return None


def schema(rules: Iterable[AnyRule]) -> dict[str, Any]:
    """JSON schema of a levels file, for editors and for tests."""

    def exemption(bound: Bound | None) -> dict[str, Any]:
        more = (
            {
                bound.key: {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "string", "pattern": f"^{bound.pattern}$"},
                    "description": bound.meaning,
                }
            }
            if bound
            else {}
        )
        return {
            "type": "object",
            "additionalProperties": False,
            "required": sorted({*_EXEMPTION_KEYS, *more}),
            "properties": more
            | {
                "resource": {
                    "type": "string",
                    "pattern": "[A-Za-z0-9]{3}",
                    "description": "Pattern over the URN, the type, the name or type::name of resources.",
                },
                "reason": {"type": "string", "minLength": MIN_REASON},
                "expires": {
                    "type": "string",
                    "format": "date",
                    "description": "Last day, at most a year ahead.",
                },
            },
        }

    lowered = {"properties": {"enforcementLevel": {"enum": ["advisory", "disabled"]}}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Levels of the policy pack in one stack",
        "type": "object",
        "additionalProperties": False,
        "properties": {"all": {"const": "mandatory"}}
        | {
            rule.id: {
                "description": f"{rule.title}.",
                "oneOf": [
                    {"const": "mandatory"},
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "enforcementLevel": {"enum": list(LEVELS)},
                            "reason": {"type": "string", "minLength": MIN_REASON},
                            "exemptions": {"type": "array", "items": exemption(_bound(rule))},
                        }
                        | {
                            name: {**option.schema, "description": option.meaning, "default": option.default}
                            for name, option in rule.options.items()
                        },
                        "if": {"required": ["enforcementLevel"], **lowered},
                        "then": {"required": ["reason"]},
                    },
                ],
            }
            for rule in rules
        },
    }


def files() -> list[Path]:
    """The files beside the pack."""
    return sorted(one for one in FOLDER.glob("*.json") if one.name != "schema.json")


def check(paths: Iterable[Path], rules: Iterable[AnyRule], today: datetime.date) -> None:
    """Raise LevelsError if any of the files is wrong. What has expired in another stack's file is its own
    matter."""
    found: list[str] = []
    known = tuple(rules)
    for path in paths:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            found.append(f"{path.name}: cannot be read: {error}")
            continue
        _, problems = parse(content, known, today)
        found += [f"{path.name}: {one}" for one in problems if not _is_past(one)]
    if found:
        raise LevelsError("policy levels refused:\n" + "\n".join(f"  {one}" for one in found))


def _is_past(problem: str) -> bool:
    return ".expires: " in problem and "is past" in problem
