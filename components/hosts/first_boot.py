"""What makes a node of a machine: as cloud-init user-data, and as a plain script that does the same."""

from __future__ import annotations

import base64
from typing import Any, Final

import yaml

from components.hosts import virtual_ip
from components.hosts.files import MODULES, files
from components.hosts.plan import Host, HostsPlan
from components.hosts.preflight import PREFLIGHT

_BASE_PACKAGES: Final = ("conntrack", "iproute2", "nftables", "procps")
_KEYRINGS: Final = "/etc/apt/keyrings"


def packages(plan: HostsPlan, host: Host) -> list[str]:
    """Packages of the machine, sorted."""
    wanted = {*_BASE_PACKAGES, *plan.settings.packages}
    if host.control_plane:
        wanted |= set(virtual_ip.PACKAGES)
    return sorted(wanted)


def commands(plan: HostsPlan, host: Host) -> list[str]:
    """Shell commands after files and packages are there; each may be run again."""
    found = [f"modprobe --all {' '.join(MODULES)}", "sysctl --system >/dev/null"]
    if plan.settings.swap == "off":
        found += ["swapoff --all", "sed -i -E '/^[^#].*\\sswap\\s/ s/^/# autoglm: /' /etc/fstab"]
    if host.pool is not None:
        found += [f"install -d -m 0750 {path}" for path in host.pool.volumes]
    found += [
        "systemctl daemon-reload",
        "systemctl enable containerd.service kubelet.service",
        "systemctl restart containerd.service",
    ]
    if host.control_plane:
        found += virtual_ip.commands(plan)
    return found


def render_user_data(plan: HostsPlan, host: Host) -> str:
    """cloud-init user-data (#cloud-config)."""
    document: dict[str, Any] = {
        "hostname": host.name,
        "preserve_hostname": False,
        "package_update": True,
        "packages": packages(plan, host),
        "write_files": [
            {"path": file.path, "owner": "root:root", "permissions": file.mode, "content": file.content}
            for file in files(plan, host)
        ],
        "runcmd": [*commands(plan, host), PREFLIGHT],
        "final_message": f"{host.name} is prepared; see /var/log/cloud-init-output.log for what is missing",
    }
    if plan.settings.apt_sources:
        document["apt"] = {
            "sources": {
                source.name: {"source": source.source, "key": source.key}
                for source in plan.settings.apt_sources
            }
        }
    return "#cloud-config\n" + yaml.safe_dump(document, sort_keys=False, width=4096)


def render_script(plan: HostsPlan, host: Host) -> str:
    """Bash script for a machine without cloud-init; ends with the preflight's status."""
    parts = [
        "#!/usr/bin/env bash",
        f"# Makes {host.name} a node; may be run again.",
        "set -euo pipefail",
        '[ "$(id -u)" = 0 ] || { echo "run as root" >&2; exit 1; }',
        "put() { # path, mode; content in base64 on standard input",
        '    install -d "$(dirname "$1")"',
        '    base64 --decode >"$1.new"',
        '    chmod "$2" "$1.new"',
        '    mv "$1.new" "$1"',
        "}",
        f"hostnamectl set-hostname {host.name}",
    ]
    for source in plan.settings.apt_sources:
        key = f"{_KEYRINGS}/{source.name}.asc"
        parts += [
            _put(key, "0644", source.key),
            _put(
                f"/etc/apt/sources.list.d/{source.name}.list",
                "0644",
                source.source.replace("$KEY_FILE", key) + "\n",
            ),
        ]
    parts += [
        "export DEBIAN_FRONTEND=noninteractive",
        "apt-get update -q",
        f"apt-get install -y -q --no-install-recommends {' '.join(packages(plan, host))}",
    ]
    parts += [_put(file.path, file.mode, file.content) for file in files(plan, host)]
    parts += commands(plan, host)
    return "\n".join([*parts, PREFLIGHT]) + "\n"


def _put(path: str, mode: str, content: str) -> str:
    """The content cannot end its own quotation: base64 has no quotes."""
    encoded = base64.b64encode(content.encode()).decode()
    lines = "\n".join(encoded[start : start + 100] for start in range(0, len(encoded), 100))
    return f"put {path} {mode} <<'END'\n{lines}\nEND"
