"""Fetch model weights into a store and verify them against a pinned `SHA256SUMS`.

`python -m weights fetch` downloads, verifies and publishes one version of a model; `python -m weights verify`
checks a published version again before an engine loads it. Both fail closed: whatever is not exactly what was
pinned is refused with one line, `weights: refused: <subject>: <reason>`, and exit status 1.
"""
