"""The embedded cluster: a real single-node Kubernetes on this machine, driven by kubeadm.

`up`, `down`, `status` and `preflight` are what the command line calls; `containerd_client` is how images get
in.
"""

from toolchain.cluster.bringup import preflight, up
from toolchain.cluster.commands import containerd_client
from toolchain.cluster.readiness import Status, status
from toolchain.cluster.teardown import down

__all__ = ["Status", "containerd_client", "down", "preflight", "status", "up"]
