"""What the terminal sees: the command `recombine`, one file a verb."""

from search.cli.verbs import main

__all__ = ["main"]
