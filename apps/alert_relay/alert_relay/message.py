"""Alertmanager's webhook as a message in a DingTalk group.

The webhook's format: prometheus.io, Alertmanager configuration, `<webhook_config>`, version 4.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from alert_relay.errors import Malformed

MAXIMUM_BYTES: Final = 18_000
"""DingTalk refuses messages beyond 20 000 bytes; the rest is for the envelope."""
SHOWN_ALERTS: Final = 10
_COLOURS: Final = {"page": "#d93026", "ticket": "#b06000"}
_RESOLVED: Final = "#188038"


@dataclass(frozen=True)
class Message:
    """A title for the notification, and Markdown for the group."""

    title: str
    text: str
    everybody: bool
    """Whether everybody in the group is to be notified."""

    def body(self) -> dict[str, Any]:
        """As DingTalk's robots take it."""
        return {
            "msgtype": "markdown",
            "markdown": {"title": self.title, "text": self.text},
            "at": {"isAtAll": self.everybody},
        }


def parse(body: bytes) -> Message:
    """The message that a webhook asks for.

    :raises Malformed: it is no webhook of Alertmanager.
    """
    try:
        webhook = json.loads(body)
    except ValueError as error:
        raise Malformed("the body is not JSON") from error
    if not isinstance(webhook, dict) or not isinstance(webhook.get("alerts"), list):
        raise Malformed("the body has no list `alerts`: only Alertmanager's webhooks are taken")
    alerts = [_Alert.parse(alert) for alert in webhook["alerts"]]
    if not alerts:
        raise Malformed("`alerts` is empty")
    firing = [alert for alert in alerts if alert.firing]
    title = _title(firing or alerts, resolved=not firing)
    shown = sorted(alerts, key=lambda alert: not alert.firing)[:SHOWN_ALERTS]
    lines = [f"### {title}", *(alert.markdown() for alert in shown)]
    truncated = webhook.get("truncatedAlerts") or 0
    if not isinstance(truncated, int):
        raise Malformed("`truncatedAlerts` is no number")
    hidden = len(alerts) - len(shown) + truncated
    if hidden:
        lines.append(f"… and {hidden} more")
    page = any(alert.severity == "page" for alert in firing)
    return Message(title, _cut("\n\n".join(lines), MAXIMUM_BYTES), everybody=page)


@dataclass(frozen=True)
class _Alert:
    name: str
    severity: str
    firing: bool
    summary: str
    description: str
    runbook: str
    starts_at: str

    @classmethod
    def parse(cls, alert: object) -> _Alert:
        if not isinstance(alert, dict):
            raise Malformed("`alerts` holds something that is no alert")
        labels, annotations = (_strings(alert, name) for name in ("labels", "annotations"))
        return cls(
            name=labels.get("alertname", "alert without a name"),
            severity=labels.get("severity", "unknown"),
            firing=alert.get("status") != "resolved",
            summary=annotations.get("summary", ""),
            description=annotations.get("description", ""),
            runbook=annotations.get("runbook_url", ""),
            starts_at=str(alert.get("startsAt", ""))[:19],
        )

    def markdown(self) -> str:
        colour = _COLOURS.get(self.severity, "#5f6368") if self.firing else _RESOLVED
        state = self.severity if self.firing else "resolved"
        parts = [f'**<font color="{colour}">{state}</font> {_plain(self.summary or self.name)}**']
        if self.firing and self.description:
            parts.append(_plain(self.description))
        foot = f"{_plain(self.name)}, since {_plain(self.starts_at)} UTC"
        if self.runbook.startswith("https://") and not set(self.runbook) & set(" ()<>\n"):
            foot += f" · [what to do]({self.runbook})"
        return "\n\n> ".join([*parts, foot])


def _strings(alert: Mapping[str, Any], name: str) -> dict[str, str]:
    values = alert.get(name) or {}
    if not isinstance(values, dict):
        raise Malformed(f"`{name}` of an alert is no object")
    # JSON can hold half a surrogate pair, which no text can be made of.
    return {str(key): str(value).encode(errors="replace").decode() for key, value in values.items()}


def _title(alerts: list[_Alert], *, resolved: bool) -> str:
    names = list(dict.fromkeys(alert.name for alert in alerts))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    state = "resolved" if resolved else f"firing ({len(alerts)})"
    return _plain(f"{state}: {names[0]}{more}")


def _plain(text: str) -> str:
    """Text of labels, which anything in the cluster may have set: no links, pictures or further lines."""
    return "".join(" " if character in "\r\n" else character for character in text).translate(_ESCAPED)


_ESCAPED: Final = str.maketrans({"[": "［", "]": "］", "<": "＜", ">": "＞", "`": "ˋ"})


def _cut(text: str, maximum: int) -> str:
    """At most so many bytes of UTF-8, never half a character."""
    raw = text.encode()
    if len(raw) <= maximum:
        return text
    return raw[: maximum - len("…".encode())].decode(errors="ignore") + "…"
