"""``python3 -m toolchain``: see :mod:`toolchain.cli`."""

from toolchain.cli import main

raise SystemExit(main())
