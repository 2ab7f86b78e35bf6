"""What a study tells its strategy, and what comes back as first finalist."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from search.ledger.ledger import Ledger
from search.phases.search import run_search, with_recommended
from search.space.candidate import Candidate, SearchSpace
from search.space.composition_space import CompositionSpace
from search.strategies.interface import Observation
from search.strategies.random import RandomStrategy
from search.strategies.recombine import RecombineStrategy
from search.study.objective import scores_of
from search.vocabulary import Status
from tests.makers.study_fixture import open_study, write_store

SPACE = SearchSpace(composition=CompositionSpace(sources=tuple("abcdef"), num_samples=(10,), budget=60))


def value(candidate: Candidate) -> float:
    return 0.5 + 0.1 * ("a" in candidate.composition) + 0.1 * ("b" in candidate.composition)


def history(num: int) -> list[Observation]:
    made: list[Observation] = []
    strategy = RandomStrategy(space=SPACE, seed=0)
    for index in range(num):
        suggestion = strategy.ask(made, [])
        assert suggestion is not None
        lucky = 0.3 if index == 0 else 0.0  # one result that is too good to be true
        made.append(
            Observation(
                candidate=suggestion.candidate, values=(value(suggestion.candidate) + lucky,), status=Status.finished,
                proposal_index=index,
            )
        )  # fmt: skip
    return made


def test_only_scores_that_count_as_composing_are_told() -> None:
    def evaluation(name: str, exposure: str, split: str = "search") -> dict[str, Any]:
        return {"eval_set": name, "exposure": exposure, "split": split, "accuracy": 0.5}

    record = {
        "evaluations": [
            evaluation("a", "held_out"), evaluation("b", "in_domain"), evaluation("c", "few_shot"),
            evaluation("d", "held_out", "confirm"),
        ]
    }  # fmt: skip
    assert scores_of(record) == {"a": 0.5, "c": 0.5}


def test_the_models_pick_leads_and_the_best_results_follow() -> None:
    made = history(40)
    best = [o.candidate for o in sorted(made, key=lambda o: -(o.values or (0.0,))[0])]
    strategy = RecombineStrategy(space=SPACE, seed=0)
    finalists, decision = with_recommended(strategy, made, best)
    recommended = strategy.recommend(made)
    assert decision is not None
    assert recommended is not None
    assert recommended.reason in decision  # with its mark, where it is extrapolation
    assert {"a", "b"} <= set(finalists[0].composition)
    assert len(finalists) == len(set(finalists))
    assert [c for c in best if c != finalists[0]] == finalists[1:]


def test_a_strategy_without_a_model_changes_nothing() -> None:
    best = [o.candidate for o in history(3)]
    assert with_recommended(RandomStrategy(space=SPACE, seed=0), history(3), best) == (best, None)


def test_a_repeated_single_source_is_ranked_by_its_mean(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    scores = {("ct-lung", 0): 0.60, ("ct-lung", 1): 0.80, ("ct-lung", 2): 0.59, ("ct-brain", 0): 0.70}
    with Ledger.open(tmp_path / "ledger", writer=True) as ledger:
        for (source, seed), accuracy in scores.items():
            evaluation = {"eval_set": "mr-lung", "split": "search", "exposure": "held_out", "accuracy": accuracy}
            evaluation |= {"score_id": "s"}
            ledger.append(
                {
                    "kind": "trial", "stage": "single", "status": "finished", "train_id": f"{source} {seed}",
                    "arm": f"single:{source}", "seed": seed, "composition": {source: 8},
                    "recipe": {"learning_rate": 0.002}, "evaluations": [evaluation],
                }
            )  # fmt: skip
        run: Any = SimpleNamespace(
            study=study, spec=study.spec, store=write_store(study), ledger=ledger, run_source=lambda source: None,
            decide=lambda text: None,
        )  # fmt: skip
        best = run_search(run)
    assert [candidate.composition.subsets for candidate in best] == [("ct-brain",), ("ct-lung",)]
