"""One comment, updated in place, on servers that answer as the forges' documentation says."""

from __future__ import annotations

import base64
import gzip
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from stacks.verdict import __main__ as command
from stacks.verdict import evidence as evidences
from stacks.verdict.comment import MARKER
from tests.unit.verdict.examples import PASSED, REFUSED, evidence

COMMIT = "c0ffee" * 6 + "c0ff"
TOKEN = "token-of-this-test"


class Forge:
    """Comments and pull requests in memory, behind a port on loopback."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.pulls = [{"number": 7, "head": {"sha": COMMIT}}]
        self.uploads: list[dict[str, Any]] = []
        self.artifact = ""
        self.job = {"name": "verdict", "commit": {"id": COMMIT}}
        self.requests: list[str] = []
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                allowed = TOKEN in self.headers.get("Authorization", "") + self.headers.get(
                    "PRIVATE-TOKEN", ""
                )
                status, answer = forge.answer(self.command, self.path, body) if allowed else (401, {})
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = _answer

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        url = urlsplit(path)
        query = parse_qs(url.query)
        page = int(query.get("page", ["1"])[0])
        listed = self.comments[(page - 1) * 100 : page * 100]
        where = unquote(url.path)
        self.requests.append(f"{method} {where}")
        match method, where:
            case "GET", "/repos/o/r/pulls":
                assert query["head"] == ["fork:feature/x"]
                return 200, self.pulls if page == 1 else []
            case ("GET", "/repos/o/r/issues/7/comments") | ("GET", "/projects/5/merge_requests/7/notes"):
                return 200, listed
            case ("POST", "/repos/o/r/issues/7/comments") | ("POST", "/projects/5/merge_requests/7/notes"):
                self.add(body["body"], "github-actions[bot]", 3)
                return 201, self.comments[-1]
            case "POST", "/repos/o/r/code-scanning/sarifs":
                self.uploads.append(body)
                return 202, {}
            case "GET", "/user":
                return 200, {"id": 3}
            case "GET", "/projects/5/merge_requests/7":
                return 200, {"sha": COMMIT}
            case "GET", "/projects/5/jobs/9":
                return 200, self.job
            case "GET", "/projects/5/jobs/9/artifacts/verdict/verdict.json":
                return 200, self.artifact.encode()
        if found := re.fullmatch(r"(PATCH|PUT) .*/(?:comments|notes)/(\d+)", f"{method} {where}"):
            self.comments[int(found[2])]["body"] = body["body"]
            return 200, {}
        return 404, {"message": "Not Found"}

    def add(self, body: str, login: str, author: int) -> None:
        self.comments.append(
            {"id": len(self.comments), "body": body, "user": {"login": login}, "author": {"id": author}}
        )

    def own(self) -> list[str]:
        return [one["body"] for one in self.comments if one["user"]["login"] == "github-actions[bot]"]


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    made = Forge()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    for name in ("GITHUB_API_URL", "CI_API_V4_URL"):
        monkeypatch.setenv(name, made.address)
    for name in ("GITHUB_TOKEN", "VERDICT_TOKEN"):
        monkeypatch.setenv(name, TOKEN)
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def _github(file: Path, *more: str, commit: str = COMMIT) -> int:
    arguments = ["github", str(file), "--repository", "o/r", "--commit", commit]
    return command.main([*arguments, *(more or ("--head", "fork:feature/x"))])


def _gitlab() -> int:
    return command.main(["gitlab", "--project", "5", "--merge-request", "7", "--job", "9"])


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    file = tmp_path / "verdict.json"
    file.write_text(evidences.write(evidence(REFUSED)), encoding="utf-8")
    return file


def test_github_gets_one_comment_that_is_updated(forge: Forge, refused: Path) -> None:
    # Behind more than a page of others, and behind one that only looks like ours.
    for number in range(120):
        forge.add(f"comment {number}", "someone", 8)
    forge.add(f"{MARKER}\nforged", "someone", 8)
    assert _github(refused) == 0
    assert "refused by policy" in forge.own()[0]
    refused.write_text(evidences.write(evidence(PASSED)), encoding="utf-8")
    assert _github(refused) == 0
    (own,) = forge.own()
    assert "no policy refuses it" in own
    assert forge.comments[120]["body"].endswith("forged")


def test_gitlab_gets_one_comment_that_is_updated(forge: Forge) -> None:
    forge.add(f"{MARKER}\nforged", "someone", 8)
    forge.artifact = evidences.write(evidence(REFUSED))
    assert _gitlab() == 0
    forge.artifact = evidences.write(evidence(PASSED))
    assert _gitlab() == 0
    (own,) = forge.own()
    assert "no policy refuses it" in own


@pytest.mark.parametrize("job", [{"name": "verdict", "commit": {"id": "0" * 40}}, {"name": "other"}])
def test_gitlab_hears_nothing_of_another_commit_or_job(forge: Forge, job: dict[str, Any]) -> None:
    forge.job = {"commit": {"id": COMMIT}, **job}
    forge.artifact = evidences.write(evidence(PASSED))
    assert _gitlab() == 0
    assert forge.comments == []


def test_an_outdated_run_tells_nothing(forge: Forge, refused: Path) -> None:
    forge.pulls = [{"number": 7, "head": {"sha": "0" * 40}}]
    assert _github(refused) == 0
    assert forge.comments == []


def test_findings_go_to_code_scanning(forge: Forge, refused: Path) -> None:
    assert _github(refused, "--code-scanning", "--head", "fork:feature/x") == 0
    assert _github(refused, "--code-scanning", "--branch", "main") == 0
    assert [one["ref"] for one in forge.uploads] == ["refs/pull/7/head", "refs/heads/main"]
    sarif = json.loads(gzip.decompress(base64.b64decode(forge.uploads[0]["sarif"])))
    assert sarif["runs"][0]["results"][0]["ruleId"] == "container-memory-limit"
    assert forge.comments == []


def test_evidence_that_is_none_is_refused_before_anything_is_asked(
    forge: Forge, refused: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused.write_text("{}", encoding="utf-8")
    assert _github(refused) == 2
    assert forge.requests == []
    assert "error: version: None" in capsys.readouterr().err


def test_an_error_of_the_forge_is_told_without_the_token(
    forge: Forge, refused: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "wrong-and-secret")
    assert _github(refused) == 2
    told = capsys.readouterr()
    assert "401" in told.err
    assert "wrong-and-secret" not in told.out + told.err
