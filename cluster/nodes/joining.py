"""What whoever joins a cluster asks all its nodes, in one round: their versions, and whether they ask for a token."""

from __future__ import annotations

from collections.abc import Callable

from cluster.nodes.ask_nodes import ask_every_node
from cluster.nodes.same_versions import Versions, require_same_versions, version_teller
from cluster.nodes.token_asked import require_token_asked, token_teller


def require_sound_nodes(say: Callable[[str], None], *, allow_patch: bool = False) -> None:
    """Refuse a cluster whose nodes run other versions or ask for no token; Ray must be connected.

    Args:
        say: Told of each difference that is let through.
        allow_patch: Whether versions may differ in their third number.

    Raises:
        ClusterError: Naming these nodes, or one that does not answer.
    """
    tell_versions, asks_for_token = version_teller(), token_teller()
    answers = ask_every_node(lambda: (tell_versions(), asks_for_token()))
    versions = {node: Versions(**found) for node, (found, _) in answers.items()}
    require_same_versions(versions, say, allow_patch=allow_patch)
    require_token_asked({node: is_asked for node, (_, is_asked) in answers.items()})
