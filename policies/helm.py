"""Rules on Helm charts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from policies.resource import Resource
from policies.rule import Option, Rule
from policies.values import UNKNOWN, elements, entries, known_text, safe_key, show

_CHART: Final = "kubernetes:helm.sh/v4:Chart"
_RULE: Final = "helm-chart"
_PATHS: Final = ("./", "../", "/")
"""Of charts beside the program, which are in its repository."""
_EXACT: Final = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.+-]{1,64})?")
_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")
_CREDENTIAL: Final = re.compile(
    r"(?:^|_)(?:PASSWORD|PASSWD|PASSPHRASE|TOKEN|API_?KEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY|CLIENT_SECRET)$"
)
"""Ends of keys whose text is a credential; names of Secrets end otherwise (existingSecret, secretName)."""
_MAX_DEPTH: Final = 64


def _releases(resource: Resource) -> list[str]:
    return [
        f"{one.kind}: is installed by Helm"
        for one in resource.objects
        if (one.group, one.kind) == ("helm.sh", "Release")
    ]


def _charts(resource: Resource) -> list[str]:
    """A component that the provider has registered has no inputs: its objects are judged, as anywhere."""
    chart = resource.value("chart")
    if chart is None or chart is UNKNOWN:
        return []
    if not isinstance(chart, str):
        return [f"chart: {show(chart)}"]
    found: list[str] = []
    repository = resource.value("repositoryOpts", "repo")
    local = chart.startswith(_PATHS) or chart.endswith(".tgz")
    if "://" in chart or repository is not None or not local:
        found += _source(resource, chart, repository)
        version = resource.value("version")
        exact = isinstance(version, str) and _EXACT.fullmatch(version)
        if version is not UNKNOWN and not exact and not _DIGEST.search(chart):
            found.append(f"version: {show(version)}, not one version")
    for name, harm in (
        ("devel", "takes whatever was released last"),
        ("plainHttp", "takes the chart from whoever answers"),
        ("dependencyUpdate", "takes charts that nobody has pinned"),
    ):
        if resource.value(name) is True:
            found.append(f"{name}: {harm}")
    if resource.value("postRenderer") is not None:
        found.append("postRenderer: runs a command of the machine on what is rendered")
    return found


def _source(resource: Resource, chart: str, repository: object) -> Iterator[str]:
    """Where a chart comes from: a registry, or a repository over HTTP."""
    place = chart if repository is None else repository
    if place is UNKNOWN:
        return
    scheme, _, rest = place.partition("://") if isinstance(place, str) else ("", "", "")
    path = "chart" if repository is None else "repositoryOpts.repo"
    if scheme not in ("oci", "https") or "/" not in rest:
        yield f"{path}: {known_text(scheme, frozenset({'http', 'git'}))}, neither oci:// nor https://"
        return
    allowed = [item for _, item in elements(resource.option(_RULE, "allowed")) if isinstance(item, str)]
    name = rest.partition("@")[0]
    if allowed and not any(fnmatchcase(name, one) for one in allowed):
        yield f"{path}: is from no registry of this stack"


def _credentials(value: object, path: str, depth: int = 0) -> Iterator[str]:
    """Texts of a chart's values below keys that are named like credentials."""
    if depth > _MAX_DEPTH:
        return
    for index, item in elements(value):
        yield from _credentials(item, f"{path}[{index}]", depth + 1)
    for key, item in entries(value):
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key[:100]).replace("-", "_").upper()
        below = f"{path}.{safe_key(key)}"
        if isinstance(item, str) and item and _CREDENTIAL.search(name):
            yield f"{below}: a credential is written in the values"
        yield from _credentials(item, below, depth + 1)


def _values(resource: Resource) -> list[str]:
    return list(_credentials(resource.value("values"), "values"))


RULES: Final = (
    Rule(
        id="helm-release",
        severity="high",
        title="No Helm Release",
        rationale="Its objects are made behind the engine's back, so no rule of this pack sees them.",
        fix="use helm.v4.Chart, which renders to resources that the rules judge",
        judge=_releases,
    ),
    Rule(
        id=_RULE,
        severity="high",
        title="A chart is one version from a registry that is named",
        rationale="A range, or a repository that anybody may write to, installs what nobody has read.",
        fix="write chart: oci://<registry>/<path> and one version, or @sha256:<digest>",
        judge=_charts,
        types=frozenset({_CHART}),
        options={
            "allowed": Option(
                {"type": "array", "items": {"type": "string", "pattern": "[^*].*/.*"}},
                [],
                "Patterns of <registry>/<path>, such as registry.example.com/charts/*; without it any "
                "registry that is named.",
            )
        },
    ),
    Rule(
        id="helm-values-credentials",
        severity="critical",
        title="No credentials in a chart's values",
        rationale="They end in the objects that it renders, and in every log and state of them.",
        fix="name an existing Secret instead, as charts allow by existingSecret or secretName",
        judge=_values,
        types=frozenset({_CHART}),
    ),
)
"""Rules on charts."""
