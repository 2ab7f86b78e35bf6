"""Nodes die while they are asked: the others answer."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.errors import ClusterError
from cluster.nodes.ask_nodes import ask_every_node


def node(name: str, *, is_alive: bool = True) -> dict[str, Any]:
    return {"NodeID": name * 56, "NodeManagerAddress": f"10.0.0.{name}", "Alive": is_alive}


class Task:
    """Answers with the name of the node that it is pinned to; on node 2 it never runs."""

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id

    def __call__(self, question: Any) -> Task:
        return self

    def remote(self) -> str:
        return self.node_id


def answer(reference: str, timeout: float) -> str:
    import ray

    if reference == "2" * 56:
        raise ray.exceptions.TaskUnschedulableError("the node does not exist any more")
    return reference


@pytest.mark.parametrize("has_died", [True, False])
def test_a_node_that_died_since_it_was_asked_is_left_out(monkeypatch: pytest.MonkeyPatch, has_died: bool) -> None:
    import ray

    looks = iter([[node("1"), node("2")], [node("1"), node("2", is_alive=not has_died)]])
    monkeypatch.setattr(ray, "nodes", lambda: next(looks))
    monkeypatch.setattr(ray, "remote", lambda scheduling_strategy, **_: Task(scheduling_strategy.node_id))
    monkeypatch.setattr(ray, "wait", lambda *_, **__: None)
    monkeypatch.setattr(ray, "get", answer)
    if has_died:
        assert ask_every_node(lambda: "") == {"10.0.0.1": "1" * 56}
    else:
        with pytest.raises(ClusterError, match="cannot answer"):
            ask_every_node(lambda: "")
