"""What a process of its own decides and computes on tied inputs; `test_rounding` compares it between BLAS kernels.

Arguments are names of parts, without which all are done.

Sources, targets and scores are symmetrical: what is equal on paper differs in the last digits, and by other digits
with every kernel.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datasets_spec.catalog.keys import Key, TaskMap
from search.bench.honesty.campaign import Protocol, run_campaign
from search.bench.honesty.figures import world_of
from search.bench.known_truth.shipped import open_table
from search.bench.replay.effect_coverage import effect_coverage
from search.bench.replay.problem import ReplayProblem
from search.bench.replay.replay import replay
from search.evidence.explain.effects import Subject, banzhaf_weights, explain, explained_trials
from search.evidence.explain.model import EffectsModel
from search.evidence.explain.top_up import top_up
from search.evidence.matrix.transfer_matrix import TRANSFER_COLUMNS
from search.phases.merges import choose_merges
from search.report.figures.heatmap import compute_transfer_heatmap
from search.report.run_files import RunRecords
from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.statistics.winners_curse import cross_fitted
from search.strategies.interface import Observation, SearchContext
from search.strategies.ranking import best_observed, ranked
from search.strategies.recombine import RecombineStrategy
from search.strategies.registry import build_strategy
from search.strategies.surrogate.encoding import encode
from search.strategies.surrogate.features import KeyBasis, key_tables
from search.strategies.surrogate.unfinished import noisy_results
from search.study.run_dir import RunDir
from search.vocabulary import Status

# A ring: source i holds element i, target j needs elements j, j + 1 and j + 2. Turned by one, it is the same world.
RING = tuple("abcdef")
KEYS = {name: Key(modality=name, area=name, task=name) for name in RING}
TARGETS = {
    f"t{j}": Key(modality=RING[j], area=RING[(j + 1) % len(RING)], task=RING[(j + 2) % len(RING)])
    for j in range(len(RING))
}
TASK_MAP = TaskMap(name="identity", version="1")
NUM_ASKS = {"recombine": 15}
NUM_TRIALS = 12  # half of them are the opening, so that the model is asked early
LEARNERS = ("recombine", "greedy", "static", "metadata", "merge-then-confirm", "optuna-tpe")


def space(num_samples: Sequence[int] = (10,), sources: Sequence[str] = RING) -> SearchSpace:
    return SearchSpace(
        composition=CompositionSpace(
            sources=tuple(sources), num_samples=tuple(num_samples), budget=len(sources) * max(num_samples)
        )
    )


def score(composition: Composition, target: Key) -> float:
    """Share of samples that share an element, more where all three are there; in tenths and thirds."""
    shares = [n / composition.total for s, n in composition.items() if s in (target.modality, target.area, target.task)]
    return 0.3 + 0.1 * sum(shares) / 3 + 0.1 * len(shares) / 3 + 0.1 * (len(shares) == 3)


def scores(composition: Composition) -> dict[str, float]:
    return {name: score(composition, key) for name, key in TARGETS.items()}


def observed(candidate: Candidate, place: int, num_objectives: int = 1) -> Observation:
    found = scores(candidate.composition)
    halves = [list(found.values())[k::num_objectives] for k in range(num_objectives)]
    values = tuple(sum(half) / len(half) for half in halves)
    return Observation(candidate=candidate, values=values, status=Status.finished, proposal_index=place, scores=found)


def context(num_objectives: int = 1, *, proxy: bool = False, **change: Any) -> SearchContext:
    names = tuple(TARGETS)
    return SearchContext(
        source_keys=KEYS,
        target_keys=TARGETS,
        task_map=TASK_MAP,
        num_items=dict.fromkeys(TARGETS, 100),
        objectives=tuple(names[k::num_objectives] for k in range(num_objectives)),
        proxy=scores if proxy else None,
        num_trials=NUM_TRIALS,
        **change,
    )


def walk(strategy: Any, num_asks: int, *, delay: int = 2, num_objectives: int = 1) -> tuple[list[str], list[Any]]:
    """Suggestions with their reasons, and the history; results come `delay` asks late."""
    proposed: list[Candidate] = []
    said = []
    for _ in range(num_asks):
        ended = max(0, len(proposed) - delay)
        history = [observed(c, i, num_objectives) for i, c in enumerate(proposed[:ended])]
        suggestion = strategy.ask(history, proposed[ended:])
        if suggestion is None:
            break
        proposed.append(suggestion.candidate)
        said.append(f"{suggestion.candidate.composition}: {suggestion.reason}")
    return said, [observed(c, i, num_objectives) for i, c in enumerate(proposed)]


def of_strategies() -> tuple[dict[str, Any], dict[str, Any]]:
    """What every strategy asks for and, with a model, recommends and predicts."""
    decisions: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    for name in LEARNERS:
        strategy = build_strategy(name, space=space(), seed=1, context=context(proxy=name == "merge-then-confirm"))
        decisions[name], _ = walk(strategy, NUM_ASKS.get(name, 12))
    variants: dict[str, dict[str, Any]] = {
        "proxy": {"proxy": True},
        "each": {"goal": "each"},
        "two": {"num_objectives": 2},
    }
    for name, change in variants.items():
        num_objectives = change.get("num_objectives", 1)
        strategy = RecombineStrategy(space=space(), seed=1, num_objectives=num_objectives, context=context(**change))
        decisions[name], history = walk(strategy, 12, num_objectives=num_objectives)
        decisions[f"{name} ranked"] = [o.proposal_index for o in ranked(history)]
        best = best_observed(history)
        decisions[f"{name} best"] = best.proposal_index if best else None
        # Two targets show what six would: the world turned by one is the same.
        found = [strategy.recommend(history, target=target) for target in (None, "t0", "t1")]
        decisions[f"{name} recommended"] = [f"{s.candidate.composition}: {s.reason}" for s in found if s]
        predicted = strategy.predict(history, list(space().enumerate()), target="t1")
        assert predicted is not None
        numbers[f"{name} mean"], numbers[f"{name} deviation"] = predicted.mean.tolist(), predicted.deviation.tolist()
    return decisions, numbers


def of_a_large_space() -> tuple[dict[str, Any], dict[str, Any]]:
    """Local search, where candidates cannot be listed, and scores that are all the same."""
    wide = space((10, 20, 30, 40, 50, 60, 70, 80, 90), RING)
    strategy = RecombineStrategy(space=wide, seed=3, context=context())
    said, history = walk(strategy, 10)
    found = strategy.recommend(history)
    assert found is not None
    flat = RecombineStrategy(space=space(), seed=3, context=SearchContext(num_trials=NUM_TRIALS))
    everything = list(space().enumerate())
    same = [
        Observation(candidate=c, values=(0.1 + 0.2 if k % 2 else 0.3,), status=Status.finished, proposal_index=k)
        for k, c in enumerate([*everything[:10], everything[-1]])
    ]
    suggested = flat.ask(same, [])
    return {
        "local search": [*said, str(found.candidate.composition)],
        "flat": suggested and str(suggested.candidate.composition),
    }, {}


def of_stopped() -> tuple[dict[str, Any], dict[str, Any]]:
    """Trials that were stopped at a rung as results with noise, and what is proposed and predicted with them."""
    everything = list(space().enumerate())
    history = []
    for place, candidate in enumerate([*everything[:12], everything[-1]]):
        made = observed(candidate, place)
        shown = enumerate(scores(candidate.composition).items())
        at_rung = {name: 0.1 + 0.7 * value + 0.01 * ((place + k) % 3) for k, (name, value) in shown}
        made = replace(made, rungs={0: at_rung})
        if place % 3 == 2:
            made = replace(made, values=None, status=Status.stopped_early, scores=at_rung)
        history.append(made)
    strategy = RecombineStrategy(space=space(), seed=1, context=context())
    suggested, predicted = strategy.ask(history, []), strategy.predict(history, everything)
    assert suggested is not None
    assert predicted is not None
    noisy = noisy_results(history, tuple(TARGETS), dict.fromkeys(TARGETS, 100))
    return {"after stopped": f"{suggested.candidate.composition}: {suggested.reason}"}, {
        "stopped scores": [result.scores for result in noisy],
        "stopped noise": [result.noise for result in noisy],
        "stopped mean": predicted.mean.tolist(),
    }


def of_campaigns() -> tuple[dict[str, Any], dict[str, Any]]:
    """Whole campaigns of the honesty bench: words, intervals, what would have been found."""
    race = Protocol(num_finalists=4, num_seeds=4, num_further=1, racing=True)
    found = [run_campaign(world_of("signal", 0), 0), run_campaign(world_of("signal", 1), 1, race)]
    claims = [[dict(one.claims), one.recommends, one.covered_together, one.num_trained] for one in found]
    return {"claims": claims}, {
        "campaigns": [[one.naive, one.search_expected, one.confirm_expected, *one.sealed_ci] for one in found],
        "detectable": [list(one.detectable.values()) for one in found],
    }


def of_replays() -> tuple[dict[str, Any], dict[str, Any]]:
    """Searches of the phantom's real scores, for one target and for all of them: trials, picks, coverage, effects."""
    table = open_table(Path("phantom"))
    decisions: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    for name, target in {"replay": 2, "pool replay": None}.items():
        problem = ReplayProblem(table, target=target, num_trials=14)
        strategy = build_strategy("recombine", space=problem.space, seed=0, context=problem.context(0))
        is_one = target is not None
        picks = replay(problem, strategy, label=name, repetition=0, checkpoints=(14,), with_intervals=is_one)
        decisions[f"{name} picks"] = [str(pick.coverages) for pick in picks]
        numbers[f"{name} regrets"] = [pick.regret for pick in picks]
    (effects,) = effect_coverage([table], strategies=["random"], checkpoints=(16,), every_target=12)
    numbers["effects"] = [effects.share, effects.half_width]
    return decisions, numbers


