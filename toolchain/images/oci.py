"""Writes OCI image archives: no container engine, same inputs, same bytes.

An archive is a tar of an OCI image layout, as ``ctr images import`` reads it. Entries are sorted; owner, mode
and time are normalized; layers are stored uncompressed, because they never cross a network.
Layers are streamed: an archive of several gigabytes needs a few megabytes of memory.

Specification: https://github.com/opencontainers/image-spec (image-layout.md, layer.md, config.md).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

EPOCH: Final = 315532800
"""Time of every entry, in seconds: 1980-01-01, the earliest that zip archives can express."""

CHUNK: Final = 1 << 20
_BLOCK: Final = tarfile.BLOCKSIZE

MEDIA_INDEX: Final = "application/vnd.oci.image.index.v1+json"
MEDIA_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
MEDIA_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
MEDIA_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
CONTAINERD_NAME: Final = "io.containerd.image.name"
"""Annotation from which containerd takes an imported image's full name."""


@dataclass(frozen=True)
class File:
    """A regular file: content from a file on this machine or from bytes."""

    source: Path | bytes
    mode: int = 0o644

    def size(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def open(self) -> IO[bytes]:
        return io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb")


@dataclass(frozen=True)
class Symlink:
    """A symbolic link; ``target`` is kept as it is."""

    target: str


@dataclass(frozen=True)
class Directory:
    """A directory; parents that a layer does not name are made with mode 0755."""

    mode: int = 0o755


Node = File | Symlink | Directory


def tree(root: Path, prefix: str = "", *, keep: Callable[[str], bool] = lambda path: True) -> dict[str, Node]:
    """The entries of a directory tree, to be placed below ``prefix`` in an image.

    Modes become 0755 or 0644 by the owner's execute bit; devices and sockets are refused.

    :param keep: called with each path relative to ``root``; a directory that it refuses is not entered.
    :raises ValueError: an entry that is no file, directory or link.
    """
    nodes: dict[str, Node] = {}

    def visit(directory: Path, relative: PurePosixPath) -> None:
        for entry in os.scandir(directory):
            path = relative / entry.name
            if not keep(str(path)):
                continue
            target = str(PurePosixPath(prefix) / path)
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                nodes[target] = Symlink(os.readlink(entry.path))
            elif stat.S_ISDIR(mode):
                nodes[target] = Directory()
                visit(Path(entry.path), path)
            elif stat.S_ISREG(mode):
                nodes[target] = File(Path(entry.path), 0o755 if mode & stat.S_IXUSR else 0o644)
            else:
                raise ValueError(f"{entry.path}: only files, directories and links go into an image")

    visit(root, PurePosixPath())
    return nodes


@dataclass(frozen=True)
class Blob:
    """A stored layer or document: its digest (hex SHA-256), its size in bytes and where its bytes are."""

    sha256: str
    size: int
    source: Path | bytes

    @classmethod
    def of(cls, data: bytes) -> Blob:
        return cls(hashlib.sha256(data).hexdigest(), len(data), data)

    @property
    def digest(self) -> str:
        return f"sha256:{self.sha256}"

    def descriptor(self, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Config:
    """The parts of an image's configuration that a container runtime reads.

    ``user`` is ``uid:gid`` in numbers: ``runAsNonRoot`` cannot judge a name.
    """

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "65532:65532"
    working_directory: str = "/"
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self, diff_ids: Sequence[str]) -> bytes:
        settings = {
            "User": self.user,
            "Env": [f"{name}={value}" for name, value in sorted(self.environment.items())],
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "WorkingDir": self.working_directory,
            "Labels": dict(sorted(self.labels.items())),
        }
        return _json(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": "1980-01-01T00:00:00Z",
                "config": {key: value for key, value in settings.items() if value},
                "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
            }
        )


@dataclass(frozen=True)
class Image:
    """An image ready to be written: its manifest's digest and every blob that it needs."""

    manifest: Blob
    blobs: tuple[Blob, ...]

    @property
    def digest(self) -> str:
        return self.manifest.digest


def write_layer(nodes: Mapping[str, Node], destination: Path) -> Blob:
    """Write one layer as an uncompressed tar and return it as a blob."""
    with destination.open("wb") as raw:
        out = _Hashing(raw)
        _write_entries(nodes, out)
    return Blob(out.sha256.hexdigest(), out.size, destination)


