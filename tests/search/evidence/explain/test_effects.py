"""Effects are found where they were put, their intervals cover, and a top-up narrows what it should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets_spec.catalog.keys import Key, TaskMap
from datasets_spec.errors import UserError
from search.evidence.explain.effects import (
    MOST_SCORES,
    Effect,
    Subject,
    banzhaf_weights,
    explain,
    explained_trials,
    shared_table,
)
from search.evidence.explain.explain_study import subject_of
from search.evidence.explain.model import EffectsModel, Trials
from search.evidence.explain.top_up import top_up
from search.space.composition_space import CompositionSpace
from search.study.run_dir import RunDir
from tests.makers.study_fixture import open_study

SOURCES = tuple(f"s{k}" for k in range(6))
KEYS = {
    "s0": Key(modality="CT", area="lung", task="a"),
    "s1": Key(modality="CT", area="brain", task="b"),
    "s2": Key(modality="MR", area="lung", task="b"),
    "s3": Key(modality="MR", area="brain", task="a"),
    "s4": Key(modality="US", area="breast", task="c"),
    "s5": Key(modality="US", area="heart", task="d"),
    "t": Key(modality="CT", area="lung", task="e"),
}
SUBJECT = Subject(keys=KEYS, sources=SOURCES, targets=("t",), task_map=TaskMap(name="m", version="1"))
MAIN = np.array([0.10, 0.05, 0.04, 0.0, -0.06, 0.0])
PAIR = 0.08  # of s1 and s2


def true_score(presence: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 + presence @ MAIN + PAIR * presence[:, 1] * presence[:, 2])


def draw(rng: np.random.Generator, num: int, *, noise: float = 0.02) -> Trials:
    presence = (rng.random((num, 6)) < 0.5).astype(float)
    names, shared = shared_table(SUBJECT, SOURCES)
    scores = (true_score(presence) + rng.normal(0, noise, num))[:, None]
    return Trials(presence=presence, scores=scores, shared=shared, subsets=SOURCES, targets=("t",), elements=names)


def record(
    presence: np.ndarray, score: float, place: int, *, strategy: str = "random", exposure: str = "held_out"
) -> dict[str, Any]:
    evaluation = {"eval_set": "t", "split": "search", "exposure": exposure, "accuracy": score, "n": 100, "correct": 50}
    return {
        "kind": "trial",
        "train_id": f"training {place}",
        "stage": "search",
        "status": "finished",
        "strategy": strategy,
        "composition": {name: 10 for name, held in zip(SOURCES, presence, strict=True) if held},
        "evaluations": [evaluation],
    }


def records(num: int, **change: Any) -> list[dict[str, Any]]:
    trials = draw(np.random.default_rng(0), num)
    made = zip(trials.presence, trials.scores[:, 0], strict=True)
    return [record(p, float(s), place, **change) for place, (p, s) in enumerate(made)]


def test_banzhaf_values_are_those_of_the_whole_table() -> None:
    everything = np.array([[float(k >> i & 1) for i in range(6)] for k in range(64)])
    score = true_score(everything)
    truth = [score[everything[:, i] == 1].mean() - score[everything[:, i] == 0].mean() for i in range(6)]
    model = EffectsModel(draw(np.random.default_rng(1), 60))
    found = [model.quantity(banzhaf_weights(model, i, 0)) for i in range(6)]
    assert [q.mean for q in found] == pytest.approx(truth, abs=0.015)
    assert sum(low <= t <= high for (low, high), t in zip((q.interval for q in found), truth, strict=True)) >= 5


def test_intervals_cover_over_many_draws() -> None:
    covered = []
    for seed in range(25):
        model = EffectsModel(draw(np.random.default_rng(seed), 40))
        for i in range(6):
            truth = MAIN[i] + (PAIR / 2 if i in (1, 2) else 0.0)
            low, high = model.quantity(banzhaf_weights(model, i, 0)).interval
            covered.append(low <= truth <= high)
    assert np.mean(covered) >= 0.88


def test_a_pair_that_works_together_is_told_from_pairs_that_do_not() -> None:
    model = EffectsModel(draw(np.random.default_rng(2), 120))
    found = {pair: model.quantity(model.pair_weights(pair, 0)) for pair in model.pairs}
    assert max(found, key=lambda pair: found[pair].mean) == (1, 2)
    assert found[1, 2].interval[0] > 0


def test_what_shares_an_element_is_expected_to_help_when_such_sources_have() -> None:
    subject = Subject(
        keys=KEYS,
        sources=SOURCES,
        targets=("t",),
        task_map=SUBJECT.task_map,
        selected=("s0",),
        new_keys={
            "close": Key(modality="CT", area="lung", task="f"),
            "far": Key(modality="PET", area="foot", task="z"),
        },
    )
    found = {(e.kind, e.subject): e for e in explain(records(120), subject).effects}
    close, far = found["new dataset", "close"], found["new dataset", "far"]
    assert close.value > far.value
    assert close.ci_high - close.ci_low > 0.02  # its own part is not known
    assert found["adding", "s4"].value < 0 < found["adding", "s1"].value
    assert isinstance(found["element", "modality"], Effect)


def test_an_addition_that_makes_a_size_no_trial_had_is_marked() -> None:
    made = [record for record in records(120) if len(record["composition"]) != 3]
    for selected, why in ((SOURCES[:2], "extrapolation: no trial had 3 subsets"), (SOURCES[:1], None)):
        subject = replace(SUBJECT, selected=selected)
        found = {(e.kind, e.subject): e for e in explain(made, subject).effects}
        assert found["adding", "s4"].extrapolation == why
        assert found["banzhaf", "s4"].extrapolation is None
        assert found["adding", "s0"].extrapolation is None  # its removal leaves a size that trials had


def test_adaptive_trials_and_seen_targets_are_told_apart() -> None:
    assert explain(records(30), SUBJECT).estimator == "random"
    assert explain(records(30, strategy="recombine"), SUBJECT).estimator == "adaptive"
    with pytest.raises(UserError, match="0 trials were scored"):
        explained_trials(records(30, exposure="in_domain"), SUBJECT)


def test_trials_are_scored_as_the_study_scores_them(tmp_path: Path) -> None:
    spec = {"score": {"open": "exact"}, "targets": ["mr-lung"]}
    subject = replace(SUBJECT, score=subject_of(open_study(tmp_path, spec), RunDir(tmp_path)).score)
    made = records(6)
    for one in made:
        one["evaluations"][0] |= {"correct": 10, "free_answers": {"open": {"n": 100, "correct": 10, "token_f1": 0.6}}}
    assert explained_trials(made, subject)[0].scores.tolist() == [[0.1]] * 6


def test_one_training_with_several_records_is_one_trial() -> None:
    once = records(24)
    again = [{**record, "stage": stage, "strategy": ""} for record in once for stage in ("single", "reused")]
    assert explain([*once, *again], SUBJECT) == explain(once, SUBJECT)
    with pytest.raises(UserError, match="5 trials were scored"):
        explained_trials([*once[:5], *again[:10]], SUBJECT)


def test_the_same_trials_give_the_same_explanation() -> None:
    assert explain(records(20), SUBJECT) == explain(records(20), SUBJECT)


def test_a_top_up_narrows_the_effect_it_is_for_more_than_random_trials_do() -> None:
    trials = draw(np.random.default_rng(3), 12)
    model = EffectsModel(trials)
    weights = banzhaf_weights(model, 4, 0)
    space = CompositionSpace(sources=SOURCES, num_samples=(10,), budget=60)
    taken = {frozenset(n for n, h in zip(SOURCES, row, strict=True) if h) for row in trials.presence}
    found = top_up(model, weights, space, num_trials=6, seed=0, taken=taken)
    assert len(found.compositions) == 6
    assert len(set(found.compositions)) == 6
    assert not {frozenset(c) for c in found.compositions} & taken
    assert found.half_width_after < 0.85 * found.half_width_before
    assert top_up(model, weights, space, num_trials=6, seed=0, taken=taken) == found


def test_many_targets_are_explained_on_their_mean_in_bounded_size() -> None:
    targets = tuple(f"t{k}" for k in range(40))
    subject = replace(SUBJECT, keys={**KEYS, **dict.fromkeys(targets, KEYS["t"])}, targets=targets)
    many = records(40)
    for one in many:
        score = one["evaluations"][0]
        one["evaluations"] = [{**score, "eval_set": target} for target in targets]
    trials, _ = explained_trials(many, subject)
    assert trials.targets == ("mean",)
    assert trials.scores.size <= MOST_SCORES
    found = explain(many, replace(subject, new_keys={"new": KEYS["s0"]}))
    assert {effect.target for effect in found.effects} == {"mean", "all"}
    alone = {e.subject: e.value for e in explain(records(40), SUBJECT).effects if e.kind == "banzhaf"}
    mean = {e.subject: e.value for e in found.effects if e.kind == "banzhaf"}
    assert mean == pytest.approx(alone)
