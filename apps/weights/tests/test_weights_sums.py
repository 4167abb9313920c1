"""`SHA256SUMS`: what is read, what is refused, and what names a version."""

import hashlib
import os
import random
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weights.errors import Refused
from weights.sums import Manifest, parse, unsafe

HEX = "0123456789abcdef" * 4

names = st.text(string.ascii_letters + string.digits + " _-.é漢", min_size=1, max_size=12).filter(
    lambda name: (
        name not in (".", "..") and not name.lower().endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt"))
    )
)
paths = st.lists(names, min_size=1, max_size=3).map("/".join).filter(lambda path: not path.startswith(" "))
checksums = st.binary(min_size=32, max_size=32).map(bytes.hex)


@st.composite
def listings(draw: st.DrawFn) -> dict[str, str]:
    """Path → checksum, without a path that is both a file and a directory."""
    drawn = draw(st.dictionaries(paths, checksums, min_size=1, max_size=8))
    return {
        path: checksum
        for path, checksum in drawn.items()
        if not any(other != path and other.startswith(path + "/") for other in drawn)
    }


@given(listings(), st.randoms(use_true_random=False))
def test_digest_does_not_depend_on_the_order_of_the_lines(
    listing: dict[str, str], order: random.Random
) -> None:
    lines = [f"{checksum}  {path}\n" for path, checksum in listing.items()]
    order.shuffle(lines)
    manifest = parse("".join(lines))
    assert dict(manifest.files) == listing
    assert manifest.digest == Manifest.of(sorted(listing.items())).digest
    assert manifest.digest == hashlib.sha256(manifest.canonical.encode()).hexdigest()
    assert parse(manifest.canonical) == manifest
    assert list(manifest.files) == sorted(listing, key=str.encode)


@given(listings(), st.data())
def test_digest_changes_with_any_checksum(listing: dict[str, str], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(listing)))
    changed = {**listing, path: data.draw(checksums.filter(lambda checksum: checksum != listing[path]))}
    assert Manifest.of(changed.items()).digest != Manifest.of(listing.items()).digest


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        manifest = parse(text)
    except Refused:
        return
    assert all(unsafe(path) is None for path in manifest.files)


@given(
    st.lists(st.sampled_from(["a", "b", "..", ".", "", "\\", "\n", "\x7f", "\x00"]), min_size=1, max_size=5)
)
def test_a_path_that_is_accepted_stays_below_its_directory(parts: list[str]) -> None:
    path = "/".join(parts)
    if unsafe(path) is None:
        assert os.path.normpath(os.path.join("/model", path)) == f"/model/{path}"


def test_the_output_of_sha256sum_is_read(tmp_path: Path) -> None:
    for name in ("b", "a", "Z"):
        (tmp_path / name).write_text(name)
    text = subprocess.run(
        ["sha256sum", "b", "a", "Z"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    manifest = parse(text)
    assert list(manifest.files) == ["Z", "a", "b"]
    check = subprocess.run(
        ["sha256sum", "--check", "--strict"], input=manifest.canonical, cwd=tmp_path, text=True
    )
    assert check.returncode == 0


def test_digest_of_a_known_listing() -> None:
    """Fixed for ever: it names directories in stores that exist."""
    manifest = Manifest.of([("b/c", "1" * 64), ("a", "0" * 64)])
    assert manifest.canonical == f"{'0' * 64}  a\n{'1' * 64}  b/c\n"
    assert manifest.digest == "5db917d52f4ff7daee7fdf6c902456a202a627266bb59dcda35fd5da73bd360e"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "SHA256SUMS: lists no file; write it with `sha256sum` over every file of the model"),
        ("\n", "SHA256SUMS: line 1: is empty"),
        (f"{HEX}  a\n\n", "SHA256SUMS: line 2: is empty"),
        (f"{HEX.upper()}  a\n", "SHA256SUMS: line 1: the checksum must be in lowercase"),
        (f"{HEX[1:]}  a\n", f"SHA256SUMS: line 1: a checksum is 64 hexadecimal digits, found '{HEX[1:]}'"),
        (f"g{HEX[1:]}  a\n", f"SHA256SUMS: line 1: a checksum is 64 hexadecimal digits, found 'g{HEX[1:]}'"),
        (
            f"{HEX} *a\n",
            "SHA256SUMS: line 1: is in binary mode; write it with `sha256sum` without --binary",
        ),
        (
            f"{HEX} a\n",
            "SHA256SUMS: line 1: expected `<64 hexadecimal digits>  <path>` with two spaces between",
        ),
        (f"{HEX}  a\r\n", "SHA256SUMS: line 1: 'a\\r' has a control or unprintable character"),
        (f"{HEX}  /a\n", "SHA256SUMS: line 1: '/a' is an absolute path"),
        (f"{HEX}  ../a\n", "SHA256SUMS: line 1: '../a' leaves the model's directory (`..`)"),
        (f"{HEX}  a/../../b\n", "SHA256SUMS: line 1: 'a/../../b' leaves the model's directory (`..`)"),
        (
            f"{HEX}  ./a\n",
            "SHA256SUMS: line 1: './a' is not in its plain form (drop `./`, `//` and a final `/`)",
        ),
        (f"{HEX}  a\\b\n", "SHA256SUMS: line 1: 'a\\\\b' has a backslash"),
        (f"{HEX}  a\n{HEX}  a\n", "SHA256SUMS: line 2: 'a' is listed twice"),
        (f"{HEX}  a\n{HEX}  a/b\n", "SHA256SUMS: 'a' is listed as a file and used as a directory"),
        (f"{HEX}  {'x' * 256}\n", f"SHA256SUMS: line 1: '{'x' * 256}' has a name longer than 255 bytes"),
        (
            f"{HEX}  pytorch_model.bin\n",
            "pytorch_model.bin: pickled weights (.bin) run code when loaded; publish safetensors instead",
        ),
        (
            f"{HEX}  a/B.PT\n",
            "a/B.PT: pickled weights (.pt) run code when loaded; publish safetensors instead",
        ),
    ],
)
def test_a_listing_that_is_not_plain_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(text)
    assert str(refused.value) == reason


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"])
def test_pickled_weights_are_refused(suffix: str) -> None:
    with pytest.raises(Refused, match="pickled weights"):
        parse(f"{HEX}  model{suffix}\n")
