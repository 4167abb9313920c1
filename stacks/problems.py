"""Everything that is wrong with a settings file, collected and told at once."""

from __future__ import annotations

from collections.abc import Sequence

from components.common.problems import Problem

__all__ = ["Problem", "SettingsError"]


class SettingsError(Exception):
    """A settings file is refused; the text names file, key, value and fix, one problem a line."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(f"{file}: {problem.path}: {problem.message}" for problem in self.problems))
