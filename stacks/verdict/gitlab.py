"""Comment on a merge request on GitLab.

https://docs.gitlab.com/api/: merge requests, jobs, job artifacts, notes. The addresses are the caller's.
"""

from __future__ import annotations

from stacks.verdict.api import Api, quoted
from stacks.verdict.comment import MARKER


def connect(base: str, token: str) -> Api:
    """The interface at CI_API_V4_URL."""
    return Api(base, {"PRIVATE-TOKEN": token})


def newest_commit(api: Api, project: str, merge_request: int) -> str:
    """The newest commit of a merge request."""
    return str(api.call("GET", f"/projects/{quoted(project)}/merge_requests/{merge_request}")["sha"])


def judged_commit(api: Api, project: str, job: int, name: str) -> str | None:
    """The commit that a job ran on, if it is one of that name: nobody passes off another job's file."""
    found = api.call("GET", f"/projects/{quoted(project)}/jobs/{job}")
    return str(found["commit"]["id"]) if found["name"] == name else None


def artifact(api: Api, project: str, job: int, path: str) -> str:
    """A file that a job has left."""
    return api.content("GET", f"/projects/{quoted(project)}/jobs/{job}/artifacts/{path}").decode()


def publish(api: Api, project: str, merge_request: int, text: str) -> str:
    """Write the comment, or update the one that an earlier run has written; tells which."""
    notes = f"/projects/{quoted(project)}/merge_requests/{merge_request}/notes"
    own = api.call("GET", "/user")["id"]
    for found in api.pages(notes):
        # Anybody can write the marker; a comment of somebody else is left alone.
        if found["author"]["id"] == own and found["body"].startswith(MARKER):
            api.call("PUT", f"{notes}/{int(found['id'])}", {"body": text})
            return "updated"
    api.call("POST", notes, {"body": text})
    return "written"
