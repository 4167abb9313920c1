"""Entry point of the container: `python -m weights`."""

import logging
import sys
import warnings

from weights.cli import main

if __name__ == "__main__":
    # The client libraries log request addresses, which may be presigned, and warn about interpreter versions;
    # what an operator needs is in our own, redacted lines.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.exit(main())
