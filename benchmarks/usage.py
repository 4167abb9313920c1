"""What other processes have used of the machine."""

from __future__ import annotations

import resource


def processor_seconds() -> float:
    """User and system time of every process that this one, or a child of its, has waited for.

    On a machine with other work it tells more than the time that passes: it does not count the waiting.
    """
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
