"""Entry point of the container: `python -m trend_report`."""

import sys

from trend_report.cli import main

if __name__ == "__main__":
    sys.exit(main())
