"""Nothing secret is printed."""

import pytest

from weights.redact import describe, redact


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("https://host/x?X-Amz-Signature=1&y=2 failed", "https://host/x?[redacted] failed"),
        ("'s3://key:secret@bucket/x'", "'s3://bucket/x'"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("a\nb\x1b[31m\tc", "a b [31m c"),
        ("value hunter22 here", "value [redacted] here"),
        ("plain?question", "plain?question"),
    ],
)
def test_redact(text: str, printed: str) -> None:
    assert redact(text, {"MY_PASSWORD": "hunter22", "HOME": "/plain"}) == printed


def test_short_values_are_not_taken_for_secrets() -> None:
    assert redact("a 1 b", {"TOKEN": "1"}) == "a 1 b"


def test_an_exception_becomes_one_line() -> None:
    assert describe(ValueError("x\ny")) == "ValueError: x y"
    assert describe(TimeoutError()) == "TimeoutError"
