"""Values that stand for one of the user's own."""

from __future__ import annotations

import pytest

from stacks.examples import example_values


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("arn:aws:iam::111122223333:role/admin", "an example account"),
        ("111122223333", "an example account"),
        ("serviceAccount:x@example-project.iam.gserviceaccount.com", "an example project"),
        ("autoglm.staging.example.com", "an example domain"),
        ("group:security@example.org", "an example domain"),
        ("203.0.113.7/32", "an example address"),
        (f"registry/weights@sha256:{'0' * 64}", "an example digest"),
        (f"{'0' * 64}  config.json\n", "an example digest"),
        ("0" * 40, "an example commit"),
        (f"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyE{'A' * 44}=\n", "an example public key"),
    ],
)
def test_an_example_is_named_with_its_place(value: str, what: str) -> None:
    (problem,) = example_values({"models": [{"key": value}]})
    assert problem.path == "models[0].key"
    assert f"is {what}; replace it" in problem.message


@pytest.mark.parametrize(
    "value",
    [
        *("4111122223333", "my-example-projects", "example.company", "10.8.0.0/16", "0" * 41),
        f"MCowBQYDK2VwAyE{'A' * 43}B=",
        *(7, None, True),
    ],
)
def test_other_values_are_no_examples(value: object) -> None:
    assert list(example_values({"key": value})) == []
