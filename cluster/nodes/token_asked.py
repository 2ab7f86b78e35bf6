"""Whether every node of a cluster asks for a token: where one does not, whoever reaches its ports runs code on it."""

from __future__ import annotations

from collections.abc import Callable

from cluster.auth import NO_TOKEN_ASKED_HINT
from cluster.errors import ClusterError
from cluster.nodes.ask_nodes import ask_every_node


def require_token_asked() -> None:
    """Refuse a cluster with a node whose Ray asks for no token; Ray must be connected.

    Raises:
        ClusterError: Naming these nodes, or one that does not answer.
    """
    bare = [node for node, is_asked in ask_every_node(_teller()).items() if not is_asked]
    if bare:
        raise ClusterError(
            f"Ray asks for no token on {', '.join(bare)}: whoever reaches its ports could run code there.",
            hint=NO_TOKEN_ASKED_HINT,
        )


def _teller() -> Callable[[], bool]:
    # Defined inside, so that it travels by value: a node with a version of ours that is let through may lack this file.
    def tell() -> bool:
        import os

        return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"

    return tell
