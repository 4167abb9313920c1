"""Alerts on certificates that cert-manager keeps valid."""

from __future__ import annotations

from typing import Final

from components.monitoring.durations import DAY, HOUR, MINUTE
from components.monitoring.rule import AlertRule, Evidence, RuleGroup, Series, Severity, level
from components.monitoring.settings import Monitoring
from components.monitoring.stack import CERT_MANAGER

AREA: Final = "certificate"
_EXPIRES: Final = "certmanager_certificate_expiration_timestamp_seconds"
_RENEWS: Final = "certmanager_certificate_renewal_timestamp_seconds"
_BY: Final = "(namespace, name)"
_OVERDUE: Final = f"time() - max by {_BY} ({_RENEWS}) > {HOUR}"


def certificates(settings: Monitoring) -> RuleGroup:
    """Alerts on certificates."""
    return RuleGroup("certificates", (), (_renewal(), _expiry(settings.thresholds.certificate_days)))


def _samples(*, expires: int, renews: int) -> tuple[Series, ...]:
    """The evidence begins at the epoch: a moment is seconds since then."""
    labels = (
        f'job="{CERT_MANAGER}",namespace="autoglm",name="etcd-server",issuer_name="etcd-ca",'
        'issuer_kind="Issuer",issuer_group="cert-manager.io"'
    )
    return (
        Series(f"{_EXPIRES}{{{labels}}}", level(expires)),
        Series(f"{_RENEWS}{{{labels}}}", level(renews)),
    )


_EXPECTED: Final = ({"namespace": "autoglm", "name": "etcd-server"},)


def _renewal() -> AlertRule:
    return AlertRule(
        name="CertificateRenewalOverdue",
        severity=Severity.TICKET,
        area=AREA,
        expr=_OVERDUE,
        hold=10 * MINUTE,
        summary="Certificate {{ $labels.name }} has not been renewed",
        description="It should have been renewed {{ $value | humanizeDuration }} ago. It is still valid.",
        runbook="certificate-expiry",
        firing=Evidence(
            _samples(expires=30 * DAY, renews=10 * MINUTE),
            true_from=HOUR + 10 * MINUTE + 60,
            labels=_EXPECTED,
        ),
        silent=_samples(expires=30 * DAY, renews=10 * DAY),
        interval=60,
    )


def _expiry(days: int) -> AlertRule:
    return AlertRule(
        name="CertificateExpiring",
        severity=Severity.PAGE,
        area=AREA,
        # A certificate that lives for less than these days is renewed in time, too: what counts is that it
        # was not.
        expr=f"min by {_BY} ({_EXPIRES}) - time() < {days * DAY} and on {_BY} ({_OVERDUE})",
        hold=10 * MINUTE,
        summary="Certificate {{ $labels.name }} ends in {{ $value | humanizeDuration }}",
        description="Renewal has failed. When it ends, every connection that uses it is refused.",
        runbook="certificate-expiry",
        firing=Evidence(
            _samples(expires=days * DAY, renews=10 * MINUTE),
            true_from=HOUR + 10 * MINUTE + 60,
            labels=_EXPECTED,
        ),
        # Lives for a day, and is not due.
        silent=_samples(expires=DAY, renews=16 * HOUR),
        interval=60,
    )
