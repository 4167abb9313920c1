"""Alertmanager's configuration: who is told what, how often, and what is left out because more is wrong.

Keys are those of Alertmanager 0.31 (config/config.go, config/notifiers.go), the first release whose WeCom
receiver reads its secret from a file. No secret is ever part of the configuration.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from components.monitoring.durations import format_duration
from components.monitoring.rule import Severity
from components.monitoring.settings import AlertRouting, DingTalkReceiver, WeComReceiver

SECRETS: Final = "/etc/alertmanager/secrets"
"""Where prometheus-operator mounts the Secrets that an Alertmanager names, each in a folder of its name."""
PAGES: Final = "pages"
TICKETS: Final = "tickets"
REPORTS: Final = "reports"
NOBODY: Final = "nobody"
WECOM_SECRET: Final = "api-secret"
SHOWN_ALERTS: Final = 5
"""In a message of WeCom, which cuts texts at 2048 bytes."""
RELAYED_ALERTS: Final = 20
_MESSAGE: Final = (
    '{{ if eq .Status "firing" }}[{{ .CommonLabels.severity }}] {{ .Alerts.Firing | len }} firing'
    "{{ else }}resolved{{ end }}"
    f"{{{{ range $index, $alert := .Alerts }}}}{{{{ if lt $index {SHOWN_ALERTS} }}}}\n"
    '{{ if eq $alert.Status "resolved" }}✓ {{ end }}{{ $alert.Annotations.summary }}\n'
    "{{ $alert.Annotations.runbook_url }}{{ end }}{{ end }}"
    f"{{{{ if gt (len .Alerts) {SHOWN_ALERTS} }}}}\n…{{{{ end }}}}"
)
"""Without the description: on a telephone, what is wrong and what to do is all that is read."""
_REPORT: Final = "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}{{ end }}"


@dataclass(frozen=True)
class Inhibition:
    """While one of the `causes` fires, its `consequences` are not sent."""

    causes: tuple[str, ...]
    consequences: tuple[str, ...]
    equal: tuple[str, ...]
    """Labels in which both must agree; one that both lack agrees."""

    def document(self) -> dict[str, Any]:
        """As the configuration has it."""
        return {
            "source_matchers": [_one_of("alertname", self.causes)],
            "target_matchers": [_one_of("alertname", self.consequences)],
            "equal": list(self.equal),
        }


INHIBITIONS: Final = (
    Inhibition(
        ("ModelServersDown",),
        (
            *("ModelLatencyHigh", "FirstTokenSlow", "TokenRateLow", "KvCacheFull", "RequestsFailing"),
            *("ReplicasUnavailable", "PodsRestarting", "ErrorBudgetBurn"),
        ),
        ("namespace",),
    ),
    # An engine that must not start because of its weights is not also down, restarting and short of replicas.
    Inhibition(("WeightsRefused",), ("ReplicasUnavailable", "PodsRestarting"), ("namespace",)),
    Inhibition(
        ("EtcdMembersInsufficient",),
        ("EtcdMemberDown", "EtcdNoLeader", "EtcdLeaderChanges", "EtcdSlowDisk"),
        ("namespace",),
    ),
    Inhibition(("EtcdNoLeader",), ("EtcdLeaderChanges", "EtcdSlowDisk"), ("namespace",)),
    Inhibition(("NodeDiskFull",), ("NodeDiskFillingUp",), ("instance", "device")),
    Inhibition(("CertificateExpiring",), ("CertificateRenewalOverdue",), ("namespace", "name")),
    Inhibition(("VirtualIpHeldTwice", "VirtualIpAbsent"), ("VirtualIpFlapping",), ("address",)),
)
"""Consequences of which nobody needs to hear while the cause is known."""


@dataclass(frozen=True)
class Endpoints:
    """Addresses and folders that the configuration names."""

    relay: str
    """Base URL of the alert relay."""
    secrets: str = SECRETS
    wecom: str | None = None
    """Of WeCom's API; None: Alertmanager's own default."""
    authority: str | None = None
    """Certificate of the authority of the proxy to WeCom; None: the system's."""


