"""Entry point of the container: `python -m audit_trail`."""

import os
import sys

from audit_trail.cli import main

UMASK = 0o007
"""Collector and Jobs share a group; nobody else reads what they write."""

if __name__ == "__main__":
    os.umask(UMASK)
    sys.exit(main())
