"""Reads what shared libraries expect of others and writes stub libraries, for x86-64 ELF.

A stub has the soname and the functions that others link against, and every function returns 1. The loader is
satisfied; nothing behind it exists. Used for the GPU libraries that a plain PyTorch is linked with and that a
machine without a GPU never calls, see :mod:`toolchain.images.cuda_stubs`.

Format: System V ABI, and its AMD64 supplement.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_DYNAMIC: Final = struct.Struct("<qQ")

_IDENT: Final = b"\x7fELF\x02\x01\x01" + bytes(9)
_ET_DYN, _EM_X86_64 = 3, 62
_PT_LOAD, _PT_DYNAMIC, _PT_GNU_STACK = 1, 2, 0x6474E551
_R, _W, _X = 4, 2, 1
_SHT_DYNSYM: Final = 11
_SHN_UNDEF: Final = 0
_GLOBAL_FUNCTION: Final = (1 << 4) | 2
_SHT_GNU_VERNEED: Final = 0x6FFFFFFE
_DT_VERSYM, _DT_VERDEF, _DT_VERDEFNUM = 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD
_VERNEED: Final = struct.Struct("<HHIII")
_VERNAUX: Final = struct.Struct("<IHHII")
_VERDEF: Final = struct.Struct("<HHHHIII")
_VERDAUX: Final = struct.Struct("<II")
_VER_FLG_BASE: Final = 1
_FIRST_VERSION: Final = 2
_DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT, _DT_SONAME = 4, 5, 6, 10, 11, 14
_PAGE: Final = 4096
_SEGMENTS: Final = 4

# mov eax, 1; ret
_RETURN_ONE: Final = b"\xb8\x01\x00\x00\x00\xc3"


@dataclass(frozen=True)
class Needs:
    """What a shared library expects of others.

    ``symbols``: names that it does not define; ``versions``: symbol versions that it asks for, by soname.
    """

    symbols: frozenset[str]
    versions: Mapping[str, frozenset[str]]


def needs(library: Path) -> Needs:
    """Read a library's dynamic symbol table.

    :raises ValueError: not a 64-bit little-endian ELF file with a dynamic symbol table.
    """
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:6] != _IDENT[:6]:
            raise ValueError(f"{library}: not a 64-bit little-endian ELF file")
        header = _HEADER.unpack_from(data)
        sections_at, section_size, sections = header[6], header[11], header[12]
        table = [_SECTION.unpack_from(data, sections_at + i * section_size) for i in range(sections)]
        symbols = next((section for section in table if section[1] == _SHT_DYNSYM), None)
        if symbols is None:
            raise ValueError(f"{library}: no dynamic symbol table")
        strings = table[symbols[6]][4]

        def text(offset: int) -> str:
            begin = strings + offset
            return data[begin : data.find(b"\0", begin)].decode("ascii")

        start, size = symbols[4], symbols[5]
        names = frozenset(
            text(name)
            for name, _, _, section, _, _ in _SYMBOL.iter_unpack(data[start : start + size])
            if name and section == _SHN_UNDEF
        )
        versions: dict[str, frozenset[str]] = {}
        for section in table:
            if section[1] != _SHT_GNU_VERNEED:
                continue
            at = section[4]
            for _ in range(section[7]):
                _, count, file_name, first, following = _VERNEED.unpack_from(data, at)
                found, auxiliary = set(), at + first
                for _ in range(count):
                    _, _, _, name, step = _VERNAUX.unpack_from(data, auxiliary)
                    found.add(text(name))
                    auxiliary += step
                versions[text(file_name)] = frozenset(found)
                at += following
        return Needs(names, versions)


def stub_library(soname: str, functions: Sequence[str], version: str | None = None) -> bytes:
    """A shared library called ``soname`` in which each of ``functions`` returns 1, all of one ``version``."""
    names = sorted(set(functions))
    strings = bytearray(b"\0")
    soname_at = _append(strings, soname)
    name_offsets = [_append(strings, name) for name in names]
    version_at = _append(strings, version) if version is not None else 0

    # The code comes first: symbols hold its address.
    code_at = _HEADER.size + _SEGMENTS * _SEGMENT.size
    end_of_code = code_at + len(_RETURN_ONE)
    symbols = bytes(_SYMBOL.size) + b"".join(
        # Any defined section index does: the file has no section table.
        _SYMBOL.pack(offset, _GLOBAL_FUNCTION, 0, 1, code_at, len(_RETURN_ONE))
        for offset in name_offsets
    )
    tables: list[tuple[int, bytes]] = [
        (_DT_SYMTAB, symbols),
        (_DT_HASH, _hash_table(names)),
        (_DT_STRTAB, bytes(strings)),
    ]
    entries = [(_DT_SONAME, soname_at), (_DT_STRSZ, len(strings)), (_DT_SYMENT, _SYMBOL.size)]
    if version is not None:
        tables.append((_DT_VERSYM, struct.pack(f"<{len(names) + 1}H", 0, *[_FIRST_VERSION] * len(names))))
        tables.append((_DT_VERDEF, _version_definitions((soname, soname_at), (version, version_at))))
        entries.append((_DT_VERDEFNUM, 2))

    image = bytearray(end_of_code)
    image[code_at:end_of_code] = _RETURN_ONE
    for tag, content in tables:
        image += bytes(-len(image) % 8)
        entries.append((tag, len(image)))
        image += content
    read_only = len(image)
    image += bytes(-len(image) % _PAGE)
    dynamic_at = len(image)
    dynamic = b"".join(_DYNAMIC.pack(*entry) for entry in [*entries, (0, 0)])
    segments = [
        _segment(_PT_LOAD, _R | _X, 0, read_only, _PAGE),
        # Writable: the loader relocates the dynamic section in place.
        _segment(_PT_LOAD, _R | _W, dynamic_at, len(dynamic), _PAGE),
        _segment(_PT_DYNAMIC, _R | _W, dynamic_at, len(dynamic), 8),
        # Without it, the loader would ask for an executable stack.
        _segment(_PT_GNU_STACK, _R | _W, 0, 0, 16),
    ]
    sizes = (_HEADER.size, _SEGMENT.size, len(segments), _SECTION.size, 0, 0)
    header = _HEADER.pack(_IDENT, _ET_DYN, _EM_X86_64, 1, 0, _HEADER.size, 0, 0, *sizes)
    image[:code_at] = header + b"".join(segments)
    return bytes(image) + dynamic


def _version_definitions(*definitions: tuple[str, int]) -> bytes:
    """DT_VERDEF: the file's own name first, then its version; each as (text, offset in the string table)."""
    size = _VERDEF.size + _VERDAUX.size
    return b"".join(
        _VERDEF.pack(
            1,
            _VER_FLG_BASE if index == 1 else 0,
            index,
            1,
            _sysv_hash(text),
            _VERDEF.size,
            0 if index == len(definitions) else size,
        )
        + _VERDAUX.pack(offset, 0)
        for index, (text, offset) in enumerate(definitions, start=1)
    )


def _append(strings: bytearray, text: str) -> int:
    offset = len(strings)
    strings += text.encode("ascii") + b"\0"
    return offset


def _segment(kind: int, flags: int, offset: int, size: int, alignment: int) -> bytes:
    return _SEGMENT.pack(kind, flags, offset, offset, offset, size, size, alignment)


def _hash_table(names: Sequence[str]) -> bytes:
    """DT_HASH: buckets and chains of symbol indices; the first symbol is the null symbol."""
    buckets = [0] * max(1, len(names))
    chains = [0] * (len(names) + 1)
    for index, name in enumerate(names, start=1):
        bucket = _sysv_hash(name) % len(buckets)
        chains[index] = buckets[bucket]
        buckets[bucket] = index
    words = [len(buckets), len(chains), *buckets, *chains]
    return struct.pack(f"<{len(words)}I", *words)


def _sysv_hash(name: str) -> int:
    value = 0
    for byte in name.encode("ascii"):
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
    return value