def of_features() -> tuple[dict[str, Any], dict[str, Any]]:
    """Which profiles the functions of keys go by, and their values."""
    everything = encode(list(space().enumerate()), space())
    basis = KeyBasis(key_tables(list(KEYS.values()), list(TARGETS.values()), TASK_MAP), everything, np.full(6, 0.1))
    return {"landmarks": np.round(basis._landmarks, 3).tolist()}, {"features": basis.features(everything).tolist()}


def of_explain() -> tuple[dict[str, Any], dict[str, Any]]:
    """Effects of subsets, pairs and elements, and the trials that would sharpen one."""
    decisions: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    every = [c.composition for c in space().enumerate()]
    chosen = {"all": every, "singles": [c for c in every if len(c) == 1]}
    subject = Subject(
        keys={**KEYS, **TARGETS}, sources=RING, targets=tuple(TARGETS)[:2], task_map=TASK_MAP, selected=("a", "b"),
        new_keys={"new": Key(modality="a", area="b", task="z")},
    )  # fmt: skip
    for name, compositions in chosen.items():
        records = [_record(composition) for composition in compositions]
        effects = explain(records, subject).effects
        decisions[f"{name} clear"] = [e.is_clear for e in effects]
        numbers[f"{name} effects"] = [[e.value, e.ci_low, e.ci_high] for e in effects]
        model = EffectsModel(explained_trials(records, subject)[0])
        found = top_up(model, banzhaf_weights(model, 0, 0), space().composition, num_trials=5, seed=0)
        decisions[f"{name} top-up"] = [str(c) for c in found.compositions]
        numbers[f"{name} half widths"] = [found.half_width_before, found.half_width_after]
    return decisions, numbers


