"""An arm of the confirmation stays one composition, whatever a later version thinks of the search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from search.ledger.records import Record, finalist_arm
from search.phases.confirm import NOTHING_SCORED, comparator_of, run_confirm, run_finalists, with_begun
from search.space.candidate import Candidate
from search.space.composition import Composition
from search.study.run_dir import RunDir
from tests.makers.study_fixture import make_factory, open_study
from tests.search.phases.test_comparators import evidence, scored


def candidate(num_samples: int) -> Candidate:
    return Candidate(Composition({"ct-lung": num_samples}), {"learning_rate": 0.01})


def begun(rank: int, num_samples: int) -> dict[str, Any]:
    return {
        "kind": "trial", "stage": "confirm", "arm": finalist_arm(rank), "composition": {"ct-lung": num_samples},
        "recipe": {"learning_rate": 0.01, "num_steps": 2},
    }  # fmt: skip


def test_finalists_that_have_begun_keep_their_ranks(tmp_path: Path) -> None:
    spec = open_study(tmp_path).spec
    assert tuple(spec.space.recipe.dimensions) == ("learning_rate",)
    best = [candidate(n) for n in (1, 2, 3, 4)]
    assert with_begun(best, [], spec) == best
    assert with_begun(best, [begun(1, 1), begun(2, 2)], spec) == best
    assert with_begun(best, [begun(1, 3)], spec) == [candidate(n) for n in (3, 1, 2, 4)]
    assert with_begun(best, [begun(2, 9), begun(2, 9)], spec) == [candidate(n) for n in (1, 9, 2, 3, 4)]
    assert with_begun(best, [{"arm": "best-single"}], spec) == best


def test_a_comparator_stays_what_its_confirmation_began_with_when_repeats_find_another_source_best(
    tmp_path: Path,
) -> None:
    run: Any = Rounds(tmp_path, racing=False)
    selected, singles = {"ct-brain": 4, "mr-brain": 4}, [scored({"ct-lung": 8}, 0.72), scored({"ct-brain": 8}, 0.70)]
    first = comparator_of(run, "best-single", evidence(tmp_path, selected, singles))
    assert (first, run.decisions) == (Composition({"ct-lung": 8}), [])
    singles += [scored({"ct-lung": 8}, 0.6), scored({"ct-lung": 8}, 0.61)]  # transfer.repeats: 2
    confirmed = {"kind": "trial", "stage": "confirm", "arm": "best-single", "composition": {"ct-lung": 8}}
    assert comparator_of(run, "best-single", evidence(tmp_path, selected, singles)) == Composition({"ct-brain": 8})
    assert comparator_of(run, "best-single", evidence(tmp_path, selected, [*singles, confirmed])) == first
    assert run.decisions == [
        "comparator best-single: it stays ct-lung:8, as its confirmation began; now it would be ct-brain:8"
    ]
    # A finalist that was tried again may be the selection by now, and the comparator's composition.
    assert comparator_of(run, "best-single", evidence(tmp_path, {"ct-lung": 8}, [*singles, confirmed])) is None
    assert run.decisions[-1] == "comparator best-single: it is the selection itself, ct-lung:8"


class Rounds:
    """Stands for a run: trials have ended once they were asked for."""

    def __init__(self, tmp_path: Path, *, racing: bool) -> None:
        spec = open_study(tmp_path).spec
        confirm = spec.confirm.model_copy(update={"racing": racing, "seeds": (101, 102, 103, 104)})
        self.spec = spec.model_copy(update={"confirm": confirm})
        self.asked: list[list[tuple[str, int]]] = []
        self.decisions: list[str] = []

    def run_list(self, planned: list[Any]) -> None:
        done = {trial for by_round in self.asked for trial in by_round}
        self.asked.append([trial for p in planned if (trial := (p.arm, p.spec.seed)) not in done])

    def records(self) -> list[dict[str, Any]]:
        return [{"arm": arm, "seed": seed} for by_round in self.asked for arm, seed in by_round]

    def decide(self, text: str) -> None:
        self.decisions.append(text)


def test_finalists_that_all_fail_end_the_confirmation_without_comparators(tmp_path: Path) -> None:
    run: Any = Rounds(tmp_path, racing=False)
    run.factory, run.run_dir = make_factory(tmp_path), RunDir(tmp_path)
    failed: list[dict[str, Any]] = []

    def fail(planned: Sequence[Any]) -> None:
        role = {"kind": "trial", "stage": "confirm", "status": "oom", "evaluations": []}
        failed.extend(role | {"arm": p.arm, "seed": p.spec.seed, "train_id": p.spec.train_id} for p in planned)

    said: list[str] = []
    run.run_list, run.records, run.say = fail, lambda *stages: list(failed), said.append
    assert run_confirm(run, [candidate(4), candidate(8)]) == {}
    assert said == [NOTHING_SCORED]
    assert not run.decisions  # a later start may select something
    assert {record["arm"] for record in failed} == {"finalist-1"}


def planned(*arms: str) -> dict[str, Any]:
    return {arm: [SimpleNamespace(arm=arm, spec=SimpleNamespace(seed=101 + k)) for k in range(4)] for arm in arms}


def without_last(records: Sequence[Record]) -> list[str]:
    """A race that gives up the last arm at every look."""
    most = max(record["seed"] for record in records)
    return sorted({record["arm"] for record in records if record["seed"] == most})[:-1]


def test_a_race_trains_one_seed_at_a_time_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    run: Any = Rounds(tmp_path, racing=True)
    run_finalists(run, planned("a", "b", "c"), without_last)
    assert [len(trials) for trials in run.asked] == [3, 3, 2, 1]
    assert run.decisions == ["race: c given up after 2 of 4 seeds", "race: b given up after 3 of 4 seeds"]
    killed: Any = Rounds(tmp_path, racing=True)
    killed.asked = [*run.asked[:2], [("a", 103)]]  # b's third seed is missing
    run_finalists(killed, planned("a", "b", "c"), without_last)
    assert sorted(map(str, killed.records())) == sorted(map(str, run.records()))


def test_without_a_race_all_seeds_are_one_list(tmp_path: Path) -> None:
    run: Any = Rounds(tmp_path, racing=False)
    run_finalists(run, planned("a", "b"), without_last)
    assert [len(trials) for trials in run.asked] == [8]
