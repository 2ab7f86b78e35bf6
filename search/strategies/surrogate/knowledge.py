"""What the trials so far say: observations made into evidence, and questions to the fitted process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.statistics.ties import descending
from search.strategies.interface import Observation, SearchContext
from search.strategies.ranking import score_of
from search.strategies.surrogate.encoding import Encoded, encode
from search.strategies.surrogate.extrapolation import extrapolation
from search.strategies.surrogate.features import KEYS_GROUP, PROXY_GROUP, KeyBasis, key_tables, proxy_feature
from search.strategies.surrogate.gaussian_process import (
    Evidence,
    Grid,
    Prediction,
    Surrogate,
    mean_weights,
    spreads,
    unit_weights,
)
from search.strategies.surrogate.kernels import likeness
from search.strategies.surrogate.unfinished import noisy_results
from search.vocabulary import Status

Floats = NDArray[np.float64]
OBJECTIVE: Final = "objective"


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What does not change from one question to the next.

    Attributes:
        space: of the candidates.
        targets: names of the outputs: evaluation sets, or the objectives where only these are known.
        objectives: outputs that each objective averages.
        target_likeness: [T, T].
        unlabelled: likeness [T] of evaluation sets without scores to those with, by name.
        noise: [T] relative noise variance.
        key_tables: [features, N, T] see `features.key_tables`.
        proxy: of the context, or None when it is not to be used.
        grid: hyper-parameters to average over.
    """

    space: SearchSpace
    targets: tuple[str, ...]
    objectives: tuple[tuple[str, ...], ...]
    target_likeness: Floats
    unlabelled: Mapping[str, Floats]
    noise: Floats
    key_tables: Floats
    proxy: ProxyTable | None
    grid: Grid


class ProxyTable:
    """Proxy scores by composition; what the proxy does not know counts as the mean of what it does.

    Args:
        context: holds the proxy.
        targets: whose scores are wanted.
    """

    def __init__(self, context: SearchContext, targets: Sequence[str]) -> None:
        assert context.proxy is not None
        self._proxy = context.proxy
        self.targets = tuple(targets)
        self._rows: dict[Composition, Floats] = {}

    def scores(self, compositions: Sequence[Composition]) -> Floats:
        """[n, T]; nan where a composition has none."""
        for composition in compositions:
            if composition not in self._rows:
                known = self._proxy(composition) or {}
                self._rows[composition] = np.array([known.get(t, np.nan) for t in self.targets])
        return np.array([self._rows[c] for c in compositions]).reshape(len(compositions), len(self.targets))


def learn(
    observations: Sequence[Observation],
    space: SearchSpace,
    context: SearchContext,
    *,
    proxy: ProxyTable | None,
    use_keys: bool,
    targets: Sequence[str] | None,
    grid: Grid,
) -> Knowledge | None:
    """Fit the process to everything that has a result, and to stopped trials as results with more noise.

    Args:
        observations: proposals that ended, and known results; those with other sources or without a score are left out.
        space: of the candidates.
        context: keys and questions of the targets.
        proxy: scores without training of these targets, or None.
        use_keys: whether keys inform mean and kernels.
        targets: evaluation sets to learn together; None learns the objectives alone.
        grid: hyper-parameters to average over.

    Returns:
        None when fewer than two observations can be used.
    """
    names = tuple(targets or _objective_outputs(observations))
    rows = [(o.candidate, row) for o in observations if (row := _row(o, space, targets, len(names))) is not None]
    if len(rows) < 2:
        return None
    stopped = noisy_results(observations, names, context.num_items) if targets is not None else []
    stopped = [result for result in stopped if not set(result.candidate.composition) - set(space.composition.allowed)]
    tried = [*(candidate for candidate, _ in rows), *(result.candidate for result in stopped)]
    scores = np.array([*(row for _, row in rows), *(result.scores for result in stopped)])
    noise = np.array([1.0] * len(rows) + [result.noise for result in stopped])
    keyed = use_keys and targets is not None and all(name in context.target_keys for name in names)
    keyed = keyed and all(source in context.source_keys for source in space.composition.allowed)
    facts = _facts(space, names, context, proxy, keyed=keyed, grid=grid, labelled=targets is not None)
    return Knowledge(facts, tried, scores, noise)


