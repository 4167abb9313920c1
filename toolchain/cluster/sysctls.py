"""Kernel parameters that the cluster changes, and putting them back."""

from __future__ import annotations

from pathlib import Path

SYS = Path("/proc/sys")

# What kubelet sets at its start (pkg/kubelet/cm/container_manager_linux.go), and forwarding for pods.
_CHANGED = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
)


def _recorded_names() -> list[str]:
    # Switching ip_forward also switches every interface.
    interfaces = sorted(path.name for path in (SYS / "net/ipv4/conf").iterdir())
    return [*_CHANGED, *(f"net/ipv4/conf/{interface}/forwarding" for interface in interfaces)]


def read(names: list[str] | None = None) -> dict[str, str]:
    """Current values by name; parameters that this kernel lacks are left out."""
    values = {}
    for name in names if names is not None else _recorded_names():
        try:
            values[name] = (SYS / name).read_text().strip()
        except OSError:
            continue
    return values


def enable_forwarding() -> None:
    """Let the host pass packets between pods and services."""
    (SYS / "net/ipv4/ip_forward").write_text("1")


def restore(values: dict[str, str]) -> list[str]:
    """Write back what differs; returns the names that could not be written."""
    failed = []
    # ip_forward goes first: it overwrites the interfaces' values.
    for name in sorted(values, key=lambda name: not name.endswith("ip_forward")):
        path = SYS / name
        try:
            if path.read_text().strip() != values[name]:
                path.write_text(values[name])
        except FileNotFoundError:
            continue
        except OSError:
            failed.append(name)
    return failed
