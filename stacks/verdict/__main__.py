"""`python -m stacks.verdict`: judge stacks, and tell a pull request.

The exit status is 1 where a stack is refused or could not be judged to the end.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from stacks.verdict import evidence as evidences
from stacks.verdict import github, gitlab
from stacks.verdict.api import ApiError
from stacks.verdict.collect import evidence as collected
from stacks.verdict.comment import comment
from stacks.verdict.evidence import Evidence, EvidenceError, Stack
from stacks.verdict.previews import preview
from stacks.verdict.sarif import as_sarif
from stacks.verdict.state import analyze

ROOT = Path(__file__).resolve().parents[2]

GITLAB_JOB = "verdict"
GITLAB_FILE = "verdict/verdict.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; what the caller can act on is printed without a traceback."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except (ApiError, EvidenceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.verdict", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    previews = commands.add_parser("preview", help="preview stacks through the policy pack")
    previews.add_argument("stacks", nargs="+", metavar="STACK")
    state = commands.add_parser("state", help="judge the exported state of a stack")
    state.add_argument("file", type=Path)
    state.add_argument("--stack", required=True)
    for command in (previews, state):
        command.add_argument("--output", type=Path, default=Path("verdict"), metavar="FOLDER")
        command.add_argument("--commit", default=os.environ.get("VERDICT_COMMIT", ""), help="what is judged")
    previews.set_defaults(command=_previews)
    state.set_defaults(command=_state)

    on_github = commands.add_parser("github", help="comment on the pull request of a branch")
    on_github.add_argument("evidence", type=Path)
    on_github.add_argument("--repository", required=True, metavar="OWNER/NAME")
    of = on_github.add_mutually_exclusive_group(required=True)
    of.add_argument("--head", metavar="OWNER:BRANCH", help="where the pull request comes from")
    of.add_argument("--branch", help="no pull request: findings of a branch, for code scanning")
    on_github.add_argument("--commit", required=True)
    on_github.add_argument(
        "--code-scanning", action="store_true", help="give the findings to code scanning instead"
    )
    on_github.set_defaults(command=_github)

    on_gitlab = commands.add_parser("gitlab", help="comment on a merge request")
    on_gitlab.add_argument("--project", required=True, metavar="ID")
    on_gitlab.add_argument("--merge-request", required=True, type=int, metavar="IID")
    on_gitlab.add_argument("--job", required=True, type=int, metavar="ID", help="the job that has judged")
    on_gitlab.set_defaults(command=_gitlab)
    return parser


def _previews(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    return _tell([preview(stack, folder, ROOT) for stack in dict.fromkeys(arguments.stacks)], arguments)


def _state(arguments: argparse.Namespace) -> int:
    return _tell([analyze(arguments.file, arguments.stack, ROOT)], arguments)


def _tell(stacks: Sequence[Stack], arguments: argparse.Namespace) -> int:
    """Write comment, evidence and SARIF, and say in a few lines what is in them."""
    found = collected(stacks, ROOT, arguments.commit)
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdict.json").write_text(evidences.write(found), encoding="utf-8")
    (folder / "verdict.sarif").write_text(as_sarif(found), encoding="utf-8")
    (folder / "comment.md").write_text(comment(found), encoding="utf-8")
    print()
    for stack in found.stacks:
        number = len(stack.violations)
        told = {"refused": f"refused by policy: {number} {'violation' if number == 1 else 'violations'}"}
        print(f"{stack.name}: {told.get(stack.outcome, stack.outcome)}")
        for one in stack.violations:
            where = f"{one.location.file}:{one.location.line}"
            print(f"  {where}: {one.rule}: {one.resource or 'the stack'}: {one.message}")
        for error in stack.errors:
            print(f"  {error}")
    print(f"comment.md, verdict.json and verdict.sarif are in {folder}")
    return 0 if found.outcome == "passed" else 1


def _read(file: Path) -> Evidence:
    with file.open(encoding="utf-8") as opened:
        return evidences.read(opened.read(evidences.MAX_BYTES + 1))


def _github(arguments: argparse.Namespace) -> int:
    found = _read(arguments.evidence)
    repository, commit = arguments.repository, arguments.commit
    api = github.connect(_variable("GITHUB_API_URL"), _variable("GITHUB_TOKEN"))
    if arguments.branch:
        github.upload(api, repository, f"refs/heads/{arguments.branch}", commit, as_sarif(found))
        print(f"branch {arguments.branch}: findings uploaded")
        return 0
    number = github.pull_request(api, repository, arguments.head, commit)
    if number is None:
        print(f"{commit} is no longer the newest commit of an open pull request; nothing to tell")
    elif arguments.code_scanning:
        github.upload(api, repository, f"refs/pull/{number}/head", commit, as_sarif(found))
        print(f"pull request {number}: findings uploaded")
    else:
        done = github.publish(api, repository, number, comment(found, commit))
        print(f"pull request {number}: comment {done}")
    return 0


def _gitlab(arguments: argparse.Namespace) -> int:
    api = gitlab.connect(_variable("CI_API_V4_URL"), _variable("VERDICT_TOKEN"))
    project, number = arguments.project, arguments.merge_request
    commit = gitlab.judged_commit(api, project, arguments.job, GITLAB_JOB)
    if commit != gitlab.newest_commit(api, project, number):
        print(f"job {arguments.job} has not judged the newest commit of the merge request; nothing to tell")
        return 0
    found = evidences.read(gitlab.artifact(api, project, arguments.job, GITLAB_FILE))
    print(f"merge request {number}: comment {gitlab.publish(api, project, number, comment(found, commit))}")
    return 0


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ApiError(f"{name} is not set; the pipeline sets it")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
