"""The policy pack refuses what would break isolation or limits, and `pulumi up` then changes nothing.

The program under test is this repository's own with one change made to what it registers, by a wrapper in a
folder of its own: nothing in the program knows of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.engine import Engine
from toolchain import paths

_TRANSFORM = """
def transform(args):
    if args.type_ != "kubernetes:apps/v1:Deployment":
        return None
    props = args.props
    container = props["spec"]["template"]["spec"]["containers"][0]
{change}
    return pulumi.ResourceTransformResult(props=props, opts=args.opts)

pulumi.runtime.register_resource_transform(transform)
"""

_WITHOUT_DEFAULT_DENY = """
from pulumi_kubernetes import networking

create = networking.v1.NetworkPolicy

def create_unless_default_deny(name, *args, **kwargs):
    return None if name.endswith("default-deny") else create(name, *args, **kwargs)

networking.v1.NetworkPolicy = create_unless_default_deny
"""

_PROGRAM = """
import runpy
import sys

import pulumi

sys.path.insert(0, {root!r})
{change}
runpy.run_path({program!r}, run_name="__main__")
"""

CASES = {
    "limits removed": (_TRANSFORM.format(change='    del container["resources"]["limits"]'), "limits"),
    "image by tag latest": (
        _TRANSFORM.format(change='    container["image"] = container["image"].split("@")[0] + ":latest"'),
        "latest",
    ),
    "GPU request differs from its limit": (
        _TRANSFORM.format(
            change='    container["resources"]["requests"]["nvidia.com/gpu"] = "1"\n'
            '    container["resources"]["limits"]["nvidia.com/gpu"] = "2"'
        ),
        "nvidia.com/gpu",
    ),
    "default-deny removed": (_WITHOUT_DEFAULT_DENY, "deny"),
}


def _program(folder: Path, change: str) -> Engine:
    """The program with a change, run by the same engine on the same stack."""
    (folder / "Pulumi.yaml").write_text((paths.ROOT / "Pulumi.yaml").read_text())
    (folder / ".toolchain").symlink_to(paths.TOOLCHAIN)
    source = _PROGRAM.format(root=str(paths.ROOT), program=str(paths.ROOT / "__main__.py"), change=change)
    (folder / "__main__.py").write_text(source)
    return Engine(folder)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("case", CASES)
def test_update_is_refused_and_changes_nothing(case: str, engine: Engine, tmp_path: Path) -> None:
    change, said = CASES[case]
    result = _program(tmp_path, change).up().failed()
    violations = result.output.partition("Policies:")[2]
    assert "[mandatory]" in violations, f"{result}"
    assert said in violations, f"{result}"


def test_wrapped_program_without_a_change_is_accepted(engine: Engine, tmp_path: Path) -> None:
    """What is refused above is refused for the change, not for the wrapper."""
    _program(tmp_path, "").run("preview", "--expect-no-changes").succeeded()
