"""Writes what the machines of a bare-metal stack boot from.

`python -m stacks.hosts --stack onprem --out hosts` makes, for each machine, `<name>.user-data` for cloud-init
and `<name>.sh`, a script that does the same. Neither holds a secret; nothing but the folder is touched.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from components.common.problems import Problem, below
from components.hosts.first_boot import render_script, render_user_data
from components.hosts.plan import HostsPlan
from components.onprem.plan import plan_onprem
from components.onprem.settings import OnpremCluster
from stacks.files import stack_sections
from stacks.load import load_settings
from stacks.problems import SettingsError

ROOT: Final = Path(__file__).resolve().parents[1]


def plan_machines(raw: Mapping[str, Any], file: str) -> HostsPlan:
    """The machines of the stack whose raw sections are given; raises SettingsError with every problem."""
    cluster = load_settings(raw, file).cluster
    if not isinstance(cluster, OnpremCluster) or cluster.hosts is None:
        message = f"{cluster.kind}: describes no machines; use kind onprem with a section hosts"
        raise SettingsError(file, [Problem("cluster.kind", message)])
    plan, problems = plan_onprem(cluster, protect=True)
    if plan is None or plan.hosts is None:
        raise SettingsError(file, list(below("cluster", problems)))
    return plan.hosts


def write(plan: HostsPlan, folder: Path) -> list[Path]:
    """The files of all machines, written into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for host in plan.hosts:
        for suffix, text, mode in (
            ("user-data", render_user_data(plan, host), 0o644),
            ("sh", render_script(plan, host), 0o755),
        ):
            file = folder / f"{host.name}.{suffix}"
            file.write_text(text, encoding="utf-8")
            file.chmod(mode)
            written.append(file)
    return written


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m stacks.hosts", description=__doc__.partition("\n")[0])
    parser.add_argument("--stack", default="onprem", help="name of the stack (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("hosts"), help="folder (default %(default)s)")
    options = parser.parse_args()
    file = f"Pulumi.{options.stack}.yaml"
    try:
        written = write(plan_machines(stack_sections(options.stack, ROOT), file), options.out)
    except SettingsError as error:
        sys.exit(f"settings refused, nothing was written:\n{error}")
    except FileNotFoundError as error:
        sys.exit(f"{error.filename}: no such file; name a stack that has settings")
    for path in written:
        print(path)


if __name__ == "__main__":
    main()
