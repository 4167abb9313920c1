"""Answers of the JSON gateway, and the command line around it."""

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcd_tools.cli import main
from etcd_tools.errors import ApiError, Unreachable
from etcd_tools.gateway import Credentials, Gateway, _answer, decoded, encoded, prefix_end


@settings(deadline=None)
@given(st.text())
def test_keys_survive_their_encoding(text: str) -> None:
    assert decoded(encoded(text)) == text
    assert decoded(None) == ""


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=126), min_size=1), st.text())
def test_the_end_of_a_prefix_comes_after_all_that_begins_with_it(prefix: str, rest: str) -> None:
    end = base64.b64decode(prefix_end(prefix))
    assert (prefix + rest).encode() < end
    assert not end.startswith(prefix.encode())


@pytest.mark.parametrize(
    ("status", "text", "code", "message"),
    [
        # As etcd 3.6.8 answers: a google.rpc.Status, and on a stream the same below `error`.
        (
            429,
            b'{"code":8,"message":"etcdserver: mvcc: database space exceeded","details":[]}',
            8,
            "space exceeded",
        ),
        (200, b'{"error":{"grpc_code":14,"message":"no leader"}}', 14, "no leader"),
        (503, b'{"error":"etcdserver: unhealthy cluster","code":14}', 2, "unhealthy cluster"),
        (502, b"<html>", 2, "not JSON"),
        (200, b"[]", 2, "not an object"),
    ],
)
def test_errors(status: int, text: bytes, code: int, message: str) -> None:
    with pytest.raises(ApiError, match=message) as raised:
        _answer("https://etcd:2379", status, text)
    assert raised.value.code == code


def test_answers() -> None:
    assert _answer("e", 200, b'{"result":{"TTL":"5"}}\n{"result":{}}') == {"TTL": "5"}
    assert _answer("e", 200, b'{"header":{}}') == {"header": {}}
    assert _answer("e", 200, b"") == {}


def test_credentials_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=f"{tmp_path}: certificate cannot be used"):
        Gateway("https://127.0.0.1:1", Credentials(tmp_path)).call("kv/range")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "refused: arguments"),
        (["frobnicate"], "refused: arguments"),
        (["status"], "refused: --endpoints: none given"),
        (["snapshot", "--directory=/nowhere", "--keep=0"], "refused: --keep: 0"),
        (["verify", "/nowhere/a.db"], "refused: a.db: no sum was noted beside it"),
        (
            ["bootstrap", "--name=a", "--template=/t", "--output=/o", "--snapshot=/s"],
            "refused: --snapshot: goes with --sha256",
        ),
        (
            ["--endpoints=https://127.0.0.1:1", "registry", "--server=x"],
            "refused: x: is not model=http",
        ),
    ],
)
def test_refusals_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
