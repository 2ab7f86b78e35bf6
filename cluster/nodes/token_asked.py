"""Whether every node of a cluster asks for a token: where one does not, whoever reaches its ports runs code on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cluster.auth import NO_TOKEN_ASKED_HINT
from cluster.errors import ClusterError


def require_token_asked(nodes: Mapping[str, bool]) -> None:
    """Refuse a cluster with a node whose Ray asks for no token.

    Args:
        nodes: Whether each does, by its name.

    Raises:
        ClusterError: Naming these nodes.
    """
    bare = [node for node, is_asked in nodes.items() if not is_asked]
    if bare:
        raise ClusterError(
            f"Ray asks for no token on {', '.join(bare)}: whoever reaches its ports could run code there.",
            hint=NO_TOKEN_ASKED_HINT,
        )


def token_teller() -> Callable[[], bool]:
    """A question to a node: whether its Ray asks for a token."""

    # Defined inside, so that it travels by value: a node with a version of ours that is let through may lack this file.
    def tell() -> bool:
        import os

        return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"

    return tell
