"""Debian packages come from the machine's own mirror, are checked, and are unpacked without dpkg."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from toolchain import debian
from toolchain.errors import ToolchainError


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A mirror on loopback, with one package `hello` in its lock file."""
    root = tmp_path / "mirror"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(debian.MIRROR_VARIABLE, f"http://127.0.0.1:{server.server_port}/debian/")
    package = _deb({"./usr/bin/hello": b"#!/bin/sh\n", "./usr/share/doc/hello/copyright": b"free"})
    pool = root / "debian" / "pool"
    pool.mkdir(parents=True)
    (pool / "hello_1_amd64.deb").write_bytes(package)
    pin = {
        "version": "1",
        "archive": "debian",
        "path": "pool/hello_1_amd64.deb",
        "sha256": hashlib.sha256(package).hexdigest(),
        "size_bytes": len(package),
    }
    lock_file = tmp_path / "lock.json"
    lock_file.write_text(json.dumps({"sets": {"host": ["hello"]}, "packages": {"hello": pin}}))
    monkeypatch.setattr(debian, "LOCK_FILE", lock_file)
    debian._lock.cache_clear()
    debian.base_addresses.cache_clear()
    yield pool
    server.shutdown()
    debian._lock.cache_clear()
    debian.base_addresses.cache_clear()


def _deb(files: dict[str, bytes], compression: str = "xz") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    result = io.BytesIO(b"")
    result.write(b"!<arch>\n")
    for name, content in (
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", b"odd"),
        (f"data.tar.{compression}", data.getvalue()),
    ):
        result.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode())
        result.write(content + b"\n" * (len(content) % 2))
    return result.getvalue()


def test_fetched_once_and_unpacked(mirror: Path, tmp_path: Path) -> None:
    files = debian.fetch(*debian.package_set("host"))
    (mirror / "hello_1_amd64.deb").unlink()
    assert debian.fetch("hello") == files

    debian.extract(files.values(), tmp_path / "root")
    assert (tmp_path / "root" / "usr" / "bin" / "hello").read_bytes() == b"#!/bin/sh\n"


def test_tampered_package_is_refused(mirror: Path) -> None:
    (mirror / "hello_1_amd64.deb").write_bytes(b"!<arch>\nsomething else")
    with pytest.raises(ToolchainError, match=r"(?s)hello 1 could not be had.*sha256 [0-9a-f]{64}, locked"):
        debian.fetch("hello")


def test_package_gone_from_the_mirror_names_the_way_out(mirror: Path) -> None:
    (mirror / "hello_1_amd64.deb").unlink()
    with pytest.raises(ToolchainError, match=r"(?s)404.*python3 -m toolchain lock"):
        debian.fetch("hello")


def test_unlocked_names_are_refused(mirror: Path) -> None:
    with pytest.raises(ToolchainError, match="no package 'nothing'"):
        debian.fetch("nothing")
    with pytest.raises(ToolchainError, match="no set 'nothing'"):
        debian.package_set("nothing")


def test_compressions(tmp_path: Path) -> None:
    for compression in ("xz", "gz"):
        file = tmp_path / f"{compression}.deb"
        file.write_bytes(_deb({"./a": b"a"}, compression))
        with debian.open_data(file) as archive:
            assert [member.name for member in archive] == ["./a"]


def test_not_a_package(tmp_path: Path) -> None:
    file = tmp_path / "x.deb"
    file.write_bytes(b"<html>")
    with pytest.raises(ToolchainError, match=r"x\.deb: not a Debian package"):
        debian.extract([file], tmp_path / "root")


def test_package_cannot_write_outside_its_root(tmp_path: Path) -> None:
    file = tmp_path / "evil.deb"
    file.write_bytes(_deb({"../escaped": b"x"}))
    with pytest.raises(tarfile.TarError):
        debian.extract([file], tmp_path / "root")
    assert not (tmp_path / "escaped").exists()


def test_addresses_are_read_from_both_forms_of_apt_sources(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://old.example/debian x main\ndeb [arch=amd64] http://one.example/debian x main\n"
    )
    (tmp_path / "sources.list.d" / "two.sources").write_text(
        "Types: deb\nURIs: http://two.example/debian http://three.example/debian-security\nSuites: x\n"
    )
    assert list(debian._apt_addresses(tmp_path)) == [
        "http://one.example/debian",
        "http://two.example/debian",
        "http://three.example/debian-security",
    ]


def test_lock_file_is_closed() -> None:
    data = json.loads(debian.LOCK_FILE.read_text())
    named = {name for members in data["sets"].values() for name in members}
    assert named == set(data["packages"])
    for name, pin in data["packages"].items():
        assert len(pin["sha256"]) == 64, name
        assert pin["path"].startswith("pool/"), name


def test_lock_file_names_no_host() -> None:
    assert "://" not in debian.LOCK_FILE.read_text()
