"""Machines that become Kubernetes nodes: first-boot data, kubeadm configuration, preflight."""
