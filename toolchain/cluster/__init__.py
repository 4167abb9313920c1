"""The embedded cluster: a real single-node Kubernetes on this machine, driven by kubeadm.

`up`, `down`, `status` and `preflight` are what the command line calls; `containerd_client` is how images get in.
"""

from toolchain.cluster.lifecycle import Status, containerd_client, down, preflight, status, up

__all__ = ["Status", "containerd_client", "down", "preflight", "status", "up"]
