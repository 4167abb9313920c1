"""Import into containerd, with a ctr that only records what it is asked."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from toolchain import paths
from toolchain.errors import ToolchainError
from toolchain.images import build, definitions, oci
from toolchain.images.definitions import LocalImage

FAKE_CTR = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in
*"images ls -q") cat {present} ;;
*"content ls -q") cat {content} ;;
*" import "*) cat > {archive}; exit {status} ;;
esac
"""


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalImage:
    layer = oci.layer({"file": oci.File(b"content")})
    image = LocalImage("thing", "1.0", oci.assemble([layer], oci.Config()))
    monkeypatch.setattr(definitions, "IMAGES", {"thing": lambda: image})
    monkeypatch.setattr(paths, "IMAGES_FILE", tmp_path / "images.json")
    return image


def _ctr(tmp_path: Path, present: str = "", content: str = "", status: int = 0) -> list[str]:
    (tmp_path / "present").write_text(present)
    (tmp_path / "content").write_text(content)
    script = tmp_path / "ctr"
    files = {name: tmp_path / name for name in ("calls", "present", "content", "archive")}
    script.write_text(FAKE_CTR.format(**files, status=status))
    return ["sh", str(script)]


def test_a_missing_image_is_imported_under_its_digest_and_kept_from_garbage_collection(
    image: LocalImage, tmp_path: Path
) -> None:
    build.import_into(_ctr(tmp_path))
    with tarfile.open(tmp_path / "archive") as archive:
        index = archive.extractfile("index.json")
        assert index is not None
        names = {entry["annotations"][oci.CONTAINERD_NAME] for entry in json.load(index)["manifests"]}
    assert names == {f"autoglm.local/thing@{image.image.digest}", "autoglm.local/thing:1.0"}
    calls = (tmp_path / "calls").read_text()
    assert f"label {image.reference} io.cri-containerd.pinned=pinned" in calls


def test_an_image_that_is_there_is_not_imported_again(image: LocalImage, tmp_path: Path) -> None:
    build.import_into(_ctr(tmp_path, present=f"{image.reference}\n{image.tag}\n"))
    assert "import" not in (tmp_path / "calls").read_text()


def test_a_layer_that_containerd_has_is_not_sent_again(image: LocalImage, tmp_path: Path) -> None:
    (layer, *_) = image.image.blobs
    build.import_into(_ctr(tmp_path, content=f"{layer.digest}\n"))
    with tarfile.open(tmp_path / "archive") as archive:
        names = archive.getnames()
    assert f"blobs/sha256/{layer.sha256}" not in names
    assert f"blobs/sha256/{image.image.manifest.sha256}" in names


def test_a_refused_import_tells_the_image(image: LocalImage, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=image.image.digest):
        build.import_into(_ctr(tmp_path, status=1))


def test_references_are_recorded_by_digest(image: LocalImage) -> None:
    build.build_all()
    assert build.references() == {"images": {"thing": {"reference": image.reference, "version": "1.0"}}}
