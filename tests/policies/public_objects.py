"""The pack on objects that public sets allow and deny: `python -m tests.policies.public_objects FOLDER`.

FOLDER holds clones of open-policy-agent/gatekeeper-library and kyverno/policies, as for
`tests.policies.public_sets`. A policy there is compared with the rules that name it as the same control: one
of them should refuse what it denies, none what it allows. Every object on which they differ is printed, to be
looked at: many policies have parameters and exemptions of their own, which the pack has not.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

import yaml

from policies.catalogue import RULES
from policies.public_sets import SAME_AS, PublicSet
from policies.resource import Resource
from tests.policies.public_sets import Clone


@dataclass(frozen=True)
class PublicObject:
    """An object, and what one policy says of it."""

    policy: str
    name: str
    manifest: dict[str, Any]
    denied: bool

    @property
    def resource(self) -> Resource:
        """As it stands in a program."""
        version = self.manifest.get("apiVersion") or "v1"
        group = version if "/" in version else f"core/{version}"
        return Resource(f"kubernetes:{group}:{self.manifest.get('kind')}", self.manifest)


def _documents(text: str) -> list[dict[str, Any]]:
    try:
        return [one for one in yaml.safe_load_all(text) if isinstance(one, dict)]
    except yaml.YAMLError:
        return []


def gatekeeper(clone: Clone) -> Iterator[PublicObject]:
    """Samples of gatekeeper-library, by its suites."""
    files = dict(clone.files(r"library/.*\.yaml"))
    for suite, text in files.items():
        if not suite.endswith("/suite.yaml"):
            continue
        for test in yaml.safe_load(text)["tests"]:
            template = yaml.safe_load(files[normpath(join(dirname(suite), test["template"]))])
            policy = template["spec"]["crd"]["spec"]["names"]["kind"]
            for case in test.get("cases", ()):
                # yes, no, or how many
                denied = any(
                    one.get("violations", "yes") not in (False, "no", 0) for one in case["assertions"]
                )
                for found in _documents(files[normpath(join(dirname(suite), case["object"]))]):
                    manifest = found["request"].get("object") if found["kind"] == "AdmissionReview" else found
                    if manifest:
                        name = f"{dirname(suite).rpartition('/')[2]}/{test['name']}/{case['name']}"
                        yield PublicObject(policy, name, manifest, denied)


def kyverno(clone: Clone) -> Iterator[PublicObject]:
    """Resources of the tests of Kyverno's policies; not of their copies in CEL (`-cel`, `-vpol`, …)."""
    files = dict(clone.files(r"(?![^/]*-(cel|vpol|gpol|mpol|dpol)/).*/\.kyverno-test/[^/]*\.ya?ml"))
    for file, text in files.items():
        if not file.endswith("/kyverno-test.yaml"):
            continue
        test = yaml.safe_load(text)
        objects: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for name in test.get("resources", ()):
            for one in _documents(files.get(normpath(join(dirname(file), name)), "")):
                metadata = one.get("metadata") or {}
                objects[str(one.get("kind")), str(metadata.get("name"))].append(one)
        verdicts: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        for result in test.get("results", ()):
            for name in result.get("resources") or [result.get("resource")]:
                key = (result["policy"], str(result.get("kind")), str(name).rpartition("/")[2])
                verdicts[key].add(str(result.get("result")))
        for (policy, kind, name), verdict in verdicts.items():
            if verdict <= {"pass", "fail"}:
                for manifest in objects[kind, name]:
                    yield PublicObject(policy, f"{policy}/{kind}/{name}", manifest, "fail" in verdict)


def _compare(public_set: PublicSet, commit: str, objects: Iterator[PublicObject]) -> None:
    same: dict[str, list[Any]] = defaultdict(list)
    for rule in RULES:
        for policy in SAME_AS.get(rule.id, {}).get(public_set, ()):
            same[policy].append(rule)
    counts: dict[str, int] = dict.fromkeys(("denied", "allowed", "stricter", "silent", "no such rule"), 0)
    for one in objects:
        if not (rules := same[one.policy]):
            counts["no such rule"] += 1
            continue
        resource = one.resource
        found = [line for rule in rules if rule.judges(resource.token) for line in rule.violations(resource)]
        if bool(found) == one.denied:
            counts["denied" if found else "allowed"] += 1
        else:
            counts["stricter" if found else "silent"] += 1
            print(f"  {'stricter' if found else 'silent'}: {one.name}: {found[0] if found else 'nothing'}")
    agreed = counts["denied"] + counts["allowed"]
    print(
        f"{public_set} {commit}: agreed on {agreed} objects ({counts['denied']} denied, {counts['allowed']} "
        f"allowed); the pack refuses {counts['stricter']} more and lets {counts['silent']} pass; "
        f"{counts['no such rule']} objects of policies that no rule names\n"
    )


if __name__ == "__main__":
    for which, repository, read in (
        ("gatekeeper", "open-policy-agent/gatekeeper-library", gatekeeper),
        ("kyverno", "kyverno/policies", kyverno),
    ):
        source = Clone(Path(sys.argv[1]), repository)
        _compare(which, source.commit, read(source))  # type: ignore[arg-type]
