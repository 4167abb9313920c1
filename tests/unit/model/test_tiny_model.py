"""The tiny model has the same bytes everywhere and the shape of GLM-4.1V."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest

from toolchain.model import architecture, publish, safetensors, tokens, weights
from toolchain.model.publish import MODEL_NAME, SUMS_FILE, files, sha256sums

# Changing it changes what Pulumi.dev.yaml pins.
WEIGHTS_SHA256 = "974c4fb0391b13e4b5e3b6f68246bf67981d56405fb68ce0ba3779a0ce7af4b8"


def test_the_weights_are_the_same_on_every_machine() -> None:
    assert hashlib.sha256(files()["model.safetensors"]).hexdigest() == WEIGHTS_SHA256


def test_the_header_describes_the_data() -> None:
    data = files()["model.safetensors"]
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__")
    assert length % safetensors.HEADER_ALIGNMENT == 0
    offsets = [tensor["data_offsets"] for tensor in header.values()]
    assert [begin for begin, _ in offsets] == [0, *(end for _, end in offsets[:-1])]
    assert offsets[-1][1] == len(data) - 8 - length
    assert {name: tuple(tensor["shape"]) for name, tensor in header.items()} == dict(
        architecture.tensor_shapes()
    )


def test_a_tensor_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 8 bytes"):
        safetensors.Bfloat16Tensor((2, 2), b"\0" * 6)


@pytest.mark.parametrize(("value", "expected"), [(1.0, b"\x80\x3f"), (0.0, b"\0\0"), (-2.0, b"\x00\xc0")])
def test_bfloat16_is_the_upper_half_of_a_float(value: float, expected: bytes) -> None:
    assert weights.bfloat16(value) == expected


def test_only_printable_characters_can_win_greedy_decoding() -> None:
    rows = tokens.VOCABULARY
    head = weights.tensors()[weights.LM_HEAD].data
    width = len(head) // rows
    silent = {row for row in range(rows) if not any(head[row * width : (row + 1) * width])}
    assert set(range(rows)) - silent == set(tokens.printable_ids())
    assert not {tokens.token_id(token) for token in architecture.EOS_TOKENS} & tokens.printable_ids()


def test_rotary_sections_fill_the_rotated_half_of_a_head() -> None:
    assert sum(architecture.MROPE_SECTION) * 2 == architecture.HEAD_DIM * architecture.PARTIAL_ROTARY_FACTOR


def test_ids_of_special_tokens_agree_between_tokenizer_and_config() -> None:
    ids = {entry["content"]: entry["id"] for entry in tokens.tokenizer()["added_tokens"]}
    config = architecture.model_config()
    assert config["image_token_id"] == ids["<|image|>"]
    assert config["image_start_token_id"] == ids["<|begin_of_image|>"]
    assert config["video_end_token_id"] == ids["<|end_of_video|>"]
    assert config["text_config"]["eos_token_id"] == [
        ids["<|endoftext|>"],
        ids["<|user|>"],
        ids["<|observation|>"],
    ]
    assert sorted([*tokens.tokenizer()["model"]["vocab"].values(), *ids.values()]) == list(
        range(tokens.VOCABULARY)
    )


def test_every_byte_has_its_own_character() -> None:
    assert len(set(tokens.byte_characters())) == tokens.BYTES
    assert tokens.byte_characters()[ord("a")] == "a"


def test_the_published_files_are_those_of_the_sums(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    lines = (folder / SUMS_FILE).read_text().splitlines()
    assert lines == sha256sums().splitlines()
    pinned = {line[66:]: line[:64] for line in lines}
    assert list(pinned) == sorted(pinned)
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != SUMS_FILE
    }
    assert found == pinned


def test_a_published_model_that_is_right_is_left_alone_and_a_damaged_one_replaced(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    before = folder.stat().st_ino
    assert publish(tmp_path).stat().st_ino == before
    (folder / "config.json").write_text("{}")
    (folder / "extra").write_text("")
    publish(tmp_path)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "glm4v"
    assert not (folder / "extra").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == [MODEL_NAME]


def test_an_unprivileged_user_can_read_it(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
