"""Objects that Trivy's own tests and examples allow and deny, from the Go module with its checks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from toolchain import golang

MODULE: Final = "github.com/aquasecurity/trivy-checks"
VERSION: Final = "v1.10.0"
SUM: Final = "h1:Q0FWsYy/uwvr/icRSOzNu55yDZ1ME8hZlpglNs62ZfE="
"""Of the module's content, as in a go.sum."""

_FOLDER: Final = Path("checks/kubernetes")
_ID: Final = re.compile(r"(?m)^#\s+id: (?:AVD-)?(KSV|KCV)-?0*(\d+)$")
_TEST: Final = re.compile(r"(?m)^(test_\w+)\s*(?:if\s*)?(?={)")
_INPUT: Final = re.compile(r"with input as (?={)")
_COUNT: Final = re.compile(r"count\(\w+\)\s*(==|>|>=|!=)\s*(\d+)")
_CLOSING: Final = {"{": "}", "[": "]"}


@dataclass(frozen=True)
class Sample:
    """An object, and what one check says of it."""

    check: str
    """Id as in `policies.public_sets`."""
    name: str
    """File and test, or file and number of the example."""
    manifest: dict[str, Any]
    denied: bool

    @property
    def token(self) -> str:
        """Type of the resource that stands for it in a program."""
        version = self.manifest.get("apiVersion") or "v1"
        group = version if "/" in version else f"core/{version}"
        return f"kubernetes:{group}:{self.manifest.get('kind')}"


def download() -> Path:
    """The module's folder.

    :raises ToolchainError: there is no Go.
    :raises subprocess.SubprocessError: the module is not to be had.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [golang.go(), "mod", "download", "-json", f"{MODULE}@{VERSION}"],
            cwd=folder,
            env={**os.environ, **golang.environment(), "GOFLAGS": "-mod=mod"},
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
    found = json.loads(done.stdout)
    assert found["Sum"] == SUM, f"{MODULE}@{VERSION} has another content: {found['Sum']}"
    return Path(found["Dir"])


def samples(module: Path) -> tuple[list[Sample], list[str]]:
    """Objects of tests and examples, and names of tests that do not state one."""
    found: list[Sample] = []
    left_out: list[str] = []
    for policy in sorted((module / _FOLDER).rglob("*.rego")):
        if policy.name.endswith("_test.rego") or not (
            stated := _ID.search(policy.read_text(encoding="utf-8"))
        ):
            continue
        check = f"{stated[1]}-{int(stated[2]):04d}"
        tests = policy.with_name(f"{policy.stem}_test.rego")
        for name, tested in _tests(tests) if tests.is_file() else ():
            if tested is None:
                left_out.append(f"{tests.name} {name}")
            else:
                found.append(Sample(check, f"{tests.name} {name}", *tested))
        examples = policy.with_suffix(".yaml")
        found += _examples(check, examples) if examples.is_file() else ()
    return found, left_out


def _tests(file: Path) -> Iterator[tuple[str, tuple[dict[str, Any], bool] | None]]:
    text = file.read_text(encoding="utf-8")
    for test in _TEST.finditer(text):
        body = _block(text, test.end())
        given, count = _INPUT.search(body), _COUNT.search(body)
        manifest = _value(_block(body, given.end())) if given else None
        yield test[1], (manifest, count.groups() != ("==", "0")) if manifest and count else None


def _block(text: str, start: int) -> str:
    """From a bracket to the one that closes it, without comments."""
    open_brackets: list[str] = []
    kept: list[str] = []
    position = start
    while position < len(text):
        # A string, a comment, or one character.
        token = re.compile(r'"(?:\\.|[^"\\])*"|`[^`]*`|#[^\n]*|.', re.DOTALL).match(text, position)
        assert token
        position = token.end()
        one = token[0]
        if one.startswith("#"):
            continue
        kept.append(json.dumps(one[1:-1]) if one.startswith("`") else one)
        if one in _CLOSING:
            open_brackets.append(_CLOSING[one])
        elif open_brackets and one == open_brackets[-1]:
            open_brackets.pop()
            if not open_brackets:
                return "".join(kept)
    raise AssertionError(f"no end of what begins with {text[start : start + 40]!r}")


def _value(text: str) -> dict[str, Any] | None:
    """An object in Rego's notation: JSON with a comma after the last item. None if there are terms in it."""
    try:
        found = json.loads(re.sub(r",(?=\s*[}\]])", "", text))
    except ValueError:
        return None
    return found if isinstance(found, dict) and "kind" in found else None


def _examples(check: str, file: Path) -> Iterator[Sample]:
    stated = yaml.safe_load(file.read_text(encoding="utf-8"))["kubernetes"]
    for kind in ("good", "bad"):
        for number, text in enumerate(stated.get(kind) or ()):
            for one in yaml.safe_load_all(text):
                if isinstance(one, dict):
                    yield Sample(check, f"{file.name} {kind}[{number}]", one, kind == "bad")
