"""A table as a search: its space, what a trial sees, what a pick is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.catalog.keys import ABILITIES, Key
from datasets_spec.errors import UserError
from search.bench.known_truth.table import KnownTruthTable
from search.seeds import derived_rng, derived_seed
from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.space.levels import ALL
from search.statistics.ties import descending
from search.strategies.interface import Goal, Observation, SearchContext
from search.vocabulary import Status

Floats = NDArray[np.float64]
# Stands in for a number of samples: a table has one for every source.
NUM_SAMPLES: Final = 100
UNEVEN_DECADES: Final = (1.3, 3.3)  # 20 to 2,000, as many in every factor
# The oracle is the mean of so many best compositions, so that its own luck averages out; of one size there are fewer.
NUM_ORACLE, NUM_ORACLE_OF_SIZE = 5, 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Disturbance:
    """What goes wrong in a replay, on purpose.

    Attributes:
        shuffle_proxy: the proxy's scores belong to other compositions.
        fail_share: share of trials that fail; they count.
        delay: results come so many trials late.
    """

    shuffle_proxy: bool = False
    fail_share: float = 0.0
    delay: int = 0


class ReplayProblem:
    """One table, searched for one target or for all of them.

    Args:
        table: the truth.
        target: index of the target searched for; None searches for each of them with one pool of trials.
        size: only compositions of so many sources may be proposed; single sources count as known, and as trials.
        item_noise: False lets trials see the questions that regret is taken from (with other seeds): a search with
            very many questions.
        disturbance: what goes wrong.
        labelled: False hides all scores of the target; what the others say and its key are all there is.
        num_trials: of the whole search, as a study's strategy is told; None: it is not told.
        uneven: sources have from 20 to 2,000 rows and give all of them (`num_samples: all`); what a composition scores
            is the same as if they gave equally.
    """

    def __init__(
        self,
        table: KnownTruthTable,
        *,
        target: int | None,
        size: int | None = None,
        item_noise: bool = True,
        disturbance: Disturbance | None = None,
        labelled: bool = True,
        num_trials: int | None = None,
        uneven: bool = False,
    ) -> None:
        self.table = table
        self._uneven = uneven
        self.num_trials = num_trials
        self.target = target
        self.disturbance = disturbance or Disturbance()
        self.scored = [t for t in range(table.num_targets) if labelled or t != target]
        self._size = size
        self._seen = table.val if item_noise else table.test
        self.sources = tuple(f"source-{i:02d}" for i in range(table.num_sources))
        self.target_names = tuple(f"target-{t:02d}" for t in range(table.num_targets))
        self._rows = {row.tobytes(): i for i, row in enumerate(table.subsets)}

    @cached_property
    def space(self) -> SearchSpace:
        """All compositions of the table's sizes."""
        sizes = self.table.subsets.sum(1)[self.candidate_rows]
        low, high = int(sizes.min()), int(sizes.max())
        composition = CompositionSpace(
            sources=self.sources,
            num_samples=(ALL,) if self._uneven else (NUM_SAMPLES,),
            source_rows=self._numbers if self._uneven else None,
            budget=sum(self._numbers.values()),
            min_size=low,
            max_size=high,
        )
        return SearchSpace(composition=composition)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """What every source gives."""
        if not self._uneven:
            return dict.fromkeys(self.sources, NUM_SAMPLES)
        rng = derived_rng(0, self.table.name, "uneven")
        return {source: round(10 ** rng.uniform(*UNEVEN_DECADES)) for source in self.sources}

    @cached_property
    def candidate_rows(self) -> NDArray[np.intp]:
        """Rows of the table that may be proposed."""
        sizes = self.table.subsets.sum(1)
        rows = np.flatnonzero(sizes == self._size) if self._size else np.arange(len(sizes))
        if not len(rows):
            raise UserError(f"{self.table.name} has no composition of {self._size} sources")
        return rows

    def row_of(self, candidate: Candidate) -> int | None:
        """The row of a composition; None where the table does not have it."""
        presence = np.array([source in candidate.composition for source in self.sources], dtype=np.int8)
        return self._rows.get(presence.tobytes())

    def candidate_of(self, row: int) -> Candidate:
        """The composition in a row."""
        members = np.flatnonzero(self.table.subsets[row])
        return Candidate(Composition({self.sources[i]: self._numbers[self.sources[i]] for i in members}))

    def targets_searched(self) -> Sequence[int]:
        """The targets for which something is picked."""
        return range(self.table.num_targets) if self.target is None else [self.target]

    def seed_of(self, row: int, repetition: int) -> int:
        """The seed that a composition is trained with: the same for every strategy."""
        seeds = self.table.search_seeds
        return seeds[derived_seed(repetition, self.table.name, row) % len(seeds)]

    def result(self, row: int, repetition: int) -> Floats:
        """[targets] what training this composition once shows."""
        scores: Floats = self._seen[self.seed_of(row, repetition), row]
        return scores

    def observe(self, candidate: Candidate, index: int, repetition: int) -> Observation:
        """The result of a trial; failed where the table has none or a failure is due."""
        row = self.row_of(candidate)
        due = derived_rng(repetition, self.table.name, "failure", index).random() < self.disturbance.fail_share
        if row is None or due:
            return Observation(candidate=candidate, values=None, status=Status.failed, proposal_index=index)
        scores = self.result(row, repetition)
        value = float(scores[self.target] if self.target in self.scored else scores[self.scored].mean())
        return Observation(
            candidate=candidate,
            values=(value,),
            status=Status.finished,
            proposal_index=index,
            scores={self.target_names[t]: float(scores[t]) for t in self.scored},
        )

    def context(self, repetition: int) -> SearchContext:
        """What strategies are told besides results."""
        goal: Goal = "each" if self.target is None else "objective"
        searched = [t for t in self.targets_searched() if t in self.scored] or self.scored
        wanted = tuple(self.target_names[t] for t in searched)
        context = SearchContext(
            source_keys=_keys(self.sources, self.table.source_mat),
            target_keys=_keys(self.target_names, self.table.target_mat),
            num_items=dict(zip(self.target_names, self.table.num_val.tolist(), strict=True)),
            objectives=(wanted,),
            goal=goal,
            proxy=None if self.table.proxy is None else self._proxy(self.table.proxy, repetition),
            num_trials=self.num_trials,
        )
        return replace(context, known=self._known_singles(repetition)) if self._size else context

    def _proxy(self, proxy: Floats, repetition: int) -> _TableProxy:
        order = np.arange(len(proxy))
        if self.disturbance.shuffle_proxy:
            order = np.random.default_rng(repetition).permutation(len(proxy))
        return _TableProxy(self, proxy[order])

    def _known_singles(self, repetition: int) -> tuple[Observation, ...]:
        rows = np.flatnonzero(self.table.subsets.sum(1) == 1)
        return tuple(self.observe(self.candidate_of(row), -1 - i, repetition) for i, row in enumerate(rows.tolist()))

    @cached_property
    def _seed_variances(self) -> Floats:
        """[targets] variance of one training, pooled over compositions: one of a few seeds' own is mostly luck."""
        variances: Floats = self._seen.var(0, ddof=1).mean(0)
        return variances

    def truth(self, row: int, target: int, seen_seed: int | None) -> tuple[float, float]:
        """Mean over seeds of what trials see of a composition, and its standard error.

        Args:
            row: of the composition.
            target: index of the target.
            seen_seed: the seed that a search has seen it with, which is left out; None where it was not tried.
        """
        seeds = [seed for seed in range(self.table.val.shape[0]) if seed != seen_seed]
        error = float(np.sqrt(self._seed_variances[target] / len(seeds)))
        return float(self._seen[seeds, row, target].mean()), error

    @cached_property
    def _oracles(self) -> Floats:
        """[targets] accuracy of the best few, chosen on the first half of the seeds and scored on the second."""
        rows = self.candidate_rows
        chosen_on = self.table.test[list(self.table.search_seeds)].mean(0)[rows]
        scored_on = self.table.test[list(self.table.regret_seeds)].mean(0)[rows]
        num = NUM_ORACLE_OF_SIZE if self._size else NUM_ORACLE
        best = np.stack([descending(column)[:num] for column in chosen_on.T], axis=1)
        oracles: Floats = np.take_along_axis(scored_on, best, axis=0).mean(0)
        return oracles

    def regret(self, row: int, target: int) -> float:
        """Points by which a pick is below the oracle; slightly negative where the pick is luckier."""
        reached = self.table.test[list(self.table.regret_seeds), row, target].mean()
        return 100 * float(self._oracles[target] - reached)


class _TableProxy:
    """The table's proxy as strategies ask for it."""

    def __init__(self, problem: ReplayProblem, proxy: Floats) -> None:
        self._problem = problem
        self._proxy = proxy

    def __call__(self, composition: Composition) -> Mapping[str, float] | None:
        row = self._problem.row_of(Candidate(composition))
        if row is None:
            return None
        return {self._problem.target_names[t]: float(self._proxy[row, t]) for t in self._problem.scored}


def _keys(names: Sequence[str], mat: Sequence[Sequence[str]]) -> dict[str, Key]:
    return {name: _key(elements) for name, elements in zip(names, mat, strict=True)}


def _key(elements: Sequence[str]) -> Key:
    ability = elements[3] if len(elements) == 4 and elements[3] in ABILITIES else "none"
    modality, area, task = (element.strip() or "-" for element in elements[:3])
    return Key.model_validate({"modality": modality, "area": area, "task": task, "ability": ability})
