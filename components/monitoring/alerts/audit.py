"""Alerts on the audit trail: what is not recorded, not sealed, not verified, or not as it was sealed.

Metrics are those of the collectors (apps/audit), which also tell what the sealing and verifying Jobs have
left on their volumes; `pod` is therefore the name of the trail. Without a collector, there are none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components.common.quantities import MIB
from components.monitoring.alerts.model_service import NAMESPACE, answers
from components.monitoring.durations import DAY, HOUR, MINUTE
from components.monitoring.rule import AlertRule, Evidence, Growth, Level, RuleGroup, Series, Severity, level
from components.monitoring.stack import AUDIT_COLLECTOR, MODEL_SERVER, MonitoredStack

AREA: Final = "audit"
_RUNBOOK: Final = "audit-trail"
_PASS_SECONDS: Final = 5 * MINUTE
"""Logs are read every 5 s. From here on the collector does not get to their end, or reads none."""
_SILENT_SECONDS: Final = HOUR
"""API servers together are never silent for so long: kubelets alone renew each pod's token within an hour."""
_UNVERIFIED_SECONDS: Final = 14 * HOUR
"""Every twelve hours a Job verifies."""
_UNSEALED_SECONDS: Final = 60 * HOUR
"""From the begin of a day: it is over after 24 hours, and sealed within two more and a night of patience. The
next is sealed a day later."""
_FREE_BYTES: Final = 256 * MIB
_UNRECORDED_SECONDS: Final = HOUR
"""From a model server's log to the trail it is seconds, unless something on the way stands still."""
_LONG: Final = 10 * MINUTE
"""Between samples of a proof that takes days."""
REMOVED: Final = "records-removed"
"""The rule of the collector that finds its own records gone (apps/audit, collect.py)."""


def audit(stack: MonitoredStack) -> RuleGroup:
    """Alerts on the trails of a stack that has some."""
    namespace = stack.agents_namespace or stack.namespace
    receiver = _receiver(namespace) if stack.audit_receiver else ()
    return RuleGroup(
        "audit", (), (*_alterations(namespace), *_recording(namespace, stack), *receiver, *_jobs(namespace))
    )


def _where(namespace: str, more: str = "") -> str:
    return f'job="{AUDIT_COLLECTOR}",namespace="{namespace}"{more}'


def _trail(namespace: str, name: str, samples: Level | Growth, more: str = "") -> Series:
    return Series(f'{name}{{{_where(namespace)},pod="{AUDIT_COLLECTOR}-0"{more}}}', samples)


def _one(namespace: str, **more: str) -> tuple[dict[str, str]]:
    return ({"namespace": namespace, "pod": f"{AUDIT_COLLECTOR}-0", **more},)


def _alterations(namespace: str) -> Iterator[AlertRule]:
    success, anomalies = "audit_verify_success", "audit_anomalies_total"
    yield AlertRule(
        name="AuditTrailAltered",
        severity=Severity.PAGE,
        area=AREA,
        expr=f"min by (namespace, pod) ({success}{{{_where(namespace)}}}) == 0",
        hold=0,
        summary="The audit trail {{ $labels.pod }} is not what was sealed",
        description="Its verification has found records or seals that were changed, are missing, or were "
        "never sealed. Its Job's log names day, line and kind.",
        runbook=_RUNBOOK,
        firing=Evidence((_trail(namespace, success, level(0)),), true_from=0, labels=_one(namespace)),
        silent=(_trail(namespace, success, level(1)),),
    )

    def raised(rule: str, samples: Level) -> tuple[Series, ...]:
        return (_trail(namespace, anomalies, samples, f',rule="{rule}"'),)

    yield AlertRule(
        name="AuditRecordsRemoved",
        severity=Severity.PAGE,
        area=AREA,
        expr=f"sum by (namespace, pod) (increase({anomalies}"
        f'{{{_where(namespace)},rule="{REMOVED}"}}[1h])) > 0',
        hold=0,
        summary="Records of {{ $labels.pod }} that were not sealed yet are gone",
        description="At its start the collector found less in a file than it had written: somebody or a "
        "broken disk removed it. The record of this says which file.",
        runbook=_RUNBOOK,
        firing=Evidence(raised(REMOVED, Level(((0, 60), (1, 0)))), true_from=60, labels=_one(namespace)),
        silent=(*raised(REMOVED, level(1)), *raised("denials", Level(((0, 60), (1, 0))))),
    )
    yield AlertRule(
        name="AuditAnomaly",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"sum by (namespace, pod, rule) (increase({anomalies}"
        f'{{{_where(namespace)},rule!="{REMOVED}"}}[1h])) > 0',
        hold=0,
        summary="Somebody did what is unusual: {{ $labels.rule }}",
        description="A rule over the records of {{ $labels.pod }} was met within the last hour. The trail "
        "says who, what and from where.",
        runbook="audit-anomaly",
        firing=Evidence(
            raised("denials", Level(((0, 60), (1, 0)))),
            true_from=60,
            labels=_one(namespace, rule="denials"),
        ),
        silent=(*raised("denials", level(1)), *raised(REMOVED, Level(((0, 60), (1, 0))))),
    )


