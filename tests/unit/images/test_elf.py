"""Stub libraries satisfy the loader, and PyTorch's calls are assigned to the right one."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from toolchain.images import cuda_stubs, elf

x86_64_linux = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="stubs are x86-64 Linux libraries"
)


@x86_64_linux
@pytest.mark.parametrize("version", [None, "libfoo.so.9"])
def test_every_function_of_a_stub_can_be_found_and_returns_one(tmp_path: Path, version: str | None) -> None:
    names = [f"foo{index}" for index in range(200)]
    (tmp_path / "libfoo.so.9").write_bytes(elf.stub_library("libfoo.so.9", names, version))
    library = ctypes.CDLL(str(tmp_path / "libfoo.so.9"))
    assert {getattr(library, name)() for name in names} == {1}
    assert not hasattr(library, "bar")


@x86_64_linux
def test_a_stub_without_functions_loads(tmp_path: Path) -> None:
    (tmp_path / "libempty.so.1").write_bytes(elf.stub_library("libempty.so.1", []))
    ctypes.CDLL(str(tmp_path / "libempty.so.1"))


@pytest.mark.skipif(
    shutil.which("gcc") is None, reason="no gcc on this machine to link a program with a stub"
)
@x86_64_linux
@pytest.mark.parametrize("version", [None, "FOO_1"])
def test_a_program_linked_with_a_stub_runs_and_its_needs_are_read(
    tmp_path: Path, version: str | None
) -> None:
    """The case that matters: symbol versions recorded at link time must be found in the stub."""
    (tmp_path / "foo.c").write_text("int foo(void) { return 7; }")
    (tmp_path / "use.c").write_text("int foo(void); int use(void) { return foo(); }")
    script = tmp_path / "foo.map"
    script.write_text(f"{version} {{ global: *; }};")
    mapping = [f"-Wl,--version-script={script}"] if version else []
    library, user = tmp_path / "libfoo.so.9", tmp_path / "libuse.so"
    gcc = ["gcc", "-shared", "-fPIC", "-nostdlib"]
    subprocess.run([*gcc, *mapping, "-Wl,-soname,libfoo.so.9", "-o", library, tmp_path / "foo.c"], check=True)
    subprocess.run([*gcc, "-Wl,-rpath,$ORIGIN", "-o", user, tmp_path / "use.c", library], check=True)

    needs = elf.needs(user)
    assert "foo" in needs.symbols
    assert needs.versions.get("libfoo.so.9") == (frozenset({version}) if version else None)

    library.write_bytes(elf.stub_library("libfoo.so.9", ["foo"], version))
    # In a process of its own: a library of this soname may be loaded here already.
    call = f"import ctypes, sys; sys.exit(ctypes.CDLL({str(user)!r}).use() - 1)"
    subprocess.run([sys.executable, "-c", call], check=True)


def test_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no library at all")
    with pytest.raises(ValueError, match="not a 64-bit"):
        elf.needs(tmp_path / "text")


@pytest.mark.parametrize(
    ("function", "soname"),
    [
        ("cublasCreate_v2", "libcublas.so.13"),
        ("cublasLtMatmul", "libcublasLt.so.13"),
        ("cusparseSpMM", "libcusparse.so.12"),
        ("cusparseLtInit", "libcusparseLt.so.0"),
        ("cuFileRead", "libcufile.so.0"),
        ("cudaMalloc", None),
        ("malloc", None),
    ],
)
def test_a_function_belongs_to_the_library_with_the_longest_prefix(function: str, soname: str | None) -> None:
    assert cuda_stubs.library_of(function) == soname
