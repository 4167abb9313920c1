"""Comment and code scanning alerts on GitHub.

https://docs.github.com/rest: pulls, issue comments, code scanning. The addresses are the caller's.
"""

from __future__ import annotations

import base64
import gzip
from typing import Final

from stacks.verdict.api import Api, quoted
from stacks.verdict.comment import MARKER

AUTHOR: Final = "github-actions[bot]"
"""Whose comments a workflow's own token writes."""


def connect(base: str, token: str) -> Api:
    """The interface at GITHUB_API_URL."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    return Api(base, headers)


def pull_request(api: Api, repository: str, head: str, commit: str) -> int | None:
    """The open pull request from a branch (`owner:branch`) if the commit is still its newest.

    The evidence is not asked: what a pull request's code writes must not choose where a comment goes.
    """
    for found in api.pages(f"/repos/{repository}/pulls?state=open&head={quoted(head)}"):
        if found["head"]["sha"] == commit:
            return int(found["number"])
    return None


def publish(api: Api, repository: str, number: int, text: str, author: str = AUTHOR) -> str:
    """Write the comment, or update the one that an earlier run has written; tells which."""
    for found in api.pages(f"/repos/{repository}/issues/{number}/comments"):
        # Anybody can write the marker; a comment of somebody else is left alone.
        if found["user"]["login"] == author and found["body"].startswith(MARKER):
            api.call("PATCH", f"/repos/{repository}/issues/comments/{int(found['id'])}", {"body": text})
            return "updated"
    api.call("POST", f"/repos/{repository}/issues/{number}/comments", {"body": text})
    return "written"


def upload(api: Api, repository: str, reference: str, commit: str, sarif: str) -> None:
    """Give the findings to code scanning.

    :param reference: `refs/pull/<number>/head` or `refs/heads/<branch>`.
    """
    packed = base64.b64encode(gzip.compress(sarif.encode(), mtime=0)).decode()
    body = {"commit_sha": commit, "ref": reference, "sarif": packed}
    api.call("POST", f"/repos/{repository}/code-scanning/sarifs", body)
