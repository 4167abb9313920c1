"""Sizes, configuration and tensor shapes of the tiny ``Glm4vForConditionalGeneration``.

Every field that shapes the code path (rotary sections, patch and merge sizes, context length, special tokens)
has the value or the form of GLM-4.1V-9B; only widths, depths and the vocabulary are small.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from toolchain.model import tokens

HIDDEN: Final = 128
INTERMEDIATE: Final = 256
LAYERS: Final = 2
HEADS: Final = 4
KEY_VALUE_HEADS: Final = 2
HEAD_DIM: Final = HIDDEN // HEADS
# Half of a head's dimensions are rotated; the sections (time, height, width) add up to half of those.
PARTIAL_ROTARY_FACTOR: Final = 0.5
MROPE_SECTION: Final = (2, 3, 3)
MAX_POSITIONS: Final = 65536

VISION_DEPTH: Final = 2
VISION_HIDDEN: Final = 64
VISION_HEADS: Final = 4
VISION_INTERMEDIATE: Final = 128
IMAGE_SIZE: Final = 336
PATCH: Final = 14
TEMPORAL_PATCH: Final = 2
MERGE: Final = 2
CHANNELS: Final = 3

EOS_TOKENS: Final = (tokens.ENDOFTEXT, tokens.USER, tokens.OBSERVATION)


def model_config() -> dict[str, Any]:
    """``config.json`` as transformers reads it."""
    eos = [tokens.token_id(token) for token in EOS_TOKENS]
    pad = tokens.token_id(tokens.ENDOFTEXT)
    return {
        "architectures": ["Glm4vForConditionalGeneration"],
        "model_type": "glm4v",
        "dtype": "bfloat16",
        "eos_token_id": eos,
        "pad_token_id": pad,
        "image_start_token_id": tokens.token_id("<|begin_of_image|>"),
        "image_end_token_id": tokens.token_id("<|end_of_image|>"),
        "image_token_id": tokens.token_id("<|image|>"),
        "video_start_token_id": tokens.token_id("<|begin_of_video|>"),
        "video_end_token_id": tokens.token_id("<|end_of_video|>"),
        "video_token_id": tokens.token_id("<|video|>"),
        "tie_word_embeddings": False,
        "text_config": {
            "model_type": "glm4v_text",
            "vocab_size": tokens.VOCABULARY,
            "hidden_size": HIDDEN,
            "intermediate_size": INTERMEDIATE,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KEY_VALUE_HEADS,
            "max_position_embeddings": MAX_POSITIONS,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-05,
            "eos_token_id": eos,
            "pad_token_id": pad,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": PARTIAL_ROTARY_FACTOR,
                "mrope_section": list(MROPE_SECTION),
            },
        },
        "vision_config": {
            "model_type": "glm4v_vision",
            "depth": VISION_DEPTH,
            "hidden_size": VISION_HIDDEN,
            "num_heads": VISION_HEADS,
            "intermediate_size": VISION_INTERMEDIATE,
            "out_hidden_size": HIDDEN,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH,
            "temporal_patch_size": TEMPORAL_PATCH,
            "spatial_merge_size": MERGE,
            "in_channels": CHANNELS,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-05,
        },
    }


def generation_config() -> dict[str, Any]:
    """``generation_config.json``: greedy, like AutoGLM's clients."""
    return {
        "do_sample": False,
        "eos_token_id": [tokens.token_id(token) for token in EOS_TOKENS],
        "pad_token_id": tokens.token_id(tokens.ENDOFTEXT),
    }


def _processor(kind: str, processor_class: str) -> dict[str, Any]:
    return {
        kind: processor_class,
        "processor_class": "Glm4vProcessor",
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "merge_size": MERGE,
        "patch_size": PATCH,
        "temporal_patch_size": TEMPORAL_PATCH,
    }


def image_processor_config() -> dict[str, Any]:
    """``preprocessor_config.json``; the pixel bounds are GLM-4.1V's."""
    size = {"shortest_edge": 112 * 112, "longest_edge": 28 * 28 * 12288}
    return _processor("image_processor_type", "Glm4vImageProcessor") | {"size": size}


