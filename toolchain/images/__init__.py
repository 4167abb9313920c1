"""Local images: built from Debian and PyPI packages without a container engine, imported into containerd."""

from toolchain.images.build import build_all, import_into

__all__ = ["build_all", "import_into"]
