"""A script that says what a machine lacks before it joins: every problem in one run, exit status 1."""

from __future__ import annotations

from typing import Final

from components.common.quantities import MIB
from components.hosts.plan import Host, HostsPlan

PREFLIGHT: Final = "/usr/local/sbin/autoglm-preflight"
CONTAINERD_MINIMUM: Final = "2.0"
"""The kubelet's own minimum since Kubernetes 1.36."""
_MEMORY_MIB: Final = 3500
_CPUS: Final = 2
"""kubeadm asks for 2 processors and 1700 MiB of a control-plane node; pods need room beside it."""


def render_preflight(plan: HostsPlan, host: Host) -> str:
    """Bash script for one machine. It changes nothing."""
    settings = plan.settings
    checks = [
        _COMMON.format(
            name=host.name,
            address=host.address,
            containerd=CONTAINERD_MINIMUM,
            kubernetes=settings.kubernetes_version,
            cpus=_CPUS,
            memory=_MEMORY_MIB,
            open_files=settings.open_files,
        )
    ]
    if settings.swap == "off":
        checks.append(_SWAP)
    checks.append(_sysctls(plan))
    if host.control_plane:
        checks.append(
            _CONTROL_PLANE.format(
                interface=plan.virtual_ip.settings.interface,
                address=host.address,
            )
        )
    checks += _accelerator(plan, host)
    checks += _volumes(host)
    return "\n".join([_HEAD, *checks, _TAIL])


def _sysctls(plan: HostsPlan) -> str:
    from components.hosts.files import sysctls

    lines = [f"parameter {name} {value}" for name, value in sysctls(plan).items()]
    return "\n".join(["# Kernel parameters.", *lines, ""])


def _accelerator(plan: HostsPlan, host: Host) -> list[str]:
    card, drivers = host.accelerator, plan.settings.drivers
    if card is None or host.pool is None:
        return []
    script, minimum = {
        "NVIDIA": (_NVIDIA, drivers.nvidia),
        "Huawei": (_ASCEND, drivers.ascend),
        "Cambricon": (_CAMBRICON, drivers.cambricon),
    }.get(card.vendor, ("", None))
    # A newer card may need more than what the platform asks of all.
    required = max(filter(None, (minimum, card.driver_minimum)), key=_version, default="0")
    return [script.format(minimum=required, count=host.pool.accelerator_count)]


def _volumes(host: Host) -> list[str]:
    volumes = host.pool.volumes if host.pool else {}
    lines = [f"volume {path} {-(-size // MIB)}" for path, size in volumes.items()]
    return ["\n".join(["# Local volumes.", *lines, ""])] if lines else []


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


_HEAD: Final = """\
#!/usr/bin/env bash
# What this machine lacks to be a node. Changes nothing; exit status 1 if anything is missing.
set -u
export LC_ALL=C
problems=0

missing() { # what; fix
    problems=$((problems + 1))
    printf 'missing: %s\\n' "$1" >&2
}
has() { command -v "$1" >/dev/null 2>&1; }
at_least() { # version, minimum
    [ "$(printf '%s\\n%s\\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]
}
volume() { # directory, MiB
    local size
    size=$(df --output=size -B 1M "$1" 2>/dev/null | tail -n1 | tr -d ' ')
    if [ -z "$size" ]; then
        missing "directory $1; mount a file system there"
    elif [ "$size" -lt "$2" ]; then
        missing "$2 MiB at $1: its file system has $size; mount a larger one there"
    fi
}
parameter() { # name, value
    local value
    value=$(sysctl -n "$1" 2>/dev/null) || value=unknown
    # More is as good for limits; switches have to be equal.
    case $1 in
    net.core.* | fs.* | vm.max_map_count | kernel.keys.*)
        if [ "$value" != unknown ] && [ "$value" -ge "$2" ]; then return; fi ;;
    *)
        if [ "$value" = "$2" ]; then return; fi ;;
    esac
    missing "kernel parameter $1 is $value, not $2; run: sysctl --system"
}
"""

