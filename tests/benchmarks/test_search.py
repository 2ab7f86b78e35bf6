"""How long a search waits for its own parts, each figure with the limit that a study of hundreds of trials can bear."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from search.ledger.frames import encode_frame, scan_frames
from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.strategies.interface import Observation, Strategy
from search.strategies.optuna_tpe import OptunaTpeStrategy
from search.strategies.random import RandomStrategy
from search.strategies.recombine import RecombineStrategy
from search.strategies.surrogate.gaussian_process import Evidence, Surrogate
from search.vocabulary import Status
from tests.search.ledger.test_ledger import trial
from tests.search.strategies.surrogate.test_gaussian_process import encoded

pytestmark = pytest.mark.benchmark
SOURCES = tuple(f"s{i:02d}" for i in range(53))  # as many subsets as Med-MAT has


def cpu_s(what: str, run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    seconds = time.process_time() - started
    sys.stdout.write(f"\n{what}: {seconds:.2f} CPU-s")
    return seconds


def history_of(space: SearchSpace, num_random: int) -> list[Observation]:
    """Every source alone, then random compositions."""
    draw = RandomStrategy(space=space, seed=0)
    tried = [Candidate(Composition({source: 500})) for source in SOURCES]
    history: list[Observation] = []
    for index in range(len(SOURCES) + num_random):
        suggestion = draw.ask(history, [])
        assert suggestion is not None
        candidate = tried[index] if index < len(tried) else suggestion.candidate
        history.append(
            Observation(candidate=candidate, values=(index % 9 / 9,), status=Status.finished, proposal_index=index)
        )
    return history


def test_a_fit_of_300_trials_of_53_sources_on_50_targets_takes_under_two_seconds() -> None:
    rng = np.random.default_rng(0)
    evidence = Evidence(
        candidates=encoded(rng, 300, 53),
        scores=rng.normal(0.5, 0.1, size=(300, 50)),
        features=rng.normal(size=(1, 300, 50)),
        feature_groups=(0,),
        target_likeness=0.5 * np.eye(50) + 0.5,
        noise=np.ones(50),
    )
    assert cpu_s("a fit of 300 trials", lambda: Surrogate(evidence)) < 4.0  # two cores are allowed


@pytest.mark.parametrize(
    ("make", "num_random", "limit_s"), [(OptunaTpeStrategy, 100, 5.0), (RecombineStrategy, 60, 4.0)]
)
def test_a_large_study_is_answered_quickly(make: Callable[..., Strategy], num_random: int, limit_s: float) -> None:
    space = SearchSpace(composition=CompositionSpace(sources=SOURCES, num_samples=(250, 500), budget=5000, max_size=12))
    history = history_of(space, num_random)
    strategy = make(space=space, seed=0)
    assert cpu_s(f"{strategy.name} after {len(history)} trials", lambda: strategy.ask(history, [])) < limit_s


def test_appending_and_reading_stay_quick() -> None:
    content = b"".join(encode_frame(trial(i) | {"seq": i}) for i in range(5000))
    assert len(scan_frames(content).records) == 5000
    assert cpu_s("a ledger of 5,000 records", lambda: scan_frames(content)) < 2.0
