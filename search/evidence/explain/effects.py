"""From a study's ledger to effects: what its trials say of subsets, pairs, elements and of what is not in them yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any, Final

import numpy as np

from datasets_spec.catalog.keys import Key, TaskMap, shared_elements
from datasets_spec.errors import UserError
from search.evidence.explain.model import EffectsModel, Floats, Quantity, Trials
from search.ledger.records import each_training_once, scored_on
from search.strategies.surrogate.extrapolation import extrapolated_number
from search.study.score import ScoreSection, score_of
from search.vocabulary import COUNTED, Estimator, Stage

ELEMENT_NAMES: Final = ("modality", "area", "task", "ability")
# More coefficients than this take minutes and are not learned from some hundred trials anyway.
MOST_COEFFICIENTS: Final = 900
FEWEST_TRIALS: Final = 6
# The fit takes the cube of these, a hundred times.
MOST_SCORES: Final = 600
MEAN: Final = "mean"
# What `recombine bench effects` finds on tables of known truth (docs/benchmarks.md).
COVERAGE_IN_PRACTICE: Final = (
    "where the truth was known, 93 to 96 % of such intervals held it, but only 81 to 90 % of those that leave "
    "zero out: large effects are understated"
)
SPLIT: Final = "search"


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """One line of an explanation.

    Attributes:
        kind: `banzhaf`, `interaction`, `element`, `adding` (to the selection) or `new dataset`.
        subject: the subset, pair (`a + b`), element or key.
        target: evaluation set, or `mean` over those of the objective.
        value: posterior mean, as a share of accuracy.
        is_clear: whether the interval leaves 0 out; no adjustment for the number of lines, so it is exploratory.
        extrapolation: why, where compositions of a size that no trial had are compared.
    """

    kind: str
    subject: str
    target: str
    value: float
    ci_low: float
    ci_high: float
    is_clear: bool
    extrapolation: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What the trials say.

    Attributes:
        effects: banzhaf values, interactions, elements, and additions to the selection.
        num_trials: that were used.
        estimator: `random` when all of them were drawn at random or designed, else `adaptive`.
        has_pairs: whether pair effects are in the model.
    """

    effects: tuple[Effect, ...]
    num_trials: int
    estimator: str
    has_pairs: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is to be explained.

    Attributes:
        keys: of sources and targets, by name.
        sources: that compositions are made of.
        targets: of the objective.
        task_map: under which keys are compared.
        selected: the selection's subsets; none before there is one.
        new_keys: of datasets that are not in the study, by the name they shall be called.
        score: what the study's answers count for.
    """

    keys: Mapping[str, Key]
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    task_map: TaskMap
    selected: tuple[str, ...] = ()
    new_keys: Mapping[str, Key] | None = None
    score: ScoreSection = field(default_factory=ScoreSection)


def usable(records: Sequence[Mapping[str, Any]], subject: Subject) -> bool:
    """Whether there are trials enough."""
    return len(_used(records, subject)) >= FEWEST_TRIALS


def _used(records: Sequence[Mapping[str, Any]], subject: Subject) -> list[Mapping[str, Any]]:
    used = [
        record
        for record in records
        if record["stage"] in (Stage.search, Stage.single, Stage.reused, Stage.top_up)
        and set(record["composition"]) <= set(subject.sources)
        and all(
            (e := scored_on(record, target, SPLIT)) is not None and e["exposure"] in COUNTED
            for target in subject.targets
        )
    ]
    return each_training_once(used)


def explained_trials(records: Sequence[Mapping[str, Any]], subject: Subject) -> tuple[Trials, str]:
    """The finished trials that were scored on every target on `search`, and how they were chosen.

    Trials of the search, of single sources, reused ones and top-ups count; confirmations repeat the best and would
    bend the picture. Trials that have seen a target's own key are left out. A training that is a single source and a
    proposal, or stands in two studies, is one trial.

    Raises:
        UserError: there are too few.
    """
    used = _used(records, subject)
    if len(used) < FEWEST_TRIALS:
        raise UserError(
            f"{len(used)} trials were scored on every target; an explanation needs {FEWEST_TRIALS}",
            hint="run the study on, with more trials (strategy.num_trials=...)",
        )
    presence = np.array([[float(s in record["composition"]) for s in subject.sources] for record in used])
    scores = np.array([[score_of(scored_on(r, t, SPLIT) or {}, subject.score) for t in subject.targets] for r in used])
    names, shared = shared_table(subject, subject.sources)
    is_random = all(record["stage"] == Stage.single or record["strategy"] == "random" for record in used)
    trials = Trials(
        presence=presence,
        scores=scores,
        shared=shared,
        subsets=subject.sources,
        targets=subject.targets,
        elements=names,
    )
    return bounded(trials), (Estimator.random if is_random else Estimator.adaptive).value


def bounded(trials: Trials) -> Trials:
    """The same trials on the mean of their targets where all scores together are too many to fit in seconds."""
    if trials.scores.size <= MOST_SCORES or len(trials.targets) == 1:
        kept = trials
    else:
        kept = replace(
            trials,
            scores=trials.scores.mean(axis=1, keepdims=True),
            shared=trials.shared.mean(axis=0, keepdims=True),
            targets=(MEAN,),
        )
    return replace(kept, presence=kept.presence[-MOST_SCORES:], scores=kept.scores[-MOST_SCORES:])


def shared_table(subject: Subject, subsets: Sequence[str]) -> tuple[tuple[str, ...], Floats]:
    """Elements and pairs of elements that tell the study's sources apart, and which subset shares what, [T, k, E]."""
    names = [*ELEMENT_NAMES, *(f"{a}+{b}" for a, b in combinations(ELEMENT_NAMES, 2))]
    everything = _shares(subject, subject.sources, names)
    varies = (everything != everything[:, :1, :]).any(axis=(0, 1))
    kept = tuple(name for name, keep in zip(names, varies, strict=True) if keep)
    return kept, _shares(subject, subsets, kept)


