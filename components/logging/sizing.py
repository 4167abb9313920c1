"""How much memory, disk and buffer logging needs. Pure."""

from __future__ import annotations

from typing import Final

from components.common.quantities import GIB, MIB
from components.logging.settings import Elasticsearch, Ingest
from components.monitoring.durations import DAY

LARGEST_HEAP: Final = 31 * GIB
"""Beyond some 32 GB the JVM's object pointers double in size (Elasticsearch's guide, "JVM heap size")."""
LOW_WATERMARK: Final = 0.85
"""`cluster.routing.allocation.disk.watermark.low`, its default: no more shards are put on a fuller disk."""
LOW_HEADROOM: Final = 200 * GIB
"""`…watermark.low.max_headroom`, its default: a large disk is full only when less than this is free."""
QUEUED_EVENT: Final = 560
"""Bytes that an event takes in Filebeat's disk queue beside its text. Measured with the platform's
configuration: 534 with a text of 120 bytes included."""
INDEXED_PER_SENT: Final = 1.5
"""Bytes on Elasticsearch's disk per byte of text, a copy each. An assumption, on the safe side for lines of
some hundred bytes; `_cat/indices` against Logstash's counters shows what it really is."""
ACCESS_RECORD: Final = 450
"""Bytes of a record of an access as Logstash sends it: 352 of vLLM's, 416 of HAProxy's with a trace id, where
nodes have names of six characters."""
AUDIT_ROLLOVER: Final = 30 * DAY
"""Age at which a new index of audit records begins."""
LOGSTASH_RESERVE: Final = GIB
"""Room on Logstash's volume beside its queues: positions in files, and what it sets aside per page."""


def heap(memory: int) -> int:
    """Bytes of a JVM's heap in a container with this much memory: half, in whole MiB, no more than 31 GiB."""
    return min(memory // 2 // MIB * MIB, LARGEST_HEAP)


def usable(volume: int) -> int:
    """Bytes of a volume that Elasticsearch fills before it refuses more shards."""
    return max(int(volume * LOW_WATERMARK), volume - LOW_HEADROOM)


def shipper_queue(ingest: Ingest, outage: int) -> int:
    """Bytes of a node's disk queue that hold what it writes in an outage of so many seconds; whole GiB."""
    event = ingest.bytes_per_line + QUEUED_EVENT
    needed = ingest.lines_per_second * outage * event
    return max(-(-needed // GIB), 1) * GIB


def stored(text: int, copies: int) -> int:
    """Bytes that so many bytes of text take on Elasticsearch's disks, with their copies."""
    return int(text * INDEXED_PER_SENT * copies)


def stored_per_day(ingest: Ingest, nodes: int, copies: int) -> int:
    """Bytes that a day adds to Elasticsearch's disks."""
    return stored(ingest.lines_per_second * ingest.bytes_per_line * DAY * nodes, copies)


def hot_days(rollover_after: int, delete_after: int, warm_after: int | None) -> float:
    """Days that an event spends on the hot tier at most, of phases in seconds after the rollover."""
    return (rollover_after + (delete_after if warm_after is None else warm_after)) / DAY


def warm_days(delete_after: int, warm_after: int) -> float:
    """Days that an event spends on the warm tier."""
    return (delete_after - warm_after) / DAY


def needed_per_node(elasticsearch: Elasticsearch, total: float, nodes: int) -> int:
    """Bytes of the total on each node; with copies, what one lost node held moves to the others."""
    survivors = max(nodes - 1, 1) if elasticsearch.replicas else nodes
    return int(total / survivors)
