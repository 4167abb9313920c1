"""A byte-level vocabulary with GLM-4's special tokens and chat format."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

ENDOFTEXT: Final = "<|endoftext|>"
USER: Final = "<|user|>"
OBSERVATION: Final = "<|observation|>"

# The special tokens of GLM-4.1V's tokenizer_config.json, in its order.
SPECIAL: Final = (
    ENDOFTEXT,
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<sop>",
    "<eop>",
    "<|system|>",
    USER,
    "<|assistant|>",
    OBSERVATION,
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
    "<|image|>",
    "<|video|>",
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
)
BYTES: Final = 256
# Padded to a multiple of 64, vLLM's padding of a vocabulary; the rest are reserved tokens.
VOCABULARY: Final = 320
MAX_LENGTH: Final = 65536

CHAT_TEMPLATE: Final = """\
[gMASK]<sop>
{%- macro render(content) -%}
{%- if content is string -%}{{ content }}
{%- else -%}
{%- for part in content -%}
{%- if part.type == 'text' -%}{{ part.text }}
{%- elif 'image' in part.type -%}<|begin_of_image|><|image|><|end_of_image|>
{%- elif 'video' in part.type -%}<|begin_of_video|><|video|><|end_of_video|>
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
<|{{ 'observation' if message.role == 'tool' else message.role }}|>
{{ render(message.content) }}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|assistant|>
{% endif -%}
"""


@cache
def byte_characters() -> tuple[str, ...]:
    """The printable character that stands for each byte in a byte-level BPE vocabulary (GPT-2's mapping)."""
    kept = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    characters, shifted = [], 0
    for byte in range(BYTES):
        if byte in kept:
            characters.append(chr(byte))
        else:
            characters.append(chr(BYTES + shifted))
            shifted += 1
    return tuple(characters)


def added_tokens() -> dict[int, str]:
    """Special and reserved tokens by id."""
    reserved = tuple(f"<|reserved_{index}|>" for index in range(VOCABULARY - BYTES - len(SPECIAL)))
    return dict(enumerate(SPECIAL + reserved, start=BYTES))


def token_id(token: str) -> int:
    """The id of a special token."""
    return BYTES + SPECIAL.index(token)


def printable_ids() -> frozenset[int]:
    """Ids of the printable ASCII characters; a byte's id is its value."""
    return frozenset(range(ord(" "), ord("~") + 1))


def _added_token(content: str) -> dict[str, Any]:
    flags = ("single_word", "lstrip", "rstrip", "normalized")
    return {"content": content, **dict.fromkeys(flags, False), "special": True}


def tokenizer() -> dict[str, Any]:
    """``tokenizer.json`` of the tokenizers library."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, **_added_token(token)} for i, token in added_tokens().items()],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {character: byte for byte, character in enumerate(byte_characters())},
            "merges": [],
        },
    }


def tokenizer_config() -> dict[str, Any]:
    """``tokenizer_config.json``."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": "Glm4vProcessor",
        "added_tokens_decoder": {str(i): _added_token(token) for i, token in added_tokens().items()},
        "additional_special_tokens": list(SPECIAL),
        "clean_up_tokenization_spaces": False,
        "eos_token": ENDOFTEXT,
        "pad_token": ENDOFTEXT,
        "padding_side": "left",
        "model_max_length": MAX_LENGTH,
    }
