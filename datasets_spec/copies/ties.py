"""Sets of names that belong together."""

from __future__ import annotations


class Ties:
    """Sets of names that are tied to each other; a set is called by its first name in alphabetical order."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def root(self, name: str) -> str:
        """Returns what the set of a name is called."""
        while (parent := self._parent.get(name, name)) != name:
            self._parent[name] = self._parent.get(parent, parent)
            name = parent
        return name

    def tie(self, one: str, two: str) -> None:
        """Makes one set of two."""
        roots = self.root(one), self.root(two)
        self._parent[max(roots)] = min(roots)
