"""Looks the ids of public sets up in their own sources: `python -m tests.policies.public_sets FOLDER`.

FOLDER holds clones named owner+name, with the git directory in `repo` or in the folder itself; the Pod
Security Standards come from the Go module. What is found is written to public_sets.json beside this file.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from policies.public_sets import SAME_AS, PublicSet
from toolchain import golang, paths

RECORD: Final = Path(__file__).with_name("public_sets.json")
SOURCES: Final[dict[PublicSet, str]] = {
    "cis": "aquasecurity/kube-bench",
    "cis-eks": "aquasecurity/kube-bench",
    "cis-gke": "aquasecurity/kube-bench",
    "gatekeeper": "open-policy-agent/gatekeeper-library",
    "kyverno": "kyverno/policies",
    "checkov": "bridgecrewio/checkov",
    "trivy": "aquasecurity/trivy-checks",
    "kube-linter": "stackrox/kube-linter",
    "polaris": "FairwindsOps/polaris",
    "kubescape": "kubescape/regolibrary",
    "kubescape-cel": "kubescape/cel-admission-library",
    "kube-score": "zegl/kube-score",
    "datree": "datreeio/datree",
}
"""Repositories of the sets."""
_FOLDERS: Final[dict[PublicSet, str]] = {
    "cis": r"cfg/cis-1\.12/.*\.yaml",
    "cis-eks": r"cfg/eks-1\.8\.0/.*\.yaml",
    "cis-gke": r"cfg/gke-1\.9\.0/.*\.yaml",
    "gatekeeper": r"library/.*/template\.yaml",
    "kyverno": r"(best-practices|other|psa|nginx-ingress|pod-security/\w+)/([\w-]+)/\2\.yaml",
    "checkov": r"checkov/(kubernetes|terraform)/checks/(resource|graph_checks)/.*\.(py|ya?ml)",
    "trivy": r"checks/(kubernetes|cloud)/.*(?<!_test)\.rego",
    "kube-linter": r"pkg/builtinchecks/yamls/.*\.yaml",
    "polaris": r"pkg/config/checks/.*\.yaml",
    "kubescape": r"rules/[^/]+/raw\.rego",
    "kubescape-cel": r"controls/C-\d+/policy\.yaml",
    "kube-score": r"README_CHECKS\.md",
    "datree": r"pkg/defaultRules/defaultRules\.yaml",
}
_PSS_MODULE: Final = "k8s.io/pod-security-admission"


class Clone:
    """The newest commit of a clone."""

    def __init__(self, folder: Path, repository: str) -> None:
        path = folder / repository.replace("/", "+")
        self._path = path / "repo" if (path / "repo").exists() else path
        self.commit = self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(self._path), *arguments], capture_output=True, check=True)
        return done.stdout.decode("utf-8", "replace")

    def files(self, pattern: str) -> Iterator[tuple[str, str]]:
        """Files whose whole path matches, with their text."""
        for name in self._git("ls-tree", "-r", "--name-only", "HEAD").splitlines():
            if re.fullmatch(pattern, name):
                yield name, self._git("show", f"HEAD:{name}")


def _ids(public_set: PublicSet, name: str, text: str) -> set[str]:
    """Ids that a file of a set defines."""
    if public_set == "kube-linter":
        return {yaml.safe_load(text)["name"]}
    if public_set == "polaris":
        return {Path(name).stem}
    if public_set in ("kubescape", "kubescape-cel"):
        return {Path(name).parent.name}
    if public_set == "kube-score":
        return set(re.findall(r"(?m)^\| ([a-z-]+) \|", text))
    if public_set == "datree":
        return {rule["uniqueName"] for rule in yaml.safe_load(text)["rules"]}
    if public_set.startswith("cis"):
        groups = (yaml.safe_load(text) or {}).get("groups") or []
        return {str(check["id"]) for group in groups for check in group.get("checks", [])}
    if public_set == "gatekeeper":
        return set(re.findall(r"(?m)^ {8}kind: (K8s\w+)$", text))
    if public_set == "kyverno":
        documents: list[Any] = list(yaml.safe_load_all(text))
        return {one["metadata"]["name"] for one in documents if one and one.get("kind") == "ClusterPolicy"}
    if public_set == "checkov":
        return set(re.findall(r"CKV2?_(?:K8S|AWS|GCP)_\d+", text))
    return set(re.findall(r"(?m)^#\s+id: (\S+)$", text))


def _wanted(public_set: PublicSet) -> set[str]:
    return {one for sets in SAME_AS.values() for one in sets.get(public_set, ())}


def _record(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for public_set, repository in SOURCES.items():
        clone = Clone(folder, repository)
        wanted, found = _wanted(public_set), dict[str, str]()
        for name, text in clone.files(_FOLDERS[public_set]):
            for one in sorted(_ids(public_set, name, text) & wanted):
                found.setdefault(one, name)
        if missing := wanted - set(found):
            sys.exit(f"{public_set}: not in {repository}@{clone.commit}: {', '.join(sorted(missing))}")
        result[public_set] = {
            "source": f"https://github.com/{repository}",
            "commit": clone.commit,
            "ids": dict(sorted(found.items())),
        }
    result["pss"] = _pod_security_standards()
    return dict(sorted(result.items()))


def pod_security_module() -> Path:
    """Folder of the module with the Pod Security Standards, at the version that Kubernetes is built from.

    Raises ToolchainError if Go cannot be had, CalledProcessError if the module cannot.
    """
    done = subprocess.run(
        [golang.go(), "mod", "download", "-json", _PSS_MODULE],
        cwd=paths.GO_MODULE,
        env={**os.environ, **golang.environment()},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return Path(json.loads(done.stdout)["Dir"])


def _pod_security_standards() -> dict[str, Any]:
    module = pod_security_module()
    found: dict[str, str] = {}
    for file in sorted((module / "policy").glob("check_*.go")):
        text = file.read_text(encoding="utf-8")
        names = dict(re.findall(r'(\w+)\s+CheckID = "(\w+)"', text))
        for name, level in re.findall(r"ID:\s+(\"?\w+\"?),\s+Level:\s+api\.Level(\w+),", text):
            one = f"{level.lower()}/{names.get(name, name.strip(chr(34)))}"
            if one in _wanted("pss"):
                found[one] = f"policy/{file.name}"
    if missing := _wanted("pss") - set(found):
        sys.exit(f"pss: not in {module.name}: {', '.join(sorted(missing))}")
    return {
        "source": _PSS_MODULE,
        "commit": module.name.partition("@")[2],
        "ids": dict(sorted(found.items())),
    }


if __name__ == "__main__":
    RECORD.write_text(json.dumps(_record(Path(sys.argv[1])), indent=2) + "\n", encoding="utf-8")
