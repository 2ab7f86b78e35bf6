"""What nodes say of themselves, on a cluster that is not the same at two looks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.doctor import node_facts
from cluster.doctor.node_checks import judge_nodes
from cluster.machine import PACKAGES
from cluster.nodes.ask_nodes import ask_every_node

Answers = dict[str, Any]


def joined(answers: Answers) -> Answers:
    return {**answers, "another": next(iter(answers.values()))}


def died(answers: Answers) -> Answers:
    return {}


def has_a_namesake(answers: Answers) -> Answers:
    return {f"{name} (abcd1234)": answer for name, answer in answers.items()}


@pytest.mark.ray
@pytest.mark.parametrize("change", [joined, died, has_a_namesake])
def test_nodes_that_come_and_go_while_they_are_asked(
    local_ray: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: Callable[[Answers], Answers]
) -> None:
    """The nodes that answer are real; those of every question after the first are others."""
    rounds: list[int] = []

    def ask(question: Callable[[], Any]) -> Answers:
        answers = ask_every_node(question)
        rounds.append(len(answers))
        return answers if len(rounds) == 1 else change(answers)

    monkeypatch.setattr(node_facts, "ask_every_node", ask)
    facts = node_facts.gather(tmp_path, PACKAGES)
    found = {check.name: check for check in judge_nodes(facts, node_facts.compared_versions(), tmp_path)}
    assert found["nodes"].detail.startswith("1: ")
    assert found["node clocks"].status == "ok"