def _objective_outputs(observations: Sequence[Observation]) -> list[str]:
    widths = [len(o.values) for o in observations if o.values is not None]
    return [f"{OBJECTIVE} {k}" for k in range(max(widths, default=1))]


def _row(
    observation: Observation, space: SearchSpace, targets: Sequence[str] | None, num_outputs: int
) -> tuple[float, ...] | None:
    if observation.status is not Status.finished or set(observation.candidate.composition) - set(
        space.composition.allowed
    ):
        return None
    row: tuple[float | None, ...]
    row = (observation.values or ()) if targets is None else tuple(score_of(observation, name) for name in targets)
    finite = tuple(value for value in row if value is not None and np.isfinite(value))
    return finite if len(finite) == num_outputs else None


def _facts(
    space: SearchSpace,
    names: tuple[str, ...],
    context: SearchContext,
    proxy: ProxyTable | None,
    *,
    keyed: bool,
    grid: Grid,
    labelled: bool,
) -> Facts:
    sources = space.composition.allowed
    tables = np.zeros((0, len(sources), len(names)))
    target_likeness = np.eye(len(names))
    unlabelled: dict[str, Floats] = {}
    if keyed:
        source_keys = [context.source_keys[source] for source in sources]
        target_keys = [context.target_keys[name] for name in names]
        target_likeness = likeness(target_keys, context.task_map)
        tables = key_tables(source_keys, target_keys, context.task_map)
        others = [name for name in context.target_keys if name not in names]
        both = likeness([*target_keys, *(context.target_keys[name] for name in others)], context.task_map)
        unlabelled = {name: both[len(names) + k, : len(names)] for k, name in enumerate(others)}
    counts = np.array([context.num_items.get(name, 0) for name in names], dtype=np.float64)
    noise = counts.mean() / counts if labelled and (counts > 0).all() else np.ones(len(names))
    objectives = context.objectives if labelled else tuple((name,) for name in names)
    return Facts(
        space=space,
        targets=names,
        objectives=objectives or (names,),
        target_likeness=target_likeness,
        unlabelled=unlabelled,
        noise=noise,
        key_tables=tables,
        proxy=proxy,
        grid=grid,
    )


