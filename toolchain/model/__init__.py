"""A tiny GLM-4V model: real architecture, processor and special tokens, few parameters.

It stands in for the 20 GB of AutoGLM-Phone-9B where those cannot be downloaded, so that the serving profile,
the weights pipeline and the engine run as they do in production. Its answers are noise.
"""

from toolchain.model.publish import MODEL_NAME, publish, sha256sums

__all__ = ["MODEL_NAME", "publish", "sha256sums"]