def configuration(routing: AlertRouting, endpoints: Endpoints) -> dict[str, Any]:
    """The whole file. What has no severity that is known is a ticket: somebody must hear of it."""
    return {
        "route": {
            "receiver": TICKETS,
            "group_by": ["alertname", "area", "namespace"],
            "group_wait": "1m",
            "group_interval": format_duration(routing.group_interval),
            "repeat_interval": format_duration(routing.repeat_tickets),
            "routes": [
                {"receiver": NOBODY, "matchers": [f'severity="{Severity.NONE}"']},
                {
                    "receiver": PAGES,
                    "matchers": [f'severity="{Severity.PAGE}"'],
                    "group_wait": format_duration(routing.group_wait),
                    "repeat_interval": format_duration(routing.repeat_pages),
                },
                {
                    "receiver": REPORTS,
                    "matchers": [f'severity="{Severity.REPORT}"'],
                    "group_wait": "10s",
                    "repeat_interval": "1d",
                },
            ],
        },
        "inhibit_rules": [
            # The slow burn of a budget says nothing that the fast one does not.
            {
                "source_matchers": [f'severity="{Severity.PAGE}"'],
                "target_matchers": [f'severity="{Severity.TICKET}"'],
                "equal": ["alertname", "namespace", "model", "slo"],
            },
            *(inhibition.document() for inhibition in INHIBITIONS),
        ],
        "receivers": [
            {"name": NOBODY},
            _receiver(PAGES, routing.pages, routing, endpoints),
            _receiver(TICKETS, routing.tickets, routing, endpoints),
            _receiver(REPORTS, routing.reports or routing.tickets, routing, endpoints, report=True),
        ],
    }


def configuration_text(routing: AlertRouting, endpoints: Endpoints) -> str:
    """The file's text: JSON, which is YAML."""
    return json.dumps(configuration(routing, endpoints), indent=2, ensure_ascii=False) + "\n"


def mounted_secrets(routing: AlertRouting) -> tuple[str, ...]:
    """Names of the Secrets that Alertmanager must be given as files."""
    return tuple(one.secret_name for one in routing.receivers if isinstance(one, WeComReceiver))


def _receiver(
    name: str,
    wanted: tuple[str, ...],
    routing: AlertRouting,
    endpoints: Endpoints,
    *,
    report: bool = False,
) -> dict[str, Any]:
    by_name = {one.name: one for one in routing.receivers}
    chosen = [by_name[one] for one in wanted]
    receiver: dict[str, Any] = {"name": name}
    # A report is not resolved, it is read; and its text is the description.
    changes: dict[str, Any] = {"send_resolved": False} if report else {}
    text = {"message": _REPORT} if report else {}
    wecom = [one for one in chosen if isinstance(one, WeComReceiver)]
    relayed = [one for one in chosen if isinstance(one, DingTalkReceiver)]
    if wecom:
        receiver["wechat_configs"] = [{**_wecom(one, endpoints), **changes, **text} for one in wecom]
    if relayed:
        receiver["webhook_configs"] = [{**_dingtalk(one, endpoints), **changes} for one in relayed]
    return receiver


def _wecom(receiver: WeComReceiver, endpoints: Endpoints) -> dict[str, Any]:
    config: dict[str, Any] = {
        "send_resolved": True,
        "corp_id": receiver.corp_id,
        "agent_id": str(receiver.agent_id),
        "api_secret_file": f"{endpoints.secrets}/{receiver.secret_name}/{WECOM_SECRET}",
        "message": _MESSAGE,
    }
    for key, value in (
        ("to_party", receiver.to_party),
        ("to_user", receiver.to_user),
        ("to_tag", receiver.to_tag),
        ("api_url", endpoints.wecom),
    ):
        if value is not None:
            config[key] = value
    if endpoints.authority is not None:
        config["http_config"] = {"tls_config": {"ca": endpoints.authority}}
    return config


def _dingtalk(receiver: DingTalkReceiver, endpoints: Endpoints) -> dict[str, Any]:
    return {
        "send_resolved": True,
        "url": f"{endpoints.relay}/dingtalk/{receiver.name}",
        "max_alerts": RELAYED_ALERTS,
        "timeout": "10s",
    }


def _one_of(label: str, values: tuple[str, ...]) -> str:
    return f'{label}=~"{"|".join(values)}"'
