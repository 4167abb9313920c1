"""Kernel settings of the nodes.

GKE takes the sysctls that the `LinuxNodeConfig` message of its API lists, and no others. The limit of open
files of a process (`nofile`) is not among what it lets one set: containers get that of the node image's
containerd, whose ceiling is fs.nr_open (1048576 unless set).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SYSCTLS: Final[Mapping[str, str]] = {
    # Connections that wait to be accepted; the kernel's default is 4096.
    "net.core.somaxconn": "65535",
    # Open files of the whole node.
    "fs.file-max": "2097152",
    # Engines map weights and their caches in many pieces; the kernel's default is 65530.
    "vm.max_map_count": "262144",
    "fs.inotify.max_user_instances": "8192",
    "fs.inotify.max_user_watches": "524288",
}
