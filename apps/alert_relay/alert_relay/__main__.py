"""Entry point of the container: `python -m alert_relay`."""

import sys

from alert_relay.cli import main

if __name__ == "__main__":
    sys.exit(main())
