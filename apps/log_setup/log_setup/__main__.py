"""Entry point of the container: `python -m log_setup`."""

import sys

from log_setup.cli import main

if __name__ == "__main__":
    sys.exit(main())
