"""Whether submitter, driver and all nodes run the same Recombine, Python and Ray: asked before any data are touched."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from cluster.errors import ClusterError

# In a job's environment: what the process that submitted it runs.
SUBMITTER: Final = "RECOMBINE_SUBMITTER"
_NAMES: Final = {"recombine": "Recombine", "python": "Python", "ray": "Ray"}
_NONE: Final = "none"
_FIX: Final = "Install the same versions everywhere: one image, or one environment that all nodes see."


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """The versions of one process that must be those of all others."""

    recombine: str
    python: str
    ray: str

    def to_text(self) -> str:
        """One line that :meth:`from_text` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Versions:
        """Read what :meth:`to_text` wrote; a version that is not in it is ``none``."""
        found = json.loads(text)
        return cls(**{name: str(found.get(name, _NONE)) for name in _NAMES})


def own_versions() -> Versions:
    """The versions of this process."""
    return Versions(**version_teller()())


def require_same_versions(
    nodes: Mapping[str, Versions], say: Callable[[str], None], *, allow_patch: bool = False
) -> None:
    """Compare this driver with its submitter and with every node of the cluster it has joined.

    Args:
        nodes: What each node runs, by its name.
        say: Told of each difference that is let through.
        allow_patch: Whether versions may differ in their third number.

    Raises:
        ClusterError: They differ; both sides are named.
    """
    ours = own_versions()
    others = {"submitter": Versions.from_text(os.environ[SUBMITTER])} if SUBMITTER in os.environ else {}
    others |= {f"node {node}": theirs for node, theirs in nodes.items()}
    patches: list[str] = []
    rest: list[str] = []
    for place, theirs in others.items():
        for line, is_patch in _differences(ours, place, theirs):
            (patches if is_patch else rest).append(line)
    if rest or (patches and not allow_patch):
        hint = f"{_FIX} `--allow-mismatch` lets third numbers differ." if not rest else _FIX
        raise ClusterError("Versions differ: " + "; ".join([*rest, *patches]) + ".", hint=hint)
    for line in patches:
        say(f"versions differ, as allowed: {line}")


def _differences(ours: Versions, place: str, theirs: Versions) -> Iterator[tuple[str, bool]]:
    """Each version that differs, with both sides, and whether only its third number does."""
    for name, word in _NAMES.items():
        here, there = getattr(ours, name), getattr(theirs, name)
        if here != there:
            yield f"{word} {there} on {place}, {here} in the driver", _minor(here) == _minor(there)


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def version_teller() -> Callable[[], dict[str, str]]:
    """A question to a node: what it runs, by the names of :class:`Versions`."""

    # Defined inside, so that it travels by value: a node without our packages answers too.
    def tell() -> dict[str, str]:
        import importlib.metadata
        import platform

        found = {"python": platform.python_version()}
        for name in ("recombine", "ray"):
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = "none"
        return found

    return tell
