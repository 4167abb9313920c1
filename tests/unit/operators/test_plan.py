"""What is planned, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from components.operators.images import ImageParts, image_parts
from components.operators.plan import Need, missing_operators, plan_operators
from components.operators.settings import Operators
from tests.unit.operators.examples import SERVER, chart, digest, images, plan, raw, settings


def problems(
    changes: dict[str, Any] | None = None, pictures: dict[str, str] | None = None, **more: Any
) -> list[tuple[str, str]]:
    planned, found = plan_operators(
        settings(**(changes or {})),
        images=images() if pictures is None else pictures,
        **{"api_server": SERVER, "watched": {}, **more},
    )
    assert (planned is None) == bool(found)
    return [(problem.path, problem.message) for problem in found]


def test_charts_are_named_by_digest_and_exact_version() -> None:
    charts = [one for operator in plan().installed for one in operator.charts]
    assert [(one.release, one.reference, one.version) for one in charts] == [
        (release, f"oci://registry.example.com/charts/{name}@{digest('c')}", version)
        for release, name, version in (
            ("cert-manager", "cert-manager", "v1.21.0"),
            ("prometheus-operator-crds", "prometheus-operator-crds", "31.0.1"),
            ("prometheus-operator", "kube-prometheus-stack", "88.5.3"),
            ("eck-operator", "eck-operator", "3.5.0"),
        )
    ]


def test_nothing_is_installed_where_the_cluster_has_it() -> None:
    existing = {key: {"kind": "existing"} for key in raw()}
    planned, found = plan_operators(
        Operators.model_validate(existing), images=images(), api_server=None, watched={}
    )
    assert found == []
    assert planned is not None
    assert planned.installed == ()


def test_a_need_that_nobody_meets_names_the_key_that_asks_and_the_one_to_write() -> None:
    need = Need("certManager", "etcd.certificates.kind", "'cert-manager'", namespace="autoglm")
    for given in (None, Operators.model_validate({"eck": raw()["eck"]})):
        (problem,) = missing_operators(given, [need])
        assert problem.path == "etcd.certificates.kind"
        assert problem.message.startswith("'cert-manager': needs operators.certManager, which is missing")
    for met in ({"kind": "existing"}, raw()["certManager"]):
        assert list(missing_operators(Operators.model_validate({"certManager": met}), [need])) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("chart", "https://registry.example.com/charts/cert-manager"),
        ("chart", "oci://registry.example.com/charts/cert-manager:v1.21.0"),
        ("chart", f"oci://registry.example.com/charts/cert-manager@{digest('c')}"),
        ("chart", "oci://registry.example.com"),
        ("version", ">=1.21.0"),
        ("version", "1.21"),
        ("version", "latest"),
        ("digest", "sha256:c0ffee"),
        ("digest", None),
    ],
)
def test_charts_without_exact_source_are_refused(key: str, value: str | None) -> None:
    given = chart("cert-manager", "v1.21.0", kind="chart")
    if value is None:
        del given[key]
    else:
        given[key] = value
    with pytest.raises(ValidationError) as refused:
        Operators.model_validate({"certManager": given})
    assert {error["loc"][-1] for error in refused.value.errors()} == {key}


def test_every_missing_image_is_told_at_once() -> None:
    found = problems(pictures={"unrelated": "x"})
    assert [path for path, _ in found] == [
        *["certManager.kind"] * 4,
        *["prometheusOperator.kind"] * 2,
        "eck.kind",
    ]
    assert all("which is not listed; add it with its digest" in message for _, message in found)


def test_a_list_of_images_that_could_not_be_read_is_told_once_and_elsewhere() -> None:
    assert problems(pictures={}) == []


def test_program_and_chart_of_different_versions_are_refused() -> None:
    other = images() | {"eck-operator": f"registry.example.com/eck-operator:3.4.1@{digest('1')}"}
    ((path, message),) = problems(pictures=other)
    assert path == "eck.version"
    assert message.startswith("'3.5.0': image 'eck-operator' is 3.4.1")


def test_an_image_without_registry_would_come_from_a_public_one() -> None:
    other = images() | {"prometheus-operator": f"operators/prometheus-operator:v0.93.1@{digest('1')}"}
    ((path, message),) = problems(pictures=other)
    assert path == "prometheusOperator.kind"
    assert "names no registry" in message


@pytest.mark.parametrize(
    ("namespace", "reason"),
    [
        ("kube-system", "belongs to Kubernetes itself"),
        ("autoglm", "another part of the stack has it"),
        ("cert-manager", "certManager.namespace is the same"),
    ],
)
def test_operators_have_namespaces_of_their_own(namespace: str, reason: str) -> None:
    ((path, message),) = problems({"eck": {**raw()["eck"], "namespace": namespace}}, taken={"autoglm"})
    assert path == "eck.namespace"
    assert message.startswith(f"{namespace!r}: {reason}")


def test_api_server_that_nobody_told_of_is_asked_for_only_by_charts() -> None:
    ((path, message),) = problems(api_server=None)
    assert path == "apiServerCidrs"
    assert message.startswith("missing: ")
    assert problems({"apiServerCidrs": ["10.0.0.0/24"]}, api_server=None) == []


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        (
            f"registry.example.com:5000/a/b:v1@{digest('1')}",
            ("registry.example.com:5000", "a/b", "v1", digest("1")),
        ),
        (f"registry.example.com/b@{digest('1')}", ("registry.example.com", "b", "", digest("1"))),
        (f"localhost/b@{digest('1')}", ("localhost", "b", "", digest("1"))),
        (f"library/b:v1@{digest('1')}", ("", "library/b", "v1", digest("1"))),
        (f"b:v1@{digest('1')}", ("", "b", "v1", digest("1"))),
    ],
)
def test_references_are_taken_apart_as_runtimes_do(reference: str, parts: tuple[str, str, str, str]) -> None:
    assert image_parts(reference) == ImageParts(*parts)
