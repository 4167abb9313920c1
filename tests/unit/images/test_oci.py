"""Image archives are deterministic, normalized and complete."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from toolchain.images import oci

CONFIG = oci.Config(command=("python3",), environment={"B": "2", "A": "1"})


def _members(layer: oci.Blob) -> list[tarfile.TarInfo]:
    assert isinstance(layer.source, bytes)
    with tarfile.open(fileobj=io.BytesIO(layer.source)) as archive:
        return archive.getmembers()


def _archive(destination: Path) -> dict[str, bytes]:
    with tarfile.open(destination) as archive:
        found = {}
        for member in archive.getmembers():
            content = archive.extractfile(member)
            assert content is not None
            found[member.name] = content.read()
        return found


def test_the_same_tree_gives_the_same_digest_whatever_its_times_and_order(tmp_path: Path) -> None:
    digests: set[str] = set()
    for name, files in (("one", ("a", "b")), ("two", ("b", "a"))):
        root = tmp_path / name
        root.mkdir()
        for file in files:
            (root / file).write_text(file)
        os.utime(root / "a", (len(digests) * 1000, len(digests) * 1000))
        digests.add(oci.write_layer(oci.tree(root), tmp_path / f"{name}.tar").sha256)
    assert len(digests) == 1


def test_a_directory_precedes_what_it_holds_and_keeps_its_mode() -> None:
    members = _members(
        oci.layer({"tmp/x/file": oci.File(b""), "tmp": oci.Directory(0o1777), "a-b": oci.File(b"")})
    )
    assert [(member.name, oct(member.mode)) for member in members] == [
        ("a-b", "0o644"),
        ("tmp", "0o1777"),
        ("tmp/x", "0o755"),
        ("tmp/x/file", "0o644"),
    ]


def test_owner_and_time_are_normalized(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!")
    (tmp_path / "run").chmod(0o700)
    (tmp_path / "link").symlink_to("run")
    members = _members(oci.layer(oci.tree(tmp_path, "opt")))
    assert {(member.uid, member.gid, member.mtime) for member in members} == {(0, 0, oci.EPOCH)}
    assert {member.name: member.mode for member in members}["opt/run"] == 0o755
    assert {member.name: member.linkname for member in members}["opt/link"] == "run"


def test_a_refused_directory_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "doc").mkdir()
    (tmp_path / "doc" / "page").write_text("")
    (tmp_path / "kept").write_text("")
    assert set(oci.tree(tmp_path, keep=lambda path: path != "doc")) == {"kept"}


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe"):
        oci.tree(tmp_path)


@pytest.mark.parametrize("path", ["../outside", "a/../../b", "", "/"])
def test_a_path_outside_the_image_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a path in an image"):
        oci.layer({path: oci.File(b"")})


def test_a_file_below_a_link_is_refused() -> None:
    with pytest.raises(ValueError, match="lies below 'lib'"):
        oci.layer({"lib": oci.Symlink("usr/lib"), "lib/file": oci.File(b"")})


def test_an_archive_holds_every_blob_under_its_digest(tmp_path: Path) -> None:
    digest = oci.write_image(
        tmp_path / "i.tar", ["r/a:1", "r/a:2"], [{"x": oci.File(b"1")}, {"y": oci.File(b"2")}], CONFIG
    )
    content = _archive(tmp_path / "i.tar")
    blobs = {name: data for name, data in content.items() if name.startswith("blobs/")}
    assert all(name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}" for name, data in blobs.items())
    index = json.loads(content["index.json"])
    assert {entry["annotations"][oci.CONTAINERD_NAME] for entry in index["manifests"]} == {"r/a:1", "r/a:2"}
    assert {entry["digest"] for entry in index["manifests"]} == {digest}
    manifest = json.loads(blobs[f"blobs/sha256/{digest.removeprefix('sha256:')}"])
    named = [manifest["config"], *manifest["layers"]]
    assert all(
        len(blobs["blobs/sha256/" + item["digest"].removeprefix("sha256:")]) == item["size"] for item in named
    )
    config = json.loads(blobs["blobs/sha256/" + manifest["config"]["digest"].removeprefix("sha256:")])
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


def test_an_image_runs_as_a_numbered_unprivileged_user_unless_told_otherwise() -> None:
    config = json.loads(CONFIG.document([]))["config"]
    assert config["User"] == "65532:65532"
    assert config["Env"] == ["A=1", "B=2"]


def test_a_layer_shared_by_two_images_is_written_once(tmp_path: Path) -> None:
    same = oci.layer({"x": oci.File(b"1")})
    with (tmp_path / "i.tar").open("wb") as out:
        oci.write_archive(out, oci.assemble([same, same], CONFIG), ["r/a:1"])
    with tarfile.open(tmp_path / "i.tar") as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))
