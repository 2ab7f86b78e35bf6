"""The one error of this package; it imports none of ours (docs/decisions.md, 1)."""

from __future__ import annotations


class ClusterError(Exception):
    """What stands between a study and its cluster, with what to do about it.

    Args:
        message: What was found, in one or two sentences.
        hint: The next command or setting to try.
    """

    exit_code: int = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # A keyword-only argument is lost by Exception's own pickling.
        return _rebuild, (self.message, self.hint)


def _rebuild(message: str, hint: str | None) -> ClusterError:
    return ClusterError(message, hint=hint)