class Knowledge:
    """The fitted process, in terms of candidates and targets.

    Args:
        facts: what does not change.
        tried: n candidates.
        scores: [n, T].
        noise: [n] of these, in units of a finished trial's.
    """

    def __init__(self, facts: Facts, tried: Sequence[Candidate], scores: Floats, noise: Floats) -> None:
        self.facts = facts
        self._tried = list(tried)
        self._scores = scores
        self._noise = noise
        self._encoded = encode(self._tried, facts.space)
        self._key_basis = KeyBasis(facts.key_tables, self._encoded, spreads(scores - scores.mean(0), 1 / noise))
        self._centres, features, groups = self._tried_features()
        self._features = features
        self._surrogate = Surrogate(
            Evidence(
                candidates=self._encoded,
                scores=scores,
                features=features,
                feature_groups=groups,
                target_likeness=facts.target_likeness,
                noise=facts.noise,
                trial_noise=noise,
            ),
            facts.grid,
        )

    @property
    def num_results(self) -> int:
        """How many trials it has learned from."""
        return len(self._tried)

    @property
    def targets(self) -> tuple[str, ...]:
        """The outputs."""
        return self.facts.targets

    def extrapolation(self, candidate: Candidate) -> str | None:
        """Why a prediction for a candidate is extrapolation from the results; None where it is not."""
        return extrapolation(candidate.composition, [tried.composition for tried in self._tried])

    def proxy_weight(self) -> float:
        """Posterior probability that the proxy helps."""
        return self._surrogate.feature_group_weight(PROXY_GROUP) if self.facts.proxy is not None else 0.0

    @property
    def signal_probability(self) -> float:
        """Posterior probability that compositions differ at all."""
        return self._surrogate.signal_probability

    def target_weights(self, name: str) -> Floats:
        """Weights that ask for one target; for one without scores, those of the targets most like it by their keys."""
        if name in self.facts.unlabelled:
            like = self.facts.unlabelled[name]
            return mean_weights(np.flatnonzero(like >= like.max()).tolist(), len(self.targets))
        return unit_weights(self.targets.index(name), len(self.targets))

    def objective_weights(self, place: int) -> Floats:
        """Weights that ask for an objective."""
        return mean_weights([self.targets.index(name) for name in self.facts.objectives[place]], len(self.targets))

    def _raw_features(self, candidates: Sequence[Candidate], encoded: Encoded) -> tuple[Floats, tuple[int, ...]]:
        parts, groups = [self._key_basis.features(encoded)], [KEYS_GROUP] * len(self._key_basis)
        if self.facts.proxy is not None:
            parts.insert(0, proxy_feature(encoded, self.facts.proxy.scores([c.composition for c in candidates])))
            groups.insert(0, PROXY_GROUP)
        return np.concatenate(parts), tuple(groups)

    def _tried_features(self) -> tuple[Floats, Floats, tuple[int, ...]]:
        raw, groups = self._raw_features(self._tried, self._encoded)
        known = np.isfinite(raw)
        centres = np.where(known, raw, 0).sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
        return centres, np.where(known, raw - centres, 0.0), groups

    def predict(self, candidates: Sequence[Candidate], weights: Floats) -> Prediction:
        """Posterior of a weighted sum of targets for some candidates."""
        encoded = encode(candidates, self.facts.space)
        return self.predict_encoded(candidates, encoded, np.arange(len(candidates)), weights, None)

    def predict_encoded(
        self,
        candidates: Sequence[Candidate],
        encoded: Encoded,
        rows: NDArray[np.intp],
        weights: Floats,
        num_points: int | None,
    ) -> Prediction:
        """The same for some rows of candidates that are encoded already."""
        some = encoded.take(rows)
        features = self._centred([candidates[i] for i in rows], some)
        return self._surrogate.predict(some, features, weights, num_points=num_points)

    def _centred(self, candidates: Sequence[Candidate], encoded: Encoded) -> Floats:
        raw, _ = self._raw_features(candidates, encoded)
        return np.where(np.isfinite(raw), raw - self._centres, 0.0)

    def tried_means(self, weights: Floats) -> Floats:
        """Posterior means of what has been tried, [n]."""
        return self._surrogate.predict(self._encoded, self._features, weights).mean

    def tried_posterior(self, weights: Floats) -> Prediction:
        """Posterior of a weighted sum of targets for what has been tried."""
        return self._surrogate.predict(self._encoded, self._features, weights)

    def ranked_candidates(self, weights: Floats) -> list[Candidate]:
        """What has been tried and lies in the space, best posterior mean first."""
        order = descending(self.tried_means(weights))
        return [self._tried[i] for i in order if self.facts.space.contains(self._tried[i])]

    def believing(self, pending: Sequence[Candidate]) -> Knowledge:
        """The same, as if pending trials had come out as predicted (a "Kriging believer").

        Their means change nothing; the uncertainty around them is gone, so the next trial goes elsewhere.
        """
        if not pending:
            return self
        encoded = encode(pending, self.facts.space)
        means = self._surrogate.predict_all(encoded, self._centred(pending, encoded))
        facts = replace(self.facts, grid=self._surrogate.likeliest())
        noise = np.concatenate([self._noise, np.ones(len(means))])
        return Knowledge(facts, [*self._tried, *pending], np.concatenate([self._scores, means]), noise)
