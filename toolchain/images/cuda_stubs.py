"""Stubs for the GPU libraries that PyTorch's plain build is linked with.

PyPI has PyTorch for Linux only with CUDA: ``libtorch.so`` needs ``libtorch_cuda.so``, which needs 2.7 GB of
NVIDIA's libraries to be loaded at all. vLLM's CPU build never calls one of them. Each is replaced by a stub
of a few kilobytes; PyTorch's own files stay as published. See docs/decisions/0003-vllm-cpu-image.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from toolchain.images import elf

# Soname → prefix of its functions. Of two that match, the longer wins (cublasLt before cublas).
LIBRARIES: Final[Mapping[str, str]] = {
    "libcublas.so.13": "cublas",
    "libcublasLt.so.13": "cublasLt",
    "libcudnn.so.9": "cudnn",
    "libcufft.so.12": "cufft",
    "libcufile.so.0": "cuFile",
    "libcurand.so.10": "curand",
    "libcusparse.so.12": "cusparse",
    "libcusparseLt.so.0": "cusparseLt",
    "libnccl.so.2": "nccl",
    "libnvrtc.so.13": "nvrtc",
    "libnvshmem_host.so.3": "nvshmem",
}

DIRECTORY: Final = "nvidia/cu13/lib"
"""Below site-packages; on the run path of PyTorch's libraries and where NVIDIA's CUDA 13 wheels put them."""


def library_of(function: str) -> str | None:
    """The soname that defines a function, or None if it is no stubbed one's."""
    matches = [soname for soname, prefix in LIBRARIES.items() if function.startswith(prefix)]
    return max(matches, key=lambda soname: len(LIBRARIES[soname]), default=None)


def stubs(users: Iterable[Path]) -> dict[str, bytes]:
    """Stub libraries by soname, with every function that the ``users`` (shared libraries) expect of them."""
    functions: dict[str, set[str]] = {soname: set() for soname in LIBRARIES}
    versions: dict[str, set[str]] = {soname: set() for soname in LIBRARIES}
    for user in users:
        needs = elf.needs(user)
        for symbol in needs.symbols:
            soname = library_of(symbol)
            if soname is not None:
                functions[soname].add(symbol)
        for soname in LIBRARIES.keys() & needs.versions.keys():
            versions[soname] |= needs.versions[soname]
    for soname, found in versions.items():
        if len(found) > 1:
            raise ValueError(f"{soname}: versions {sorted(found)} are asked for; a stub has one")
    return {
        soname: elf.stub_library(soname, sorted(names), next(iter(versions[soname]), None))
        for soname, names in functions.items()
    }
