"""Stopped trials as results with noise: right on average, and as noisy as they are said to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.space.candidate import Candidate
from search.space.composition import Composition
from search.strategies.interface import Observation
from search.strategies.surrogate.unfinished import noisy_results
from search.vocabulary import Status

NAMES = ("t", "u")
WORTH_SD, LATER_SD = 0.08, 0.04


def trials(
    rng: np.random.Generator, num: int, num_stopped: int, slope: float = 0.8
) -> tuple[list[Observation], np.ndarray]:
    """Trials whose rung shows `slope` of their worth; those behind at the rung are stopped. Finals, [num, targets]."""
    finals = 0.6 + WORTH_SD * rng.standard_normal((num, 2))
    at_rung = 0.45 + slope * (finals - 0.6) + LATER_SD * rng.standard_normal((num, 2))
    stopped = set(np.argsort(at_rung.mean(1))[:num_stopped].tolist())
    made = []
    for k in range(num):
        rung = dict(zip(NAMES, at_rung[k].tolist(), strict=True))
        is_stopped = k in stopped
        made.append(
            Observation(
                candidate=Candidate(Composition({"a": k + 1})),
                values=None if is_stopped else (float(finals[k].mean()),),
                status=Status.stopped_early if is_stopped else Status.finished,
                proposal_index=k,
                scores=rung if is_stopped else dict(zip(NAMES, finals[k].tolist(), strict=True)),
                rungs={0: rung},
            )
        )
    return made, finals


@pytest.mark.parametrize("slope", [0.5, 0.8, 1.2])
def test_they_are_right_on_average_and_as_noisy_as_they_say(slope: float) -> None:
    errors, said = [], []
    for seed in range(40):
        observations, finals = trials(np.random.default_rng(seed), 60, 25, slope)
        for found in noisy_results(observations, NAMES, dict.fromkeys(NAMES, 100)):
            k = dict(found.candidate.composition)["a"] - 1
            errors.append(np.array(found.scores) - finals[k])
            said.append((found.noise - 1) * 0.6 * 0.4 / 100)  # in units of 100 questions at 60 %
    assert len(errors) == 40 * 25
    # Of a trial whose worth is not known the score is right on average; the stopped ones are the unlucky ones too.
    assert float(np.mean(errors)) == pytest.approx(0, abs=LATER_SD / slope)
    assert float(np.mean(said)) == pytest.approx(float(np.var(errors)), rel=0.4)


def test_a_worse_rung_is_a_worse_score_and_every_one_is_noisier_than_a_final() -> None:
    observations, _ = trials(np.random.default_rng(1), 30, 12)
    found = noisy_results(observations, NAMES, {})
    by_size = {dict(result.candidate.composition)["a"] - 1: result for result in found}
    order = sorted(by_size, key=lambda k: observations[k].rungs[0]["t"])
    scores = [by_size[k].scores[0] for k in order]
    assert scores == sorted(scores)
    assert all(result.noise > 1 for result in found)


def test_without_pairs_or_with_a_rung_that_says_nothing_they_are_left_out() -> None:
    rng = np.random.default_rng(2)
    observations, _ = trials(rng, 8, 5)
    assert noisy_results(observations, NAMES, {}) == []  # three pairs
    observations, _ = trials(rng, 40, 20)
    mute = [replace(o, rungs={0: dict.fromkeys(NAMES, 0.5)}) for o in observations]
    assert noisy_results(mute, NAMES, {}) == []
    assert noisy_results([replace(o, rungs={}) for o in observations], NAMES, {}) == []
    assert noisy_results(observations, (*NAMES, "of another split"), {}) == []
