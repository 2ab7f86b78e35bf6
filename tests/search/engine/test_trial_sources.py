"""Proposals come from the ledger alone: kill the driver anywhere, and the study proposes what it would have."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.engine.trial_factory import PlannedTrial
from search.engine.trial_sources import WAIT, ListSource, StrategySource
from search.ledger.ledger import Ledger
from search.ledger.records import Kind
from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.space.recipe_space import RecipeSpace
from search.strategies.interface import Observation, Suggestion
from search.strategies.registry import build_strategy
from search.vocabulary import Stage, Status
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe
from trainers.trial.spec import TrialSpec

SPACE = SearchSpace(
    composition=CompositionSpace(sources=("a", "b", "c"), num_samples=(4, 8), budget=16),
    recipe=RecipeSpace.model_validate({"learning_rate": {"kind": "log_uniform", "low": 0.001, "high": 0.1}}),
)
NUM_TRIALS, MAX_CONCURRENT = 7, 3
FAILING = 4  # every fourth proposal fails


def build(candidate: Candidate, index: int, reason: str, seed: int = 0) -> PlannedTrial:
    spec = TrialSpec(
        backbone=BackboneSpec(),
        backbone_fingerprint="weights",
        composition=candidate.composition.as_dict(),
        rows_digest=candidate.composition.identity,
        recipe=Recipe.model_validate(candidate.recipe),
        seed=seed,
        evaluations=(),
    )
    return PlannedTrial(spec=spec, stage=Stage.search, arm=f"proposal-{index}", proposal_index=index, reason=reason)


def end(ledger: Ledger, planned: PlannedTrial, **other: Any) -> None:
    """Record what an engine would: an accuracy that depends on the composition only, or a failure."""
    failed = planned.proposal_index is not None and planned.proposal_index % FAILING == FAILING - 1
    ledger.append(
        {
            "kind": "trial",
            "train_id": planned.spec.train_id,
            "stage": planned.stage.value,
            "arm": planned.arm,
            "proposal_index": planned.proposal_index,
            "seed": planned.spec.seed,
            "status": "diverged" if failed else "finished",
            "accuracy": None if failed else 0.4 + planned.spec.composition.get("a", 0) / 50 + planned.spec.seed / 10,
        }
        | other
    )


def values(record: Mapping[str, Any]) -> tuple[float, ...] | None:
    return None if record["accuracy"] is None else (record["accuracy"],)


def open_source(ledger: Ledger, *, strategy: str = "random", deterministic: bool = False, **change: Any) -> Any:
    limits = {"num_trials": NUM_TRIALS, "max_concurrent": MAX_CONCURRENT} | change
    return StrategySource(
        build_strategy(strategy, space=SPACE, seed=3),
        ledger,
        deterministic=deterministic,
        build=build,
        values=values,
        **limits,
    )


def test_a_strategy_is_not_shown_what_its_space_no_longer_holds(tmp_path: Path) -> None:
    """Older versions proposed what could not count: such a study goes on."""
    shown: list[list[Candidate]] = []

    class Watching:
        name = "watching"

        def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
            shown.append([*(o.candidate for o in history), *pending])
            return None

    inside = SPACE.sample(random.Random(0))
    outside = Candidate(Composition({"stranger": 1}), inside.recipe)
    with Ledger.open(tmp_path, writer=True) as ledger:
        for index, candidate in enumerate((outside, inside)):
            record = {"kind": "suggestion", "proposal_index": index, "strategy": "random", "reason": "made up"}
            ledger.append(record | {"candidate": candidate.as_dict()})
            end(ledger, build(candidate, index, "made up", 0))
        source = open_source(ledger, space=SPACE)
        source._strategy = Watching()
        assert source.next_trial() is None
    assert shown == [[inside]]


def test_a_proposal_that_an_outage_failed_comes_first_in_the_next_start(tmp_path: Path) -> None:
    def hand_out(source: Any, number: int) -> list[PlannedTrial]:
        return [source.next_trial() for _ in range(number)]

    with Ledger.open(tmp_path, writer=True) as ledger:
        source = open_source(ledger)
        first, second, third = hand_out(source, 3)
        end(ledger, first)
        for each in (second, third):
            end(ledger, each, num_steps=0, status="failed", accuracy=None)
        assert sorted(source.observations()) == [0, 1, 2]
    with Ledger.open(tmp_path, writer=True) as ledger:
        source = open_source(ledger)
        assert sorted(source.observations()) == [0]
        assert [planned.proposal_index for planned in hand_out(source, 3)] == [1, 2, 3]
        end(ledger, second)
        end(ledger, third, num_steps=0, status="failed", accuracy=None)
        seen = source.observations()
    assert [seen[index].status for index in (0, 1, 2)] == [Status.finished, Status.finished, Status.failed]


def run_study(
    folder: Path, pick: Callable[[int], int], *, kill: Callable[[], bool] = lambda: False, **options: Any
) -> list[dict[str, Any]]:
    """A stand-in for the engine: up to MAX_CONCURRENT at once, `pick(n)` says which of n running ones ends next.

    `kill()` is asked before every step; True forgets everything but the ledger.
    """
    for _ in range(1000):
        with Ledger.open(folder, writer=True) as ledger:
            if _drive(open_source(ledger, **options), ledger, pick, kill):
                return [r["candidate"] | {"reason": r["reason"]} for r in ledger.records("suggestion")]
    raise AssertionError("the study does not end")


def _drive(source: Any, ledger: Ledger, pick: Callable[[int], int], kill: Callable[[], bool]) -> bool:
    running: list[PlannedTrial] = []
    is_exhausted = False
    while True:
        if kill():
            return False
        handed = source.next_trial() if len(running) < MAX_CONCURRENT and not is_exhausted else WAIT
        if isinstance(handed, PlannedTrial):
            running.append(handed)
            continue
        is_exhausted = is_exhausted or handed is None
        if not running:
            assert is_exhausted, "waits although nothing runs"
            return True
        end(ledger, running.pop(pick(len(running))))


def first_of(num_running: int) -> int:
    return 0


def choices(seed: int, num_running: int, *, rng: dict[int, random.Random]) -> int:
    return rng.setdefault(seed, random.Random(seed)).randrange(num_running)


@pytest.mark.parametrize("strategy", ["random", "optuna-tpe"])
def test_deterministic_proposals_do_not_depend_on_who_ends_first(tmp_path: Path, strategy: str) -> None:
    run = partial(run_study, strategy=strategy, deterministic=True)
    expected = run(tmp_path / "in order", first_of)
    assert len(expected) == NUM_TRIALS
    for seed in range(3):
        assert run(tmp_path / str(seed), partial(choices, seed, rng={})) == expected
    assert run(tmp_path / "last first", lambda n: n - 1) == expected


@settings(max_examples=12)
@given(st.data())
def test_a_killed_deterministic_study_proposes_the_same_trials(data: st.DataObject) -> None:
    kills = iter(data.draw(st.lists(st.booleans(), max_size=30)))
    seed = data.draw(st.integers(0, 99))
    with TemporaryDirectory() as folder:
        expected = run_study(Path(folder) / "whole", first_of, deterministic=True)
        killed = run_study(
            Path(folder) / "killed", partial(choices, seed, rng={}), kill=lambda: next(kills, False), deterministic=True
        )
        assert killed == expected


@settings(max_examples=12)
@given(st.data(), st.booleans())
def test_nothing_is_lost_or_repeated_wherever_the_driver_dies(data: st.DataObject, deterministic: bool) -> None:
    kills = iter(data.draw(st.lists(st.booleans(), max_size=30)))
    seed = data.draw(st.integers(0, 99))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger"
        run_study(path, partial(choices, seed, rng={}), kill=lambda: next(kills, False), deterministic=deterministic)
        with Ledger.open(path, writer=False) as ledger:
            suggested = ledger.records("suggestion")
            ended = [r["proposal_index"] for r in ledger.records("trial")]
        assert [r["proposal_index"] for r in suggested] == list(range(NUM_TRIALS))
        assert sorted(ended) == list(range(NUM_TRIALS))
        assert len({Candidate.from_dict(r["candidate"]).identity for r in suggested}) == NUM_TRIALS


def test_a_proposal_is_in_the_ledger_before_its_trial_starts(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, writer=True) as ledger:
        planned = open_source(ledger).next_trial()
        (record,) = ledger.records("suggestion")
    assert record["candidate"]["composition"] == planned.spec.composition
    assert (
        (record["proposal_index"], record["reason"]) == (planned.proposal_index, planned.reason) == (0, planned.reason)
    )


def test_pending_proposals_come_first_again_in_their_order(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, writer=True) as ledger:
        source = open_source(ledger)
        handed = [source.next_trial() for _ in range(4)]
        end(ledger, handed[1])
        again = open_source(ledger)
        assert [again.next_trial() for _ in range(3)] == [handed[0], handed[2], handed[3]]
        assert again.next_trial().proposal_index == 4
        assert len(ledger.records("suggestion")) == 5


def test_failed_trials_are_observed_without_values(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, writer=True) as ledger:
        source = open_source(ledger)
        for _ in range(FAILING):
            end(ledger, source.next_trial())
        observed = source.observations()
        end(ledger, build(Candidate.from_dict({"composition": {"a": 4}}), 99, "of nobody"))
        first = ledger.records("trial")[0]
        ledger.append({**first, "stage": "confirm", "arm": "finalist-1", "accuracy": 0.0})  # not of the search
        assert source.observations() == observed
    assert list(observed) == [0, 1, 2, 3]
    assert [o.values is None for o in observed.values()] == [False, False, False, True]
    assert observed[3].status == "diverged"


def test_what_a_trial_showed_at_its_rungs_is_observed_whether_it_was_stopped_or_not(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, writer=True) as ledger:
        source = open_source(ledger)
        planned = [source.next_trial() for _ in range(2)]
        for trial, rungs in zip(planned, (("1100", "1110"), ("1000",)), strict=True):
            for rung, bits in enumerate(rungs):
                ledger.append(
                    {
                        "kind": "rung",
                        "train_id": trial.spec.train_id,
                        "rung": rung,
                        "correct": {"t": bits},
                        "goes_on": True,
                    }
                )
            end(ledger, trial)
        found = source.observations()
    assert [found[index].rungs for index in (0, 1)] == [{0: {"t": 0.5}, 1: {"t": 0.75}}, {0: {"t": 0.25}}]


def test_deterministic_mode_waits_for_the_results_it_needs(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, writer=True) as ledger:
        source = open_source(ledger, deterministic=True)
        handed = [source.next_trial() for _ in range(MAX_CONCURRENT)]
        assert source.next_trial() == WAIT
        end(ledger, handed[1])
        assert source.next_trial() == WAIT  # the first decides
        end(ledger, handed[0])
        assert source.next_trial().proposal_index == MAX_CONCURRENT


def test_replicates_are_asked_for_and_seen_as_one(tmp_path: Path) -> None:
    """Every proposal is trained with every seed, and with none twice, also after a driver has died between two."""
    options: dict[str, Any] = {"num_trials": 3, "seeds": (0, 1)}
    with Ledger.open(tmp_path, writer=True) as ledger:
        source = open_source(ledger, **options)
        handed = [source.next_trial() for _ in range(4)]
        assert [(t.proposal_index, t.spec.seed) for t in handed] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        end(ledger, handed[0])
        assert source.observations() == {}
    with Ledger.open(tmp_path, writer=True) as ledger:
        source = open_source(ledger, **options)
        rest = [source.next_trial() for _ in range(6)]
        assert [(t.proposal_index, t.spec.seed) for t in rest[:5]] == [(0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
        assert rest[5] is None
        end(ledger, rest[0])
        observed = source.observations()
        mean = 0.45 + handed[0].spec.composition.get("a", 0) / 50
        assert {i: o.values for i, o in observed.items()} == {0: (pytest.approx(mean),)}
        assert len(ledger.records("suggestion")) == 3


def test_one_replicate_that_failed_does_not_hide_the_other(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, writer=True) as ledger:
        source = open_source(ledger, num_trials=1, seeds=(0, 1))
        first, second = source.next_trial(), source.next_trial()
        end(ledger, first)
        ledger.append({**ledger.records("trial")[0], "train_id": second.spec.train_id, "seed": 1, "accuracy": None,
                       "status": "oom"})  # fmt: skip
        observed = source.observations()[0]
        assert observed.status is Status.finished
        assert observed.values == (ledger.records("trial")[0]["accuracy"],)


class Promising:
    """Promises what it is told to, proposal by proposal."""

    name = "promising"

    def __init__(self, *gains: float | None) -> None:
        self.gains = gains

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        number = len(history) + len(pending)
        candidate = Candidate(Composition({"a": number + 1}), {"learning_rate": 0.01})
        return Suggestion(candidate=candidate, reason="made up", gain=self.gains[number])


@pytest.mark.parametrize(
    ("gains", "patience", "num_made"),
    [
        ((None, 0.03, 0.01, 0.03), 1, 2),
        ((None, 0.03, 0.01, 0.03, 0.01, 0.01, 0.01), 2, 5),
        ((None, None, None, 0.01), 2, 7),
        ((0.03,), 1, 7),
    ],
)
def test_a_search_ends_when_its_proposals_promise_too_little(
    tmp_path: Path, gains: tuple[float | None, ...], patience: int, num_made: int
) -> None:
    gains = (*gains, *[0.03] * NUM_TRIALS)
    with Ledger.open(tmp_path, writer=True) as ledger:
        for _ in range(2):  # the second time it is a study that goes on after its end
            source = StrategySource(
                Promising(*gains), ledger, num_trials=NUM_TRIALS, max_concurrent=1, deterministic=False, build=build,
                values=values, least_gain=0.02, patience=patience,
            )  # fmt: skip
            while isinstance(planned := source.next_trial(), PlannedTrial):
                end(ledger, planned)
            assert len(ledger.records(Kind.suggestion)) == num_made
        assert len(ledger.records(Kind.search_stopped)) == (num_made < NUM_TRIALS)


def test_a_spent_budget_ends_a_search_until_there_is_another(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, writer=True) as ledger:
        for hours, num_made in ((3.0, 3), (3.0, 3), (5.0, 5)):

            def spent(hours: float = hours) -> str | None:
                return "enough" if len(ledger.records(Kind.suggestion)) >= hours else None

            source = open_source(ledger, spent=spent, limits={"budget_wall_h": hours})
            while isinstance(planned := source.next_trial(), PlannedTrial):
                end(ledger, planned)
            assert len(ledger.records(Kind.suggestion)) == num_made
        assert [record["why"] for record in ledger.records(Kind.search_stopped)] == ["enough", "enough"]


def test_no_budget_opens_a_search_whose_confirmation_has_begun(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, writer=True) as ledger:
        source = open_source(ledger, spent=lambda: "enough", limits={"budget_wall_h": 1.0})
        assert source.next_trial() is None
        assert isinstance(open_source(ledger, limits={"budget_wall_h": 2.0}).next_trial(), PlannedTrial)
        ledger.append({"kind": "confirm_started", "num_trials": NUM_TRIALS})
        larger = open_source(ledger, limits={"budget_wall_h": 3.0})
        planned = larger.next_trial()
        assert isinstance(planned, PlannedTrial)  # it was proposed before
        end(ledger, planned)
        assert larger.next_trial() is None
        assert len(ledger.records(Kind.suggestion)) == 1


def test_an_exhausted_space_ends_the_search(tmp_path: Path) -> None:
    small = SearchSpace(composition=CompositionSpace(sources=("a", "b"), num_samples=(4,), budget=8))
    with Ledger.open(tmp_path, writer=True) as ledger:
        source = StrategySource(
            build_strategy("exhaustive", space=small, seed=0), ledger, num_trials=NUM_TRIALS, max_concurrent=9,
            deterministic=False, build=build, values=values,
        )  # fmt: skip
        handed = [source.next_trial() for _ in range(4)]
        assert handed[3] is None
        assert len(ledger.records("suggestion")) == 3


def test_a_list_is_handed_out_once_in_order() -> None:
    planned = [build(Candidate.from_dict({"composition": {"a": n}}), n, "listed") for n in (4, 8)]
    source = ListSource(iter(planned))
    assert [source.next_trial() for _ in range(3)] == [*planned, None]
