"""Entry point of the container: `python -m etcd_tools`."""

import sys

from etcd_tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
