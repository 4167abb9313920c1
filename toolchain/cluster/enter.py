"""Run a command in the mount namespace of a process: `python3 -m toolchain.cluster.enter PID COMMAND …`.

What nsenter does, for hosts that lack it.
"""

from __future__ import annotations

import os
import sys

from toolchain.cluster.linux import enter_mount_namespace


def main(arguments: list[str]) -> None:
    """Replace this process by the command; the working directory is the root."""
    pid, command = int(arguments[0]), arguments[1:]
    enter_mount_namespace(pid)
    os.chdir("/")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
