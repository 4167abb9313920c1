"""What the API server is told to record: one policy and its flags, for every API server that is ours.

Both are data files, since those who read them are several: this package for machines of one's own, and the
toolchain, which knows no components, for the embedded cluster.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Final

_HERE: Final = Path(__file__).parent
POLICY_FILE: Final = _HERE / "policy.yaml"
FLAGS_FILE: Final = _HERE / "flags.json"


def policy() -> str:
    """Text of the policy (audit.k8s.io/v1)."""
    return POLICY_FILE.read_text(encoding="utf-8")


def flags() -> dict[str, str]:
    """Flags of kube-apiserver, in megabytes and days where they are numbers."""
    content: dict[str, str] = json.loads(FLAGS_FILE.read_text(encoding="utf-8"))
    return content


def policy_path() -> PurePosixPath:
    """Where the API server looks for its policy."""
    return PurePosixPath(flags()["audit-policy-file"])


def log_folder() -> PurePosixPath:
    """Folder of the log and its rotated predecessors, on the node and in the API server's pod."""
    return PurePosixPath(flags()["audit-log-path"]).parent