def _recording(namespace: str, stack: MonitoredStack) -> Iterator[AlertRule]:
    collectors = stack.audit_collectors
    up = f"up{{{_where(namespace)}}}"

    def collector(index: int, value: int) -> Series:
        return Series(f'up{{{_where(namespace)},pod="{AUDIT_COLLECTOR}-{index}"}}', level(value))

    yield AlertRule(
        name="AuditCollectorsMissing",
        severity=Severity.TICKET,
        area=AREA,
        # A collector without a pod has no sample: what is there is compared with what is planned.
        expr=f"sum by (namespace) ({up}) < {collectors} or sum by (namespace) (absent({up})) * 0",
        hold=10 * MINUTE,
        summary="{{ $value }} of " + f"{collectors} audit collectors run",
        description="What happens meanwhile is recorded later, if it is soon: from the nodes' logs, of which "
        "the API server keeps eleven files of 100 MB and the kubelet a few of each container, or, where "
        "records are sent, from Logstash's queue.",
        runbook=_RUNBOOK,
        firing=Evidence(
            tuple(collector(index, 0) for index in range(collectors)),
            true_from=0,
            labels=({"namespace": namespace},),
        ),
        silent=tuple(collector(index, 1) for index in range(collectors)),
    )
    passed = "audit_last_pass_timestamp_seconds"
    yield AlertRule(
        name="AuditCollectorBehind",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"time() - max by (namespace, pod) ({passed}{{{_where(namespace)}}}) > {_PASS_SECONDS}",
        hold=5 * MINUTE,
        summary="{{ $labels.pod }} has recorded nothing new for {{ $value | humanizeDuration }}",
        description="It hangs, has too little CPU, or its volume is full or refuses to be written. What it "
        "has not read before the logs rotate away is never recorded; what is sent to it, Logstash keeps.",
        runbook=_RUNBOOK,
        firing=Evidence(
            (_trail(namespace, passed, level(0)),),
            true_from=_PASS_SECONDS + 15,
            labels=_one(namespace),
        ),
        silent=(_trail(namespace, passed, Level(tuple((t, 270) for t in range(0, 3600, 270)))),),
    )
    newest = "audit_last_record_timestamp_seconds"
    yield AlertRule(
        name="AuditApiServerSilent",
        severity=Severity.TICKET,
        area=AREA,
        # Of several API servers some may have nobody to serve.
        expr=f"time() - max by (namespace) ({newest}"
        f'{{{_where(namespace)},source="kubernetes"}}) > {_SILENT_SECONDS}',
        hold=10 * MINUTE,
        summary="No API server has written an audit record for {{ $value | humanizeDuration }}",
        description="Its audit policy or flags are gone, or it cannot write. Nobody could say who does what.",
        runbook=_RUNBOOK,
        firing=Evidence(
            (_trail(namespace, newest, level(0), ',source="kubernetes"'),),
            true_from=_SILENT_SECONDS + 15,
            labels=({"namespace": namespace},),
        ),
        silent=(
            _trail(namespace, newest, level(0), ',source="kubernetes"'),
            Series(
                f'{newest}{{{_where(namespace)},pod="{AUDIT_COLLECTOR}-1",source="kubernetes"}}',
                level(_SILENT_SECONDS - MINUTE),
            ),
        ),
    )
    refused = "audit_refused_lines_total"
    yield AlertRule(
        name="AuditLinesRefused",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"sum by (namespace, pod, source) (increase({refused}{{{_where(namespace)}}}[1h])) > 0",
        hold=0,
        summary="{{ $labels.pod }} could not read lines of {{ $labels.source }}",
        description="They may tell of an access. They are kept beside the records, with the reason.",
        runbook=_RUNBOOK,
        firing=Evidence(
            (_trail(namespace, refused, Level(((0, 60), (1, 0))), ',source="model"'),),
            true_from=60,
            labels=_one(namespace, source="model"),
        ),
        silent=(_trail(namespace, refused, level(3), ',source="model"'),),
    )


