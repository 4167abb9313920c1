"""Where everything that the toolchain builds, downloads or starts lives: one folder of the checkout.

Nothing is ever written to the user's home or to system directories (the embedded cluster's mounts, links and
tables are made and removed by :mod:`toolchain.cluster`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
"""The checkout."""

TOOLCHAIN: Final = ROOT / ".toolchain"
"""Git-ignored root of everything built or started."""

BIN: Final = TOOLCHAIN / "bin"
"""Links to the newest build of every tool; goes on PATH."""

ARTEFACTS: Final = TOOLCHAIN / "artefacts"
"""Built things, ``<name>/<key>/``, see :mod:`toolchain.artefacts`."""

DOWNLOADS: Final = TOOLCHAIN / "downloads"
"""Verified downloads, shared by all artefacts."""

VENV: Final = TOOLCHAIN / "venv"
"""Virtual environment of the Pulumi program, the policy pack and the tests."""

PULUMI_HOME: Final = TOOLCHAIN / "pulumi-home"
PLAN_HOME: Final = TOOLCHAIN / "plan-home"
"""Another one, for plans without credentials: clouds are always stood in for."""

BACKEND: Final = TOOLCHAIN / "backend"
"""Directory of Pulumi's file backend (state)."""

PASSPHRASE_FILE: Final = TOOLCHAIN / "passphrase"
"""Passphrase of the local secrets provider, generated once."""

CLUSTER: Final = TOOLCHAIN / "cluster"
VOLUMES: Final = TOOLCHAIN / "volumes"
"""Node directory behind the default storage class."""

LOGS: Final = TOOLCHAIN / "logs"
PUBLISHED_MODELS: Final = TOOLCHAIN / "published-models"
"""Models generated on this machine, a source to fetch from."""

IMAGES_FILE: Final = TOOLCHAIN / "images.json"
KUBECONFIG: Final = TOOLCHAIN / "kubeconfig"
ENV_FILE: Final = TOOLCHAIN / "env"
"""Shell file to source: PATH, kubeconfig, backend, passphrase file."""

EXAMPLES: Final = TOOLCHAIN / "examples"
"""Generated request bodies for the printed ``curl`` lines."""

LOCKS: Final = TOOLCHAIN / "locks"

GO_MODULE: Final = ROOT / "toolchain" / "go"
"""Module that pins almost everything that is built."""

CONTAINERD_MODULE: Final = GO_MODULE / "containerd"
"""Module of its own: containerd needs another ``k8s.io/cri-api`` than kubelet."""
CERT_MANAGER_MODULE: Final = GO_MODULE / "cert-manager"
MONITORING_MODULE: Final = GO_MODULE / "monitoring"
"""Alertmanager: prometheus-operator needs a release of it that lacks the built web interface."""
PROMETHEUS_MODULE: Final = MONITORING_MODULE / "prometheus"
"""Prometheus, prometheus-operator and exporters."""
FILEBEAT_MODULE: Final = GO_MODULE / "filebeat"
HELM_MODULE: Final = GO_MODULE / "helm"
CHARTS_MODULE: Final = GO_MODULE / "charts"

GO_CACHE: Final = TOOLCHAIN / "go"
"""GOMODCACHE and GOCACHE where the environment names none."""
