"""Only well-formed SHA256SUMS are accepted, and the same content has one digest."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model_store.manifest import Manifest, ManifestError, parse_manifest

A, B = "a" * 64, "b" * 64

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
paths = st.from_regex(r"[a-z0-9_-]{1,8}(/[a-z0-9_-]{1,8}){0,2}\.(json|safetensors)", fullmatch=True)
files = st.dictionaries(paths, digests, min_size=1, max_size=8)


def test_the_digest_is_that_of_the_sorted_canonical_text() -> None:
    manifest = parse_manifest(f"{B} *z.json\n\n{A}  a/b.json\n")
    assert manifest.text == f"{A}  a/b.json\n{B}  z.json\n"
    assert manifest.digest == hashlib.sha256(manifest.text.encode()).hexdigest()


def test_the_digest_agrees_with_the_fetchers() -> None:
    empty = hashlib.sha256().hexdigest()
    assert parse_manifest(f"{empty}  a\n").digest == hashlib.sha256(f"{empty}  a\n".encode()).hexdigest()


@given(files, st.randoms())
def test_order_does_not_matter(content: dict[str, str], random: object) -> None:
    lines = [f"{digest}  {path}" for path, digest in content.items()]
    random.shuffle(lines)  # type: ignore[attr-defined]
    assert parse_manifest("\n".join(lines)) == Manifest(tuple(sorted(content.items())))


@given(files, digests)
def test_any_other_digest_is_another_version(content: dict[str, str], digest: str) -> None:
    changed = dict(content)
    path = next(iter(content))
    changed[path] = digest
    same = changed == content
    assert (
        Manifest(tuple(sorted(content.items()))).digest == Manifest(tuple(sorted(changed.items()))).digest
    ) == same


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{'a' * 63}  f", "line 1: .* 64 lower-case hex digits"),
        (f"{'g' * 64}  f", "line 1: .* 64 lower-case hex digits"),
        (f"{'A' * 64}  f", "upper-case digits"),
        (f"{A}  f\n{B}  f", "line 2: 'f' is listed twice"),
        (f"{A}  /etc/passwd", "not a plain relative path"),
        (f"{A}  ../f", "not a plain relative path"),
        (f"{A}  a//f", "not a plain relative path"),
        (f"{A}  ./f", "not a plain relative path"),
        (f"{A}  a\\f", "not a plain relative path"),
        (f"{A}  pytorch_model.bin", "pickle"),
        (f"{A}  w.PT", "pickle"),
        (A, "is not '<64 hex digits>  <path>'"),
        ("", "no files"),
        ("\n\n", "no files"),
    ],
)
def test_what_is_refused_says_line_and_fix(text: str, problem: str) -> None:
    with pytest.raises(ManifestError, match=problem):
        parse_manifest(text)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ManifestError) as refused:
        parse_manifest(f"zz  a\n{A}  ../b\n{A}  c\n{A}  c\n")
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["line 1", "line 2", "line 4"]
