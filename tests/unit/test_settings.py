"""Bad settings are refused with file, key, value and fix, all at once; good ones are typed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.load import load_settings
from stacks.problems import Problem, SettingsError
from tests.unit.examples import FILE, SUMS, raw, settings


def refused(changes: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as error:
        settings(changes)
    return str(error.value).splitlines()


def test_the_example_is_accepted() -> None:
    loaded = settings()
    assert loaded.models[0].resources.memory == 6 * 2**30
    assert loaded.models[0].resources.cpu == 1200
    assert loaded.tenant.trusted_clients == {"purpose": "trusted"}
    assert loaded.data_protection == "none"


def test_data_is_protected_unless_said_otherwise() -> None:
    assert settings({"dataProtection": None}).data_protection == "protected"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("models[0].replica", 2, "models[0].replica: unknown key; did you mean replicas?"),
        ("models[0].engine.flags.max_model_len", 2, "unknown key; did you mean maxModelLen?"),
        ("models[0].source.foo", 2, "models[0].source.foo: unknown key; use one of"),
        ("clusters", {}, "clusters: unknown section; did you mean cluster?"),
        (
            "models[0].resources.memory",
            "6GB",
            "models[0].resources.memory: '6GB' is not a Kubernetes quantity; write 6Gi",
        ),
        ("models[0].resources.cpu", "2Gi", "models[0].resources.cpu: '2Gi' is not a CPU quantity"),
        ("models[0].replicas", 0, "models[0].replicas: 0: too small; write 1 or more"),
        ("models[0].replicas", "2", "models[0].replicas: '2': not a whole number; write it without quotes"),
        ("models[0].replicas", True, "models[0].replicas: True: not a whole number"),
        ("models[0].replicas", 1.5, "models[0].replicas: 1.5: not a whole number"),
        ("models[0].name", "Phone_9B", "models[0].name: 'Phone_9B': not a DNS label"),
        ("models[0].name", None, "models[0].name: required key is missing; add it"),
        ("models[0].source.kind", "ftp", "models[0].source: kind 'ftp': not a choice"),
        ("models[0].source.kind", None, "models[0].source: kind is missing; add it"),
        ("models[0].source.path", "/etc", "models[0].source.path: '/etc': has a form that is not allowed"),
        (
            "models[0].engine.flags.dtype",
            "bf16",
            "models[0].engine.flags.dtype: 'bf16': not a choice; did you mean bfloat16?",
        ),
        ("models[0].engine.flags.enforceEager", "yes", "'yes': neither true nor false"),
        ("models[0].engine.flags.gpuMemoryUtilization", 1.5, "1.5: too large; write 1.0 or less"),
        (
            "models[0].storage.keepVersions",
            1,
            "models[0].storage.keepVersions: 1: too small; write 2 or more",
        ),
        ("models[0].sha256Sums", "abc  f\n", "models[0].sha256Sums: line 1: 'abc' (3 characters) is not 64"),
        ("models[0].sha256Sums", 7, "models[0].sha256Sums: int: not a text"),
        ("models", [], "models: []: needs at least one model"),
        ("models", {"a": 1}, "models: needs a list of models"),
        ("tenant", 3, "tenant: 3: needs keys and values"),
        ("tenant", None, "tenant: required section is missing"),
        ("tenant.trustedClients", {}, "tenant.trustedClients: dict: too few"),
        ("tenant.quota.accelerators", {"gpu": 1}, "tenant.quota.accelerators.gpu: 'gpu': "),
        ("dataProtection", "off", "dataProtection: 'off': not a choice; use one of none, protected"),
        ("cluster.kind", "k3s", "kind 'k3s': not a choice"),
        (
            "images",
            {"kind": "registry", "references": {"vllm": "vllm:latest"}},
            "images.references.vllm: 'vllm:latest': not pinned by digest",
        ),
    ],
)
def test_a_mistake_is_told_with_key_value_and_fix(path: str, value: Any, message: str) -> None:
    lines = refused({path: value})
    assert any(line.startswith(f"{FILE}: ") and message in line for line in lines), lines


def test_all_mistakes_are_told_at_once() -> None:
    lines = refused(
        {"models[0].replicas": 0, "models[0].resources.memory": "6GB", "tenant.quotas": 1, "nope": 1}
    )
    assert len(lines) == 4


def test_a_model_with_a_mistake_does_not_hide_those_of_another() -> None:
    other = raw()["models"][0] | {"name": "other", "replicas": 0}
    lines = refused({"models[0].replicas": 0, "models[1]": other})
    assert [line.split(": ")[1] for line in lines] == ["models[0].replicas", "models[1].replicas"]


SECRETS = [
    ("models[0].source.token", "s3cret-s3cret", "a secret by its name"),
    ("models[0].source.apiKey", "s3cret-s3cret", "a secret by its name"),
    ("models[0].engine.flags.extra", {"hf-token": "s3cret-s3cret"}, "a secret by its name"),
    ("models[0].servedModelName", "hf_" + "a1B2" * 6, "a Hugging Face token"),
    ("models[0].servedModelName", "AKIA" + "ABCD" * 4, "an AWS access key"),
    ("models[0].sha256Sums", "-----BEGIN RSA PRIVATE KEY-----", "a private key"),
    (
        "models[0].source",
        {"kind": "https", "url": "https://me:pa55@host/x", "egressCidrs": ["192.0.2.0/24"]},
        "a URL with a password",
    ),
]


@pytest.mark.parametrize(("path", "value", "message"), SECRETS)
def test_f54_a_secret_in_plain_text_is_refused_and_not_repeated(path: str, value: Any, message: str) -> None:
    lines = refused({path: value})
    assert any(message in line for line in lines)
    for text in value.values() if isinstance(value, dict) else [value]:
        if isinstance(text, str) and len(text) > 10:
            assert not any(text in line for line in lines)


def test_naming_a_secret_is_fine() -> None:
    source = {
        "kind": "s3",
        "uri": "s3://models/phone",
        "egressCidrs": ["192.0.2.0/24"],
        "credentialsSecret": "model-store",
    }
    assert settings({"models[0].source": source}).models[0].source.kind == "s3"


@pytest.mark.parametrize(
    ("source", "document", "ports"),
    [
        (
            {"kind": "huggingface", "repo": "a/b"},
            {"kind": "huggingface", "repo": "a/b", "revision": "r"},
            (443,),
        ),
        (
            {"kind": "s3", "uri": "s3://bucket/p", "region": "x", "endpoint": "https://minio:9000"},
            {"kind": "s3", "uri": "s3://bucket/p", "region": "x", "endpoint": "https://minio:9000"},
            (9000,),
        ),
        ({"kind": "gcs", "uri": "gs://bucket/p"}, {"kind": "gcs", "uri": "gs://bucket/p"}, (443,)),
        ({"kind": "https", "url": "https://h:8443/p"}, {"kind": "https", "url": "https://h:8443/p"}, (8443,)),
    ],
)
def test_sources(source: dict[str, Any], document: dict[str, str], ports: tuple[int, ...]) -> None:
    loaded = settings({"models[0].source": source | {"egressCidrs": ["192.0.2.0/24"]}}).models[0].source
    assert loaded.document("r") == document
    assert loaded.ports() == ports


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
places = st.sampled_from(
    [
        "cluster",
        "tenant",
        "models",
        "images",
        "dataProtection",
        "models[0]",
        "models[0].source",
        "tenant.quota",
        "models[0].engine.flags",
        "models[0].sha256Sums",
        "models[0].resources",
        "models[0].rollout",
        "x",
    ]
)


@given(places, json_values)
def test_whatever_is_written_is_accepted_or_refused_readably(place: str, value: Any) -> None:
    document = raw({place: value} if value is not None else {})
    problems: tuple[Problem, ...] = ()
    try:
        load_settings(json.loads(json.dumps(document)), FILE)
    except SettingsError as error:
        problems = error.problems
    assert all(problem.path and problem.message for problem in problems)


def test_the_manifest_is_parsed() -> None:
    assert settings().models[0].sha256_sums.text == SUMS