def _record(composition: Composition) -> dict[str, Any]:
    evaluations = [
        {"eval_set": t, "split": "search", "exposure": "held_out", "accuracy": value, "n": 100, "correct": 50}
        for t, value in scores(composition).items()
    ]
    return {
        "kind": "trial", "stage": "search", "status": "finished", "strategy": "random",
        "composition": dict(composition), "evaluations": evaluations, "train_id": composition.identity,
    }  # fmt: skip


def of_evidence() -> tuple[dict[str, Any], dict[str, Any]]:
    """Merges, the choice among finalists, and the order of the heatmap."""
    worth = {name: (0.1 + 0.2 if k % 2 else 0.3) for k, name in enumerate(RING)}
    merges = choose_merges(space().composition, worth, 12, seed=0)
    rng = np.random.default_rng(0)
    marks = rng.integers(0, 4, (4, 30)) / 3
    arms = {f"finalist-{k}": [np.roll(marks, k, axis=0)] for k in range(4)}
    cells = [
        {
            "source": s, "target": t, "shared_elements": "", "gain": score(Composition({s: 10}), key) - 0.3,
            "cg_gain": None, "ci_low": 0.0, "ci_high": 0.1, "n": 100, "seeds": 1, "split": "search",
            "estimator": "single",
        }
        for s in RING
        for t, key in TARGETS.items()
    ]  # fmt: skip
    records = RunRecords(
        run_dir=RunDir(Path()),
        run={},
        study={},
        selection=None,
        trials=pd.DataFrame(),
        transfer=pd.DataFrame(cells, columns=list(TRANSFER_COLUMNS)),
        missing=(),
    )
    heatmap = compute_transfer_heatmap(records)
    return (
        {"merges": [str(c) for c in merges], "heatmap": [heatmap.sources, heatmap.targets]},
        {"cross-fitted": [cross_fitted(arms)]},
    )


PARTS: tuple[Callable[[], tuple[dict[str, Any], dict[str, Any]]], ...] = (
    of_stopped,
    of_campaigns,
    of_replays,
    of_features,
    of_explain,
    of_evidence,
    of_a_large_space,
    of_strategies,
)


def blas_kernel() -> str | None:
    """The kernel that numpy's OpenBLAS has chosen for this processor; None for another BLAS."""
    libraries = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "openblas" in line}
    for library in sorted(libraries, key=lambda name: "numpy" not in name):
        for symbol in ("scipy_openblas_get_corename64_", "openblas_get_corename64_", "openblas_get_corename"):
            function = getattr(ctypes.CDLL(library), symbol, None)
            if function is not None:
                function.restype = ctypes.c_char_p
                return str(function().decode())
    return None


def main() -> None:
    decisions: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    for part in PARTS:
        if sys.argv[1:] and part.__name__ not in sys.argv[1:]:
            continue
        some, more = part()
        decisions |= some
        numbers |= more
    sys.stdout.write(json.dumps({"kernel": blas_kernel(), "decisions": decisions, "numbers": numbers}))


if __name__ == "__main__":
    main()
