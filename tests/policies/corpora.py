"""Objects that tests of linters and of a library of admission policies allow and deny, from their clones."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from policies.public_sets import PublicSet
from tests.policies.public_objects import PublicObject
from tests.policies.public_sets import SOURCES, Clone

_YAML: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _documents(text: str) -> list[dict[str, Any]]:
    """Objects of a file; none if it is no YAML."""
    try:
        return [one for one in yaml.load_all(text, Loader=_YAML) if isinstance(one, dict)]
    except yaml.YAMLError:
        return []


def _as_one(found: list[dict[str, Any]]) -> dict[str, Any]:
    """What a test judges together."""
    return found[0] if len(found) == 1 else {"apiVersion": "v1", "kind": "List", "items": found}


def _name(one: Mapping[str, Any]) -> str:
    return str((one.get("metadata") or {}).get("name"))


def _namespace(one: Mapping[str, Any]) -> str:
    return str((one.get("metadata") or {}).get("namespace") or "")


def kube_linter(clone: Clone) -> Iterator[PublicObject]:
    """Objects of the end-to-end tests: one that is to be reported is not named so, but counted by kind."""
    files = dict(clone.files(r"(tests/checks/.*\.ya?ml|e2etests/bats-tests\.sh)"))
    text = files["e2etests/bats-tests.sh"]
    for check, body in re.findall(r'(?ms)^@test "([\w-]+)" \{\n(.*?)^\}', text):
        stated = re.search(r'tmp="(tests/checks/[^"]+)"', body)
        if not stated:
            continue
        reported = Counter(re.findall(r'"\$\{message\d+\}" ==? ?~?=? ?"(\w+)[^:]*: ', body))
        by_kind: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for one in _documents(files[stated[1]]):
            by_kind[str(one.get("kind"))].append(one)
        for kind, objects in by_kind.items():
            denied = [one for one in objects if not re.match(r"dont-fire|should-pass|good|valid", _name(one))]
            if kind not in reported or len(denied) != reported[kind]:
                # Not of a kind that the check reports, or the test does not say which of them.
                denied = objects if len(objects) == reported[kind] else []
                objects = denied
            for number, one in enumerate(objects):
                name = f"{check}/{kind}/{_name(one)}/{number}"
                yield PublicObject(check, name, one, any(one is other for other in denied))


def polaris(clone: Clone) -> Iterator[PublicObject]:
    """Files of the tests of checks: they say by their names which fail."""
    for file, text in clone.files(r"test/checks/[^/]+/(success|failure)[^/]*\.ya?ml"):
        _, _, check, name = file.split("/")
        if found := _documents(text):
            yield PublicObject(check, f"{check}/{name}", _as_one(found), name.startswith("failure"))


def kubescape(clone: Clone) -> Iterator[PublicObject]:
    """Inputs of the tests of rules, but for those with parameters of their own; alerts name the objects."""
    files = dict(clone.files(r"rules/[^/]+/test/.*\.(ya?ml|json)"))
    tests: dict[str, list[str]] = defaultdict(list)
    for file in files:
        tests["/".join(file.split("/")[:4])].append(file)
    for test, names in tests.items():
        _, rule, _, case = test.split("/")
        if f"{test}/data.json" in names or f"{test}/expected.json" not in names:
            continue
        try:
            alerted = set(_alerted(json.loads(files[f"{test}/expected.json"] or "[]")))
        except ValueError:
            continue
        given = [one for file in names if "/input/" in file for one in _documents(files[file])]
        keys = [(str(one.get("kind")), _name(one)) for one in given]
        for key, one in zip(keys, given, strict=True):
            if keys.count(key) > 1 and (*key, "") in alerted:
                continue  # The alert does not say which of them.
            denied = bool({(*key, ""), (*key, _namespace(one))} & alerted)
            yield PublicObject(rule, f"{rule}/{case}/{'/'.join(key)}", one, denied)


def _alerted(value: object) -> Iterator[tuple[str, str, str]]:
    """Kind, name and namespace, if it is stated, of every object in an alert."""
    if isinstance(value, Mapping):
        if isinstance(value.get("kind"), str):
            yield value["kind"], _name(value), _namespace(value)
        for item in value.values():
            yield from _alerted(item)
    elif isinstance(value, list):
        for item in value:
            yield from _alerted(item)


def kubescape_cel(clone: Clone) -> Iterator[PublicObject]:
    """Objects of the tests of controls as admission policies: templates with some of their fields changed."""
    files = dict(clone.files(r"(controls/C-\d+/tests\.json|test-resources/.*\.yaml)"))
    for file, text in files.items():
        if not file.endswith("/tests.json"):
            continue
        control = file.split("/")[1]
        for number, test in enumerate(json.loads(text)):
            if "param_template" in test or "binding_template" in test:
                continue
            for manifest in _documents(files[f"test-resources/{test['template']}"]):
                for change in test.get("field_change_list", ()):
                    path, _, value = change.partition("=")
                    _set(manifest, path.split("."), value)
                name = f"{control}/{number}: {test['name']}"
                yield PublicObject(control, name, manifest, test["expected"] == "fail")


def _set(holder: Any, keys: list[str], value: str) -> None:
    """Put a value, JSON or a plain text, at a path such as `containers`, `[0]`, `image`."""
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        index: Any = int(key[1:-1]) if key.startswith("[") else key
        if isinstance(holder, list):
            holder.extend([None] * (index + 1 - len(holder)))
        if following is None:
            try:
                holder[index] = json.loads(value)
            except ValueError:
                holder[index] = value
        elif (holder[index] if isinstance(holder, list) else holder.get(index)) is None:
            holder[index] = [] if following.startswith("[") else {}
        holder = holder[index]


def kube_score(clone: Clone) -> Iterator[PublicObject]:
    """Files of the tests of scores: everything but a perfect one is denied."""
    files = dict(clone.files(r"score/(testdata/[^/]*\.yaml|[^/]*_test\.go)"))
    calls = re.compile(
        r'testExpectedScore\(t, "(?P<file>[^"]+)", "(?P<check>[^"]+)", scorecard\.Grade(?P<grade>\w+)\)'
        r'|testExpectedScoreWithConfig\(t, \[\]ks\.NamedReader\{testFile\("(?P<other>[^"]+)"\)\}, nil, '
        r'&config\.RunConfiguration\{\s*EnabledOptionalTests: structMap,?\s*\}, "(?P<named>[^"]+)", '
        r"scorecard\.Grade(?P<graded>\w+)\)"
    )
    for test, text in files.items():
        for call in calls.finditer(text) if test.endswith(".go") else ():
            file, check = call["file"] or call["other"], call["check"] or call["named"]
            identifier = check.lower().replace(" ", "-")
            denied = not (call["grade"] or call["graded"]).endswith("OK")
            if found := _documents(files.get(f"score/testdata/{file}", "")):
                yield PublicObject(identifier, f"{identifier}/{file}", _as_one(found), denied)


def datree(clone: Clone) -> Iterator[PublicObject]:
    """Files of the tests of rules, in folders for those that pass and that fail."""
    (stated,) = dict(clone.files(r"pkg/defaultRules/defaultRules\.yaml")).values()
    rules = {str(one["id"]): one["uniqueName"] for one in yaml.load(stated, Loader=_YAML)["rules"]}
    for file, text in clone.files(r"pkg/policy/tests/\d+/(pass|fail)/[^/]*\.ya?ml"):
        number, verdict, name = file.split("/")[3:]
        if number in rules and (found := _documents(text)):
            rule = rules[number]
            yield PublicObject(rule, f"{rule}/{verdict}/{name}", _as_one(found), verdict == "fail")


READERS: Final[Mapping[PublicSet, Callable[[Clone], Iterator[PublicObject]]]] = {
    "kube-linter": kube_linter,
    "polaris": polaris,
    "kubescape": kubescape,
    "kubescape-cel": kubescape_cel,
    "kube-score": kube_score,
    "datree": datree,
}
"""Objects by set."""


@cache
def objects(folder: Path, public_set: PublicSet) -> tuple[str, tuple[PublicObject, ...]]:
    """Commit of a clone, and the objects in it."""
    clone = Clone(folder, SOURCES[public_set])
    return clone.commit, tuple(READERS[public_set](clone))
