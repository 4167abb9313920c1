"""How long a virtual IP is without a holder, and why it never has two.

All times are milliseconds. Formulas are RFC 5798's (VRRP version 3, section 6.1) and RFC 3768's (version 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Version = Literal[2, 3]

MISSED_ADVERTS: Final = 3
"""Advertisements without which a holder counts as gone (RFC 5798: Master_Down_Interval)."""
PEER_CHECK_FALL: Final = 2
"""Failed checks after which a peer counts as unreachable: one may be a lost packet and its retransmission."""
LEAST_STAGGER_MS: Final = 10
"""Between the moments at which two nodes take over: the later one has to have heard of the earlier one by
then, or both hold the address. Priorities that differ by 1 are 1.2 ms apart at the default interval."""
_PEER_CHECKS_PER_ADVERT: Final = 5
_PROXY_CHECKS_PER_ADVERT: Final = 3
SCRIPT_ALLOWANCE_MS: Final = 100
"""Starting the check, its answer and the change of state of keepalived on a busy machine."""


def skew_ms(priority: int, advert_ms: int, version: Version) -> float:
    """What a node of that priority waits beyond the missed advertisements; the higher, the shorter."""
    unit = advert_ms if version == 3 else 1000
    return (256 - priority) * unit / 256


def master_down_ms(priority: int, advert_ms: int, version: Version) -> float:
    """From the last advertisement until a node of that priority takes over."""
    return MISSED_ADVERTS * advert_ms + skew_ms(priority, advert_ms, version)


def peer_check_ms(advert_ms: int) -> int:
    """Between two checks of a peer, and the time that each may take."""
    return advert_ms // _PEER_CHECKS_PER_ADVERT


def proxy_check_ms(advert_ms: int) -> int:
    """Between two checks of the proxy by keepalived."""
    return advert_ms // _PROXY_CHECKS_PER_ADVERT


@dataclass(frozen=True)
class Failover:
    """Bounds that follow from priorities and advertisement interval."""

    crash_ms: float
    """From the end of a holder without a word until the next one, at most."""
    graceful_ms: float
    """From a holder's farewell until the next one, at most."""
    isolation_ms: float
    """From the moment a holder is cut off from its peers until it has given the address up, at most."""
    earliest_takeover_ms: float
    """From the same moment until one of the others takes over, at least."""

    @property
    def one_holder(self) -> bool:
        """Whether a holder that is cut off gives up before another one takes over."""
        return self.isolation_ms < self.earliest_takeover_ms


def failover(priorities: Sequence[int], advert_ms: int, version: Version) -> Failover:
    """The bounds for entry nodes of these priorities: two of them at least."""
    second = sorted(priorities)[-2]
    highest = max(priorities)
    return Failover(
        # The holder may be the node of highest priority: then the second takes over.
        crash_ms=master_down_ms(second, advert_ms, version),
        graceful_ms=skew_ms(second, advert_ms, version),
        isolation_ms=(
            PEER_CHECK_FALL * 2 * peer_check_ms(advert_ms) + proxy_check_ms(advert_ms) + SCRIPT_ALLOWANCE_MS
        ),
        # The last advertisement may have been sent a whole interval before.
        earliest_takeover_ms=master_down_ms(highest, advert_ms, version) - advert_ms,
    )
