"""The root error of the project and the errors a user can repair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# A hundred wrong lines in one spec help nobody; the rest is counted.
MAX_PROBLEMS_SHOWN = 50


class RecombineError(Exception):
    """Root of every error this project raises on purpose; survives pickling between processes."""

    exit_code: int = 1


class UserError(RecombineError):
    """Something the user can repair: one message and, where there is one, the next thing to do.

    Args:
        message: What was found, without questions, answers, pixels or patient ids.
        hint: The nearest valid choice or the next command.
    """

    exit_code: int = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(kind: type[UserError], message: str, hint: str | None) -> UserError:
    return kind(message, hint=hint)


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing wrong in a spec.

    Args:
        file: File as the user named it, or ``<command line>`` for an override.
        line: 1-based line (for an override: its number on the command line).
        column: 1-based column.
        where: Dotted path of the field, e.g. ``space.recipe.learning_rate``; empty for the whole file.
        message: What is wrong.
        found: What stands there, shortened.
        nearest: The nearest valid key or value.
    """

    file: str
    line: int
    column: int
    where: str
    message: str
    found: str | None = None
    nearest: str | None = None

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: "
        if self.where:
            text += f"{self.where}: "
        text += self.message
        if self.found is not None:
            text += f" (found {self.found})"
        if self.nearest is not None:
            text += f". Did you mean '{self.nearest}'?"
        return text


class SpecError(UserError):
    """A spec is wrong; carries every problem found, one line each.

    Args:
        problems: At least one problem.
        hint: What to do next.
    """

    def __init__(self, problems: Sequence[Problem], *, hint: str | None = None) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems[:MAX_PROBLEMS_SHOWN]]
        if len(self.problems) > MAX_PROBLEMS_SHOWN:
            lines.append(f"... and {len(self.problems) - MAX_PROBLEMS_SHOWN} more")
        super().__init__("\n".join(lines), hint=hint)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_spec_error, (self.problems, self.hint)


def _rebuild_spec_error(problems: tuple[Problem, ...], hint: str | None) -> SpecError:
    return SpecError(problems, hint=hint)


class ReaderError(UserError):
    """A whole data file cannot be read in the declared format."""


class QuarantineLimitError(UserError):
    """More rows of a subset are unusable than the study allows."""


class LeakageError(UserError):
    """A training row shares an image or a group with an evaluation row."""


class MissingImagesError(UserError):
    """An image folder, or many of the images that rows name, are not there."""


class StoreError(UserError):
    """The store is absent, damaged, busy or lacks what was asked for."""


class StorageError(UserError):
    """A folder or a bucket cannot be used as asked: rights, credentials, network or space."""
