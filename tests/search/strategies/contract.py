"""What every strategy must keep to; `test_contract` applies it to each of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from datasets_spec.catalog.keys import Key
from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.space.recipe_space import RecipeSpace
from search.strategies.interface import Observation, Recommender, SearchContext, Strategy
from search.strategies.registry import build_strategy
from search.vocabulary import Status

SEED = 7
ROOT = Path(__file__).parents[3]


def constrained_space() -> SearchSpace:
    """5 sources, a grid, a budget and a recipe choice; every constraint binds."""
    return SearchSpace(
        composition=CompositionSpace(
            sources=("mri", "ct", "xray", "us", "oct", "dermo"),
            num_samples=(60, 120, 240),
            budget=420,
            min_size=2,
            max_size=3,
            must_have=("ct",),
            must_not_have=("dermo",),
            max_cost=50,
            sample_costs={"ct": 0.05, "mri": 0.2, "xray": 0.1, "us": 0.0, "oct": 0.3},
            own_key_samples={"xray": 130, "oct": 0},
        ),
        recipe=RecipeSpace.model_validate({"num_steps": [40, 80]}),
    )


def tiny_space() -> SearchSpace:
    """16 candidates: 6 of one subset, 9 of two, 1 of three."""
    return SearchSpace(composition=CompositionSpace(sources=("a", "b", "c"), num_samples=(1, 2), budget=3))


def score(candidate: Candidate) -> float:
    """A made-up accuracy: more of `mri` is better, the rest hardly matters."""
    return 0.5 + candidate.composition.get("mri", 0) / 1000 + len(candidate.composition) / 100


TARGETS = ("t0", "t1", "t2")


def context(space: SearchSpace, num_objectives: int = 1) -> SearchContext:
    """Keys, questions and a proxy, for strategies that go by them."""
    modalities = ("MRI", "CT", "X-ray")
    keys = [Key(modality=modalities[i % 3], area=f"area {i % 2}", task="t") for i in range(9)]

    def proxy(composition: Composition) -> dict[str, float]:
        return {name: score(Candidate(composition)) - 0.1 * k for k, name in enumerate(TARGETS)}

    return SearchContext(
        source_keys=dict(zip(space.composition.allowed, keys, strict=False)),
        target_keys=dict(zip(TARGETS, keys, strict=False)),
        num_items={"t0": 100, "t1": 200, "t2": 50},
        objectives=(TARGETS[:2], TARGETS[2:])[:num_objectives],
        proxy=proxy,
    )


def build(name: str, space: SearchSpace, num_objectives: int = 1) -> Strategy:
    facts = context(space, num_objectives)
    return build_strategy(name, space=space, seed=SEED, num_objectives=num_objectives, context=facts)


def observe(candidate: Candidate, index: int, num_objectives: int = 1) -> Observation:
    values = tuple(score(candidate) / (k + 1) for k in range(num_objectives))
    scores = {name: score(candidate) / (k + 1) for k, name in enumerate(TARGETS)}
    return Observation(candidate=candidate, values=values, status=Status.finished, proposal_index=index, scores=scores)


def fail(candidate: Candidate, index: int) -> Observation:
    """The ways in which a trial has no usable result, in turn."""
    values = (None, (float("nan"),), (float("inf"),), None)[index % 4]
    status = (Status.failed, Status.diverged, Status.finished, Status.oom)[index % 4]
    return Observation(candidate=candidate, values=values, status=status, proposal_index=index)


def run(
    strategy: Strategy, num_asks: int, *, delay: int = 0, failing: int = 0, num_objectives: int = 1
) -> list[Candidate]:
    """Ask again and again; results come `delay` asks late; every `failing`-th trial fails."""
    proposed: list[Candidate] = []
    for _ in range(num_asks):
        num_ended = max(0, len(proposed) - delay)
        history = [
            fail(c, i) if failing and i % failing == 0 else observe(c, i, num_objectives)
            for i, c in enumerate(proposed[:num_ended])
        ]
        suggestion = strategy.ask(history, proposed[num_ended:])
        if suggestion is None:
            break
        assert suggestion.reason
        assert "\n" not in suggestion.reason
        proposed.append(suggestion.candidate)
    return proposed


def check_keeps_constraints_without_repeats(name: str) -> None:
    space = constrained_space()
    proposed = run(build(name, space), 30, delay=4, failing=5)
    assert len(proposed) == 30
    assert [space.violations(candidate) for candidate in proposed] == [[]] * 30
    assert len({candidate.identity for candidate in proposed}) == 30


def check_survives_failures_only(name: str) -> None:
    proposed = run(build(name, constrained_space()), 20, failing=1)
    assert len(set(proposed)) == 20


def check_exhausts_a_small_space(name: str) -> None:
    space = tiny_space()
    strategy = build(name, space)
    proposed = run(strategy, 100)
    assert len(proposed) == space.count() == 16
    assert set(proposed) == set(space.enumerate())
    assert strategy.ask([], proposed) is None


def check_several_objectives(name: str) -> None:
    strategy = build(name, constrained_space(), 2)
    assert len(set(run(strategy, 16, num_objectives=2))) == 16


def check_is_pure_within_a_process(name: str) -> None:
    """The same question gets the same answer, whatever was asked in between and of which object."""
    space = constrained_space()
    strategy = build(name, space)
    history = [observe(c, i) for i, c in enumerate(run(strategy, 15))]
    first = strategy.ask(history[:12], [o.candidate for o in history[12:]])
    strategy.ask(history, [])
    strategy.ask([], [])
    assert strategy.ask(history[:12], [o.candidate for o in history[12:]]) == first
    fresh = build(name, space)
    assert fresh.ask(history[:12], [o.candidate for o in history[12:]]) == first


def identities_of_a_run(name: str) -> list[str]:
    """What the process of `check_is_pure_across_processes` prints."""
    strategy = build(name, constrained_space())
    return [candidate.identity for candidate in run(strategy, 16, delay=2, failing=6)]


def check_is_pure_across_processes(name: str) -> None:
    code = "import sys, json\nfrom tests.search.strategies import contract\n"
    code += f"sys.stdout.write(json.dumps(contract.identities_of_a_run({name!r})))"
    environment = os.environ | {"PYTHONHASHSEED": "4711", "OMP_NUM_THREADS": "1"}
    finished = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, cwd=ROOT)
    assert json.loads(finished.stdout) == identities_of_a_run(name)


def check_pending_and_failed_trials_are_not_forgotten(name: str) -> None:
    """Whatever is running or has failed, the next suggestion is another; results alone do not free a candidate."""
    space = constrained_space()
    strategy = build(name, space)
    proposed = run(strategy, 12)
    history = [observe(c, i) if i % 2 else fail(c, i) for i, c in enumerate(proposed[:6])]
    suggestion = strategy.ask(history, proposed[6:])
    assert suggestion is not None
    assert suggestion.candidate not in proposed


def check_results_without_scores_are_enough(name: str) -> None:
    """Old ledgers have objective values only."""
    space = constrained_space()
    strategy = build(name, space)
    history = [
        Observation(candidate=c, values=(score(c),), status=Status.finished, proposal_index=i)
        for i, c in enumerate(run(strategy, 12))
    ]
    suggestion = strategy.ask(history, [])
    assert suggestion is not None
    assert space.contains(suggestion.candidate)


def check_recommends_within_the_space(name: str) -> None:
    """A strategy with a model recommends a candidate of the space, the same one every time."""
    space = constrained_space()
    strategy = build(name, space)
    if not isinstance(strategy, Recommender):
        return
    assert strategy.recommend([]) is None
    history = [observe(c, i) for i, c in enumerate(run(strategy, 14))]
    for target in (None, "t2"):
        found = strategy.recommend(history, target=target)
        assert found is not None
        assert space.contains(found.candidate)
        assert found == build(name, space).recommend(history, target=target)  # type: ignore[attr-defined]


CHECKS = (
    check_pending_and_failed_trials_are_not_forgotten,
    check_results_without_scores_are_enough,
    check_recommends_within_the_space,
    check_keeps_constraints_without_repeats,
    check_survives_failures_only,
    check_exhausts_a_small_space,
    check_several_objectives,
    check_is_pure_within_a_process,
    check_is_pure_across_processes,
)
