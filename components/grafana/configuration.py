"""Grafana's configuration and what it is provisioned with. None of these texts holds a secret.

Grafana puts the content of a file where it reads `$__file{…}` (its documentation: "Configure Grafana",
variable expansion).
"""

from __future__ import annotations

from collections.abc import Mapping
from configparser import RawConfigParser
from io import StringIO
from typing import Any, Final

import yaml

from components.grafana.dashboards.view import LOG_SOURCE, METRICS_SOURCE
from components.grafana.settings import Grafana
from components.monitoring.durations import format_duration

CONFIGURATION: Final = "/etc/grafana"
DATA: Final = "/var/lib/grafana"
DASHBOARDS: Final = "/var/lib/dashboards"
ADMIN_SECRET: Final = "/run/secrets/grafana-admin"
LOG_STORE_SECRET: Final = "/run/secrets/log-store"
ADMIN_KEYS: Final = ("admin-user", "admin-password", "secret-key")
LOG_STORE_KEYS: Final = ("username", "password", "ca.crt")
PORT: Final = 3000
HOME: Final = "service"
"""The dashboard that is shown first."""
NOTHING: Final = "apiVersion: 1\n"
"""Of kinds that are not provisioned: without a file, Grafana complains on every start."""


def _file(path: str) -> str:
    return f"$__file{{{path}}}"


def configuration(settings: Grafana) -> str:
    """grafana.ini."""
    secure = settings.root_url.startswith("https:")
    sections: dict[str, dict[str, str | int | bool]] = {
        "paths": {
            "data": DATA,
            "plugins": f"{DATA}/plugins",
            "logs": f"{DATA}/log",
            "provisioning": f"{CONFIGURATION}/provisioning",
        },
        "server": {"http_port": PORT, "root_url": settings.root_url},
        "database": {"type": "sqlite3", "wal": True},
        "security": {
            "admin_user": _file(f"{ADMIN_SECRET}/admin-user"),
            "admin_password": _file(f"{ADMIN_SECRET}/admin-password"),
            "secret_key": _file(f"{ADMIN_SECRET}/secret-key"),
            "disable_gravatar": True,
            "cookie_secure": secure,
            "cookie_samesite": "strict",
            "strict_transport_security": secure,
            "content_security_policy": True,
            "allow_embedding": False,
        },
        "users": {"allow_sign_up": False, "allow_org_create": False, "auto_assign_org_role": "Viewer"},
        "auth": {"login_maximum_inactive_lifetime_duration": "12h", "login_maximum_lifetime_duration": "7d"},
        "auth.anonymous": {"enabled": False},
        "dashboards": {
            "default_home_dashboard_path": f"{DASHBOARDS}/{HOME}.json",
            "min_refresh_interval": "15s",
        },
        # Alerts are Prometheus': as code, tested, and delivered by Alertmanager.
        "unified_alerting": {"enabled": False},
        "analytics": {
            "reporting_enabled": False,
            "check_for_updates": False,
            "check_for_plugin_updates": False,
            "feedback_links_enabled": False,
        },
        "news": {"news_feed_enabled": False},
        "plugins": {
            "plugin_admin_enabled": False,
            "preinstall_disabled": True,
            "preinstall_auto_update": False,
            "public_key_retrieval_disabled": True,
        },
        "snapshots": {"enabled": False, "external_enabled": False},
        "public_dashboards": {"enabled": False},
        "metrics": {"enabled": True},
        "log": {"mode": "console", "level": "info"},
        "log.console": {"format": "json"},
    }
    parser = RawConfigParser()
    for section, values in sections.items():
        parser[section] = {key: _text(value) for key, value in values.items()}
    text = StringIO()
    parser.write(text)
    return text.getvalue().strip() + "\n"


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def data_sources(prometheus: str, scrape_interval: int, logs: str | None, index: str) -> str:
    """Where dashboards' data come from.

    :param prometheus: URL.
    :param scrape_interval: seconds between samples; rates look back over several of them.
    :param logs: URL of the log store, if there is one to read.
    :param index: pattern of the log store's indices with audit records.
    """
    sources: list[dict[str, Any]] = [
        {
            "name": "Prometheus",
            "uid": METRICS_SOURCE,
            "type": "prometheus",
            "access": "proxy",
            "url": prometheus,
            "isDefault": True,
            "editable": False,
            "jsonData": {
                "httpMethod": "POST",
                "prometheusType": "Prometheus",
                "timeInterval": format_duration(scrape_interval),
                "manageAlerts": False,
            },
        }
    ]
    if logs is not None:
        sources.append(
            {
                "name": "Audit records",
                "uid": LOG_SOURCE,
                "type": "elasticsearch",
                "access": "proxy",
                "url": logs,
                "editable": False,
                "basicAuth": True,
                "basicAuthUser": _file(f"{LOG_STORE_SECRET}/username"),
                "jsonData": {
                    "index": index,
                    "timeField": "@timestamp",
                    "tlsAuthWithCACert": True,
                    "maxConcurrentShardRequests": 5,
                },
                "secureJsonData": {
                    "basicAuthPassword": _file(f"{LOG_STORE_SECRET}/password"),
                    "tlsCACert": _file(f"{LOG_STORE_SECRET}/ca.crt"),
                },
            }
        )
    return _yaml({"apiVersion": 1, "prune": True, "datasources": sources})


def dashboard_provider() -> str:
    """Where the dashboards lie; nobody changes them in the browser."""
    provider = {
        "name": "autoglm-platform",
        "folder": "autoglm-platform",
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "options": {"path": DASHBOARDS},
    }
    return _yaml({"apiVersion": 1, "providers": [provider]})


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