_COMMON: Final = """\
# System.
[ "$(id -u)" = 0 ] || missing "root; run it with sudo"
[ "$(uname -m)" = x86_64 ] || missing "an x86_64 processor: this is $(uname -m)"
[ "$(uname -n)" = "{name}" ] ||
    missing "host name {name}: it is $(uname -n); run: hostnamectl set-hostname {name}"
ip -o -4 address show 2>/dev/null | grep -qF " {address}/" ||
    missing "address {address} on an interface; configure the network"
[ "$(getconf _NPROCESSORS_ONLN)" -ge {cpus} ] || missing "{cpus} processors; use a larger machine"
memory=$(awk '/^MemTotal/ {{ print int($2 / 1024) }}' /proc/meminfo)
[ "$memory" -ge {memory} ] || missing "{memory} MiB of memory: there are $memory; use a larger machine"
[ -f /sys/fs/cgroup/cgroup.controllers ] || missing "cgroup v2; boot with systemd.unified_cgroup_hierarchy=1"
if has timedatectl; then
    [ "$(timedatectl show -p NTPSynchronized --value 2>/dev/null)" = yes ] ||
        missing "a synchronised clock: certificates and etcd need it; enable systemd-timesyncd or chrony"
else
    missing "timedatectl, to see whether the clock is synchronised; install systemd"
fi
for module in overlay br_netfilter nf_tables; do
    grep -qsw "^$module" /proc/modules || [ -d "/sys/module/$module" ] ||
        grep -q "/$module\\.ko" "/lib/modules/$(uname -r)/modules.builtin" 2>/dev/null ||
        missing "kernel module $module; run: modprobe $module"
done

# Programs.
for program in containerd runc kubelet kubeadm ip sysctl mount conntrack nft; do
    has "$program" || missing "program $program; install its package"
done
if has containerd; then
    version=$(containerd --version | awk '{{ print $3 }}' | tr -d v)
    at_least "$version" {containerd} ||
        missing "containerd {containerd} or newer: this is $version; upgrade it"
    limit=$(systemctl show containerd.service -p LimitNOFILE --value 2>/dev/null)
    [ "$limit" = infinity ] || [ "${{limit:-0}}" -ge {open_files} ] ||
        missing "nofile {open_files} of containerd: it is ${{limit:-unknown}}; daemon-reload and restart it"
fi
if has kubeadm; then
    version=$(kubeadm version -o short | tr -d v)
    [ "$version" = "{kubernetes}" ] || missing "kubeadm {kubernetes}: this is $version; install that version"
fi
if has kubelet; then
    version=$(kubelet --version | awk '{{ print $2 }}' | tr -d v)
    [ "$version" = "{kubernetes}" ] || missing "kubelet {kubernetes}: this is $version; install that version"
fi
"""

_SWAP: Final = """\
[ "$(awk 'NR > 1' /proc/swaps | wc -l)" = 0 ] ||
    missing "swap off; run: swapoff -a, and remove it from /etc/fstab"
"""

_CONTROL_PLANE: Final = """\
# Virtual IP.
ip -o -4 address show dev {interface} 2>/dev/null | grep -qF " {address}/" ||
    missing "address {address} on interface {interface}; correct virtualIp.interface"
for program in keepalived haproxy busybox flock; do
    has "$program" || missing "program $program; install its package"
done
for unit in firewall haproxy monitor keepalived; do
    [ "$(systemctl is-active "virtual-ip-$unit.service" 2>/dev/null)" = active ] ||
        missing "service virtual-ip-$unit; see: journalctl -u virtual-ip-$unit"
done
"""

_NVIDIA: Final = """\
# NVIDIA.
if has nvidia-smi; then
    driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n1)
    at_least "${{driver:-0}}" {minimum} ||
        missing "NVIDIA driver {minimum} or newer: this is ${{driver:-not answering}}; upgrade it"
    cards=$(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null | wc -l)
    [ "$cards" = {count} ] ||
        missing "{count} GPUs: the driver sees $cards; check the cards or acceleratorCount"
else
    missing "NVIDIA driver {minimum} or newer (nvidia-smi); install it"
fi
has nvidia-container-runtime ||
    missing "program nvidia-container-runtime; install the NVIDIA Container Toolkit"
"""

_ASCEND: Final = """\
# Ascend.
if has npu-smi; then
    driver=$(sed -n 's/^Version=//p' /usr/local/Ascend/driver/version.info 2>/dev/null | head -n1)
    at_least "${{driver:-0}}" {minimum} ||
        missing "Ascend driver {minimum} or newer: this is ${{driver:-unknown}}; upgrade it"
    cards=$(find /dev -maxdepth 1 -name 'davinci[0-9]*' | wc -l)
    [ "$cards" = {count} ] || missing "{count} NPUs: there are $cards; check the cards or acceleratorCount"
else
    missing "Ascend driver (npu-smi); install it"
fi
[ -x /usr/local/Ascend/Ascend-Docker-Runtime/ascend-docker-runtime ] ||
    missing "Ascend Docker Runtime; install it"
"""

_CAMBRICON: Final = """\
# Cambricon.
if has cnmon; then
    driver=$(cat /proc/driver/cambricon/mlus/*/information 2>/dev/null |
        sed -n 's/^Driver Version *: *v\\{{0,1\\}}//p' | head -n1)
    at_least "${{driver:-0}}" {minimum} ||
        missing "Cambricon driver {minimum} or newer: this is ${{driver:-unknown}}; upgrade it"
    cards=$(find /dev -maxdepth 1 -name 'cambricon_dev[0-9]*' | wc -l)
    [ "$cards" = {count} ] || missing "{count} MLUs: there are $cards; check the cards or acceleratorCount"
else
    missing "Cambricon driver (cnmon); install it"
fi
"""

_TAIL: Final = """\
if [ "$problems" -gt 0 ]; then
    printf '%s things are missing\\n' "$problems" >&2
    exit 1
fi
echo "nothing is missing"
"""
