"""Whether submitter, driver and all nodes run the same Recombine, Python and Ray: asked before any data are touched.

Nodes that join later answer when work first comes to them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
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
    others = {"submitter": Versions.from_text(os.environ[SUBMITTER])} if SUBMITTER in os.environ else {}
    others |= {f"node {node}": theirs for node, theirs in nodes.items()}
    compare = _comparer(own_versions(), allow_patch=allow_patch)
    refused, hint, allowed = compare({place: asdict(theirs) for place, theirs in others.items()})
    if refused is not None:
        raise ClusterError(refused, hint=hint)
    for line in allowed:
        say(f"versions differ, as allowed: {line}")


def node_comparer(*, allow_patch: bool = False) -> Callable[[], str | None]:
    """A question to a node that may have joined after all were compared: how what it runs differs from this driver.

    Args:
        allow_patch: Whether versions may differ in their third number.

    Returns:
        What travels to the node, and returns there what differs and what to do about it, or None.
    """
    compare, tell = _comparer(own_versions(), allow_patch=allow_patch), version_teller()

    def how_it_differs() -> str | None:
        import platform

        refused, hint, _ = compare({f"node {platform.node()}": tell()})
        return None if refused is None else f"{refused} {hint}"

    return how_it_differs


def _comparer(
    ours: Versions, *, allow_patch: bool
) -> Callable[[Mapping[str, Mapping[str, str]]], tuple[str | None, str, list[str]]]:
    """What compares versions by place with ours: why they are refused, what to do, and differences let through."""
    driver, names, fix = asdict(ours), dict(_NAMES), _FIX

    # Defined inside, so that it travels by value: a node with another Recombine may have another of this module.
    def compare(others: Mapping[str, Mapping[str, str]]) -> tuple[str | None, str, list[str]]:
        patches: list[str] = []
        rest: list[str] = []
        for place, theirs in others.items():
            for name, word in names.items():
                here, there = driver[name], theirs[name]
                if here != there:
                    is_patch = here.split(".")[:2] == there.split(".")[:2]
                    (patches if is_patch else rest).append(f"{word} {there} on {place}, {here} in the driver")
        if rest or (patches and not allow_patch):
            hint = f"{fix} `--allow-mismatch` lets third numbers differ." if not rest else fix
            return "Versions differ: " + "; ".join([*rest, *patches]) + ".", hint, []
        return None, fix, patches

    return compare


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