def layer(nodes: Mapping[str, Node]) -> Blob:
    """A small layer, kept in memory."""
    buffer = io.BytesIO()
    _write_entries(nodes, _Hashing(buffer))
    return Blob.of(buffer.getvalue())


def assemble(layers: Sequence[Blob], config: Config) -> Image:
    """The image of these layers, lowest first. Layers are uncompressed: a blob's digest is its diff id."""
    configuration = Blob.of(config.document([item.digest for item in layers]))
    manifest = Blob.of(
        _json(
            {
                "schemaVersion": 2,
                "mediaType": MEDIA_MANIFEST,
                "config": configuration.descriptor(MEDIA_CONFIG),
                "layers": [item.descriptor(MEDIA_LAYER) for item in layers],
            }
        )
    )
    return Image(manifest, (*layers, configuration, manifest))


def write_archive(
    out: IO[bytes], image: Image, references: Sequence[str], *, present: Collection[str] = ()
) -> None:
    """Write the image's archive to a stream (a file, or a pipe to ``ctr images import -``).

    :param present: digests that the receiver has, which are left out.
    :param references: full names under which containerd stores the image, for example
        ``autoglm.local/pause:3.10`` or ``autoglm.local/weights@sha256:…``.
    """
    manifests = [
        image.manifest.descriptor(MEDIA_MANIFEST)
        | {"annotations": {CONTAINERD_NAME: reference}, "platform": {"architecture": "amd64", "os": "linux"}}
        for reference in references
    ]
    index = {"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": manifests}
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK) as archive:
        _add(archive, "oci-layout", File(_json({"imageLayoutVersion": "1.0.0"})))
        _add(archive, "index.json", File(_json(index)))
        for blob in sorted(
            {blob.sha256: blob for blob in image.blobs}.values(), key=lambda blob: blob.sha256
        ):
            if blob.digest not in present:
                _add(archive, f"blobs/sha256/{blob.sha256}", File(blob.source))


def write_image(
    destination: Path, references: str | Sequence[str], layers: Sequence[Mapping[str, Node]], config: Config
) -> str:
    """Write a small image (layers in memory) to an archive file; returns its digest, ``sha256:…``."""
    image = assemble([layer(nodes) for nodes in layers], config)
    with destination.open("wb") as out:
        write_archive(out, image, [references] if isinstance(references, str) else references)
    return image.digest


class _Hashing:
    """A sink that counts and hashes what passes."""

    def __init__(self, out: IO[bytes]) -> None:
        self.out = out
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self.out.write(data)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _normalized(path: str) -> str:
    parts = PurePosixPath(path.lstrip("/")).parts
    if not parts or ".." in parts:
        raise ValueError(f"{path!r}: not a path in an image")
    return "/".join(parts)


def _with_parents(nodes: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    complete: dict[str, Node] = {}
    for path, node in nodes.items():
        complete[_normalized(path)] = node
    for path in list(complete):
        for parent in PurePosixPath(path).parents:
            if str(parent) == ".":
                continue
            # setdefault: a directory that is named keeps its mode.
            if not isinstance(complete.setdefault(str(parent), Directory()), Directory):
                raise ValueError(f"{path!r} lies below {str(parent)!r}, which is no directory in this layer")
    # By components, so that a directory comes before what it holds.
    yield from sorted(complete.items(), key=lambda item: PurePosixPath(item[0]).parts)


def _write_entries(nodes: Mapping[str, Node], out: _Hashing) -> None:
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK) as archive:  # type: ignore[call-overload]
        for path, node in _with_parents(nodes):
            _add(archive, path, node)


def _add(archive: tarfile.TarFile, path: str, node: Node) -> None:
    entry = tarfile.TarInfo(path)
    entry.mtime = EPOCH
    if isinstance(node, Directory):
        entry.type, entry.mode = tarfile.DIRTYPE, node.mode
        archive.addfile(entry)
    elif isinstance(node, Symlink):
        entry.type, entry.mode, entry.linkname = tarfile.SYMTYPE, 0o777, node.target
        archive.addfile(entry)
    else:
        entry.mode, entry.size = node.mode, node.size()
        with node.open() as content:
            archive.addfile(entry, content)
