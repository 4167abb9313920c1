"""Entry point of the container: `python -m audit_trail`."""

import sys

from audit_trail.cli import main

if __name__ == "__main__":
    sys.exit(main())
