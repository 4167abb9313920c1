"""Catalogue of every flag that `vllm serve` accepts, from vLLM's own argument parser.

Run with the Python of the engine's image, for each new minor version:

    python3 components/model_server/flags/generate.py > components/model_server/flags/vllm-0.32.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import Any, Final


def _parser() -> argparse.ArgumentParser:
    from vllm.entrypoints.cli.serve import ServeSubcommand  # type: ignore[import-not-found]
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # type: ignore[import-not-found]

    commands = FlexibleArgumentParser().add_subparsers()
    parser: argparse.ArgumentParser = ServeSubcommand().subparser_init(commands)
    return parser


_CONVERSIONS: Final = {"json": ("parse_type", "parse_dataclass", "union_dict", "loads"), "int": ("int",)}
"""What the names of vLLM's conversion functions say about the type of a value."""


def _kind(action: argparse.Action) -> str:
    if isinstance(action, argparse.BooleanOptionalAction) or action.nargs == 0:
        return "bool"
    if action.choices:
        return "choice"
    convert: Any = action.type
    # vLLM wraps the conversion of optional values: the inner one says what the value is.
    while getattr(convert, "__qualname__", "").startswith("optional_type"):
        (cell,) = convert.__closure__
        convert = cell.cell_contents
    name = getattr(convert, "__qualname__", getattr(convert, "__name__", ""))
    for kind, words in (
        ("json", ("parse_type", "parse_dataclass", "union_dict", "loads")),
        ("int", ("int",)),
    ):
        if any(word in name for word in words):
            return kind
    return "float" if name == "float" else "str"


def _flag(action: argparse.Action) -> tuple[str, dict[str, Any]]:
    names = [name for name in action.option_strings if name.startswith("--") and not name.startswith("--no-")]
    name = names[0]
    entry: dict[str, Any] = {"type": _kind(action)}
    if action.choices:
        entry["choices"] = sorted(str(choice) for choice in action.choices)
    if action.nargs not in (None, 0, "?"):
        entry["nargs"] = action.nargs
    if aliases := sorted(set(action.option_strings) - {name}):
        entry["aliases"] = aliases
    return name, entry


def main() -> None:
    """Print the catalogue as JSON."""
    with contextlib.redirect_stdout(sys.stderr):
        import vllm  # type: ignore[import-not-found]

        actions = [action for action in _parser()._actions if action.option_strings]
        flags = dict(sorted(_flag(action) for action in actions if action.dest != "help"))
    version = vllm.__version__.split("+")[0]
    json.dump({"version": version, "flags": flags}, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
