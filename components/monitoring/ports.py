"""TCP ports of what monitoring runs and asks."""

from __future__ import annotations

from typing import Final

from components.etcd.configuration import METRICS_PORT
from components.model_server.vllm import PORT

PROMETHEUS: Final = 9090
ALERTMANAGER: Final = 9093
ALERTMANAGER_CLUSTER: Final = 9094
"""TCP and UDP: what the replicas tell each other."""
KUBE_STATE_METRICS: Final = 8080
KUBE_STATE_METRICS_SELF: Final = 8081
NODE_EXPORTER: Final = 9100
DCGM_EXPORTER: Final = 9400
ALERT_RELAY: Final = 8060
KUBELET: Final = 10250
API_SERVER: Final = (443, 6443)
"""Of the clouds and of kubeadm."""
MODEL_SERVER: Final = PORT
ETCD_METRICS: Final = METRICS_PORT
HTTPS: Final = 443