def _receiver(namespace: str) -> Iterator[AlertRule]:
    batches = "audit_received_batches_total"

    def answered(code: int, samples: Level | Growth) -> Series:
        return _trail(namespace, batches, samples, f',code="{code}"')

    yield AlertRule(
        name="AuditBatchesRefused",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"sum by (namespace, pod, code) (increase({batches}"
        f'{{{_where(namespace)},code!~"200|503"}}[1h])) > 0',
        hold=0,
        summary="{{ $labels.pod }} refuses batches of records with {{ $labels.code }}",
        description="403 and 404: certificate or address are wrong, and Logstash keeps its records until "
        "that is mended. 400 and 413: it gives them up; the trail has a note of it, the log store has them.",
        runbook=_RUNBOOK,
        firing=Evidence(
            (answered(413, Level(((0, 60), (1, 0)))),), true_from=60, labels=_one(namespace, code="413")
        ),
        silent=(answered(413, level(1)), answered(200, Growth(1)), answered(503, Growth(1))),
    )
    newest = "audit_last_record_timestamp_seconds"

    def recorded(samples: Level) -> Series:
        return _trail(namespace, newest, samples, ',source="model"')

    yield AlertRule(
        name="AuditAccessesUnrecorded",
        severity=Severity.TICKET,
        area=AREA,
        # Model servers count each request themselves.
        expr=f'sum by (namespace) (increase(http_requests_total{{job="{MODEL_SERVER}",method="POST"}}'
        f"[{_UNRECORDED_SECONDS // HOUR}h])) > 0 unless on () "
        f'time() - max({newest}{{{_where(namespace)},source="model"}}) <= {_UNRECORDED_SECONDS}',
        hold=30 * MINUTE,
        summary="Models of {{ $labels.namespace }} were asked, and the audit trail does not know of it",
        description="For an hour no record of an access has come, and there were some. Filebeat, Logstash or "
        "its way to the trail stands still; their queues keep what comes meanwhile until they are full.",
        runbook=_RUNBOOK,
        firing=Evidence(
            (answers("200", 0.1), recorded(level(0))),
            true_from=_UNRECORDED_SECONDS + 15,
            labels=({"namespace": NAMESPACE},),
        ),
        silent=(
            answers("200", 0.1),
            recorded(Level(tuple((t, _UNRECORDED_SECONDS - 60) for t in range(0, DAY, 3540)))),
        ),
    )


def _jobs(namespace: str) -> Iterator[AlertRule]:
    passed = "audit_last_pass_timestamp_seconds"
    verified, sealed = "audit_verify_timestamp_seconds", "audit_sealed_day_timestamp_seconds"
    by = "by (namespace, pod)"

    def latest(name: str) -> str:
        return f"max {by} ({name}{{{_where(namespace)}}})"

    yield AlertRule(
        name="AuditVerifyMissing",
        severity=Severity.TICKET,
        area=AREA,
        # A trail that has just begun is verified for the first time within twelve hours.
        expr=f"time() - {latest(verified)} > {_UNVERIFIED_SECONDS} "
        f"or {latest(passed)} unless {latest(verified)}",
        hold=DAY,
        summary="The audit trail {{ $labels.pod }} is not verified",
        description="Its Job has not ended for a day and more. Whatever is done to the trail meanwhile goes "
        "unnoticed.",
        runbook=_RUNBOOK,
        firing=Evidence((_trail(namespace, passed, level(1)),), true_from=0, labels=_one(namespace)),
        silent=(
            _trail(namespace, passed, level(1)),
            _trail(namespace, verified, Level(((0, 20 * HOUR), (20 * HOUR, 0)))),
        ),
        interval=_LONG,
    )
    yield AlertRule(
        name="AuditSealLate",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"time() - {latest(sealed)} > {_UNSEALED_SECONDS}",
        hold=30 * MINUTE,
        summary="Yesterday's records of {{ $labels.pod }} are not sealed",
        description="Its Job fails, or has no node to run on. Until there is a seal, nothing shows that the "
        "records are as they were.",
        runbook=_RUNBOOK,
        firing=Evidence(
            (_trail(namespace, sealed, level(0)),),
            true_from=_UNSEALED_SECONDS + _LONG,
            labels=_one(namespace),
        ),
        silent=(_trail(namespace, sealed, Level(((0, 50 * HOUR), (DAY, 0)))),),
        interval=_LONG,
    )
    free = "audit_store_free_bytes"
    yield AlertRule(
        name="AuditStoreFull",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"min {by} ({free}{{{_where(namespace)}}}) < {_FREE_BYTES}",
        hold=10 * MINUTE,
        summary="{{ $value | humanize1024 }}B are free for the audit trail {{ $labels.pod }}",
        description="When nothing is free, nothing is recorded, until there is room.",
        runbook=_RUNBOOK,
        firing=Evidence((_trail(namespace, free, level(240 * MIB)),), true_from=0, labels=_one(namespace)),
        silent=(_trail(namespace, free, level(272 * MIB)),),
    )