def explain(records: Sequence[Mapping[str, Any]], subject: Subject) -> Explanation:
    """Fit the model and read the effects from it.

    Args:
        records: the ledger's trial records, of one study or of several on the same data.
        subject: what is to be explained.

    Raises:
        UserError: there are too few trials.
    """
    trials, estimator = explained_trials(records, subject)
    num = len(subject.sources)
    with_pairs = len(trials.targets) * (num + num * (num - 1) // 2) <= MOST_COEFFICIENTS
    model = EffectsModel(trials, with_pairs=with_pairs)
    effects = [
        *_banzhaf(model),
        *_interactions(model),
        *_elements(model),
        *_additions(model, subject),
        *_new_datasets(model, subject),
    ]
    return Explanation(effects=tuple(effects), num_trials=len(trials.scores), estimator=estimator, has_pairs=with_pairs)


def banzhaf_weights(model: EffectsModel, subset: int, target: int) -> Floats:
    """Weights of a subset's Banzhaf value: what it adds to a composition drawn uniformly from all of the others.

    In a model of single and pair effects that is its own effect and half of each of its pairs.
    """
    weights = model.subset_weights(subset, target)
    for pair in model.pairs:
        if subset in pair:
            weights = weights + 0.5 * model.pair_weights(pair, target)
    return weights


def _banzhaf(model: EffectsModel) -> list[Effect]:
    names = model.trials.subsets
    return [
        effect
        for i, name in enumerate(names)
        for effect in _on_targets(model, "banzhaf", name, [banzhaf_weights(model, i, t) for t in _targets(model)])
    ]


def _interactions(model: EffectsModel) -> list[Effect]:
    names = model.trials.subsets
    return [
        effect
        for i, j in model.pairs
        for effect in _on_targets(
            model, "interaction", f"{names[i]} + {names[j]}", [model.pair_weights((i, j), t) for t in _targets(model)]
        )
    ]


def _elements(model: EffectsModel) -> list[Effect]:
    return [
        _effect("element", name, "all", model.quantity(model.element_weights(e)))
        for e, name in enumerate(model.trials.elements)
    ]


def _additions(model: EffectsModel, subject: Subject) -> list[Effect]:
    """What adding a subset to the selection would bring, or has brought where it is part of it."""
    if not subject.selected:
        return []
    names = model.trials.subsets
    base = np.array([float(name in subject.selected) for name in names])
    tried = {int(num) for num in model.trials.presence.sum(1)}
    found = []
    for i, name in enumerate(names):
        both = np.stack([base, base])
        both[0, i], both[1, i] = 1.0, 0.0
        weights = [(rows := model.rows(both, t))[0] - rows[1] for t in _targets(model)]
        why = extrapolated_number([int(num) for num in both.sum(1)], tried)
        found += [replace(e, extrapolation=why) for e in _on_targets(model, "adding", name, weights)]
    return found


def _new_datasets(model: EffectsModel, subject: Subject) -> list[Effect]:
    """What a dataset that no trial has held is expected to bring from its key alone.

    Its own part is not known; its variance is in the interval, which is therefore wide, and honestly so.
    """
    own = model.likeliest.own * model.unit
    found = []
    for name, key in (subject.new_keys or {}).items():
        _, shared = shared_table(replace(subject, keys={**subject.keys, name: key}), [name])
        if len(model.trials.targets) < len(subject.targets):
            shared = shared.mean(axis=0, keepdims=True)
        elements = np.array([model.element_weights(e) for e in range(shared.shape[2])])  # [E, coefficients]
        weights = [shared[t, 0] @ elements for t in _targets(model)]
        for effect, quantity in _quantities(model, "new dataset", name, weights):
            parts = 1 if effect.target != MEAN else len(weights)
            wider = Quantity(mean=quantity.mean, deviation=float(np.hypot(quantity.deviation, own / parts**0.5)))
            found.append(_effect(effect.kind, effect.subject, effect.target, wider))
    return found


def _on_targets(model: EffectsModel, kind: str, subject: str, weights: Sequence[Floats]) -> list[Effect]:
    return [effect for effect, _ in _quantities(model, kind, subject, weights)]


def _quantities(
    model: EffectsModel, kind: str, subject: str, weights: Sequence[Floats]
) -> list[tuple[Effect, Quantity]]:
    """On every target, and on their mean where there are several."""
    targets = model.trials.targets
    places = list(zip(targets, weights, strict=True))
    if len(targets) > 1:
        places.insert(0, (MEAN, np.mean(weights, axis=0)))
    found = []
    for target, weight in places:
        quantity = model.quantity(weight)
        found.append((_effect(kind, subject, target, quantity), quantity))
    return found


def _effect(kind: str, subject: str, target: str, quantity: Quantity) -> Effect:
    low, high = quantity.interval
    return Effect(
        kind=kind,
        subject=subject,
        target=target,
        value=quantity.mean,
        ci_low=low,
        ci_high=high,
        is_clear=not low <= 0 <= high,
    )


def _targets(model: EffectsModel) -> range:
    return range(len(model.trials.targets))


def _shares(subject: Subject, subsets: Sequence[str], names: Sequence[str]) -> Floats:
    table = np.zeros((len(subject.targets), len(subsets), len(names)))
    for t, target in enumerate(subject.targets):
        for i, subset in enumerate(subsets):
            shared = set(shared_elements(subject.keys[subset], subject.keys[target], subject.task_map))
            if "modality_area" in shared:  # a pair that always occurs together is both
                shared |= {"modality", "area"}
            for e, name in enumerate(names):
                table[t, i, e] = float(set(name.split("+")) <= shared)
    return table
