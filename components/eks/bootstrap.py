"""What a node does before its kubelet starts: EC2 user data for Amazon Linux 2023. Pure.

User data is a MIME document. Its `application/node.eks.aws` part is read by nodeadm, which configures
containerd and kubelet; its scripts are run by cloud-init before nodeadm starts the kubelet. Sources: API
reference of nodeadm and systemd units of awslabs/amazon-eks-ami: nodeadm-run.service starts after
cloud-final.service.

EKS adds a NodeConfig of its own with the cluster's address and a number of pods that it computes. What must
win over that lies in /etc/eks/nodeadm.d, which nodeadm merges last.
"""

from __future__ import annotations

import base64
import textwrap
from dataclasses import dataclass
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from typing import Final

import yaml

NODE_CONFIG: Final = "node.eks.aws/v1alpha1"
OPEN_FILES: Final = 65536
"""Open files of each container, soft and hard (RLIMIT_NOFILE)."""
SYSCTLS: Final = {
    # Pods have a network namespace of their own, which starts with the kernel's default: this is for whatever
    # listens on the host. The Pod Security Standards keep pods from raising their own.
    "net.core.somaxconn": 65535,
    "fs.file-max": 2097152,
}
"""Kernel parameters of the node."""
MAX_BYTES: Final = 16 * 1024
"""User data that EC2 takes, before base64."""

_BOUNDARY: Final = "autoglm-platform"
_SYSCTL_FILE: Final = "/etc/sysctl.d/90-autoglm-platform.conf"
_DROP_IN: Final = "/etc/eks/nodeadm.d/90-autoglm-platform.yaml"
_PARTITION: Final = "/usr/local/sbin/partition-gpus"


@dataclass(frozen=True)
class MigLayout:
    """The same instances on each GPU of a node."""

    profile: str
    """E.g. `3g.40gb`."""
    instances: int
    """Of that profile, on each GPU."""


@dataclass(frozen=True)
class Bootstrap:
    """What a pool's nodes are told."""

    max_pods: int
    instance_store: bool = False
    """Whether the instance has disks of its own: they become one striped volume for images and pods."""
    mig: MigLayout | None = None


def user_data(bootstrap: Bootstrap) -> str:
    """User data in base64, as a launch template takes it; raises ValueError if it is too long for EC2."""
    message = MIMEMultipart("mixed", boundary=_BOUNDARY)
    _attach(message, "application", "node.eks.aws", _yaml(node_config(bootstrap)))
    _attach(message, "text", "x-shellscript", _tuning_script(bootstrap))
    if bootstrap.mig is not None:
        _attach(message, "text", "x-shellscript", _partition_script(bootstrap.mig))
    text = message.as_bytes()
    if len(text) > MAX_BYTES:
        raise ValueError(f"user data: {len(text)} bytes, EC2 takes {MAX_BYTES}")
    return base64.b64encode(text).decode()


def node_config(bootstrap: Bootstrap) -> dict[str, object]:
    """The NodeConfig for nodeadm."""
    limits = {"type": "RLIMIT_NOFILE", "soft": OPEN_FILES, "hard": OPEN_FILES}
    spec: dict[str, object] = {"containerd": {"baseRuntimeSpec": {"process": {"rlimits": [limits]}}}}
    if bootstrap.instance_store:
        spec["instance"] = {"localStorage": {"strategy": "RAID0"}}
    return {"apiVersion": NODE_CONFIG, "kind": "NodeConfig", "spec": spec}


def pod_limit_config(max_pods: int) -> dict[str, object]:
    """The NodeConfig that overrides EKS's: the expression reserves memory, `maxPods` admits pods."""
    kubelet = {"maxPodsExpression": str(max_pods), "config": {"maxPods": max_pods}}
    return {"apiVersion": NODE_CONFIG, "kind": "NodeConfig", "spec": {"kubelet": kubelet}}


def _tuning_script(bootstrap: Bootstrap) -> str:
    sysctls = "".join(f"{key} = {value}\n" for key, value in SYSCTLS.items())
    return (
        "#!/bin/bash\nset -euo pipefail\n"
        f"cat >{_SYSCTL_FILE} <<'EOF'\n{sysctls}EOF\n"
        f"sysctl --load={_SYSCTL_FILE}\n"
        "mkdir -p /etc/eks/nodeadm.d\n"
        f"cat >{_DROP_IN} <<'EOF'\n{_yaml(pod_limit_config(bootstrap.max_pods))}EOF\n"
    )


def _partition_script(layout: MigLayout) -> str:
    """Partitions every GPU now and, since not all cards remember it, before nodeadm on every later boot.

    If that fails, the node offers no MIG instances and no pod is placed on it.
    """
    instances = ",".join([layout.profile] * layout.instances)
    return textwrap.dedent(
        f"""\
        #!/bin/bash
        set -euo pipefail
        cat >{_PARTITION} <<'EOF'
        #!/bin/bash
        set -euo pipefail
        nvidia-smi --multi-instance-gpu=1
        if nvidia-smi --query-gpu=mig.mode.current --format=csv,noheader | grep -qv Enabled; then
          # Cards of the Ampere generation change mode only when reset, and nobody may use them then.
          systemctl stop nvidia-persistenced.service
          nvidia-smi --gpu-reset
          systemctl start nvidia-persistenced.service
        fi
        if ! nvidia-smi mig --list-gpu-instances >/dev/null 2>&1; then
          nvidia-smi mig --create-gpu-instance={instances} --default-compute-instance
        fi
        EOF
        chmod 0755 {_PARTITION}
        cat >/etc/systemd/system/partition-gpus.service <<'EOF'
        [Unit]
        Description=Partition GPUs into MIG instances
        After=nvidia-kmod-load.service nvidia-fabricmanager.service nvidia-persistenced.service
        Before=nodeadm-run.service

        [Service]
        Type=oneshot
        RemainAfterExit=true
        ExecStart={_PARTITION}

        [Install]
        WantedBy=multi-user.target
        EOF
        systemctl daemon-reload
        systemctl enable partition-gpus.service
        # Not started as a unit: ordered before nodeadm, it would wait for the very script that starts it.
        {_PARTITION}
        """
    )


def _yaml(document: dict[str, object]) -> str:
    return yaml.safe_dump(document, sort_keys=False)


def _attach(message: MIMEMultipart, main: str, sub: str, text: str) -> None:
    part = MIMENonMultipart(main, sub, charset="us-ascii")
    part.set_payload(text.encode("ascii").decode("ascii"))
    part["Content-Transfer-Encoding"] = "7bit"
    message.attach(part)
