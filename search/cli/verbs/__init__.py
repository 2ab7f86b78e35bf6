"""The command `recombine`: one verb a function; what is heavy is imported when a verb needs it."""

from search.cli.verbs.study import app, main

__all__ = ["app", "main"]