def video_processor_config() -> dict[str, Any]:
    """``video_preprocessor_config.json``."""
    size = {"shortest_edge": 112 * 112, "longest_edge": 28 * 28 * 2 * 30000}
    return _processor("video_processor_type", "Glm4vVideoProcessor") | {"size": size}


def tensor_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of every tensor in a checkpoint of this configuration."""
    yield "lm_head.weight", (tokens.VOCABULARY, HIDDEN)
    language = "model.language_model"
    yield f"{language}.embed_tokens.weight", (tokens.VOCABULARY, HIDDEN)
    yield f"{language}.norm.weight", (HIDDEN,)
    for layer in range(LAYERS):
        prefix = f"{language}.layers.{layer}"
        for norm in ("input", "post_attention", "post_mlp", "post_self_attn"):
            yield f"{prefix}.{norm}_layernorm.weight", (HIDDEN,)
        yield f"{prefix}.mlp.gate_up_proj.weight", (2 * INTERMEDIATE, HIDDEN)
        yield f"{prefix}.mlp.down_proj.weight", (HIDDEN, INTERMEDIATE)
        for projection, rows in (
            ("q", HIDDEN),
            ("k", HEAD_DIM * KEY_VALUE_HEADS),
            ("v", HEAD_DIM * KEY_VALUE_HEADS),
        ):
            yield f"{prefix}.self_attn.{projection}_proj.weight", (rows, HIDDEN)
            yield f"{prefix}.self_attn.{projection}_proj.bias", (rows,)
        yield f"{prefix}.self_attn.o_proj.weight", (HIDDEN, HIDDEN)

    visual = "model.visual"
    yield f"{visual}.patch_embed.proj.weight", (VISION_HIDDEN, CHANNELS, TEMPORAL_PATCH, PATCH, PATCH)
    yield f"{visual}.patch_embed.proj.bias", (VISION_HIDDEN,)
    yield f"{visual}.embeddings.position_embedding.weight", ((IMAGE_SIZE // PATCH) ** 2, VISION_HIDDEN)
    yield f"{visual}.post_conv_layernorm.weight", (VISION_HIDDEN,)
    yield f"{visual}.post_layernorm.weight", (VISION_HIDDEN,)
    yield f"{visual}.downsample.weight", (HIDDEN, VISION_HIDDEN, MERGE, MERGE)
    yield f"{visual}.downsample.bias", (HIDDEN,)
    for block in range(VISION_DEPTH):
        prefix = f"{visual}.blocks.{block}"
        yield f"{prefix}.norm1.weight", (VISION_HIDDEN,)
        yield f"{prefix}.norm2.weight", (VISION_HIDDEN,)
        yield f"{prefix}.attn.qkv.weight", (3 * VISION_HIDDEN, VISION_HIDDEN)
        yield f"{prefix}.attn.proj.weight", (VISION_HIDDEN, VISION_HIDDEN)
        yield f"{prefix}.mlp.gate_proj.weight", (VISION_INTERMEDIATE, VISION_HIDDEN)
        yield f"{prefix}.mlp.up_proj.weight", (VISION_INTERMEDIATE, VISION_HIDDEN)
        yield f"{prefix}.mlp.down_proj.weight", (VISION_HIDDEN, VISION_INTERMEDIATE)
    # vLLM and transformers size the merger by the vision tower's intermediate size.
    yield f"{visual}.merger.proj.weight", (HIDDEN, HIDDEN)
    yield f"{visual}.merger.post_projection_norm.weight", (HIDDEN,)
    yield f"{visual}.merger.post_projection_norm.bias", (HIDDEN,)
    yield f"{visual}.merger.gate_proj.weight", (VISION_INTERMEDIATE, HIDDEN)
    yield f"{visual}.merger.up_proj.weight", (VISION_INTERMEDIATE, HIDDEN)
    yield f"{visual}.merger.down_proj.weight", (HIDDEN, VISION_INTERMEDIATE)
