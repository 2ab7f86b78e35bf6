"""What a selection is compared with: what a user would otherwise have trained on, with as many samples and steps.

Each maker returns a composition, or None where the study holds nothing to make one from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets_spec.canonical import canonical_json
from datasets_spec.catalog.keys import shared_elements
from search.ledger.records import recipe_identity, trials_of
from search.seeds import derived_rng
from search.space.composition import Composition, share_out
from search.statistics.ties import descending, index_of_largest
from search.study.objective import mean_score, objective_values
from search.study.study import Study
from search.vocabulary import Exposure, Stage

ALL_DATA, BEST_SINGLE, RANDOM = "all-data", "best-single", "random-same-size"
ADDITIVE, GREEDY, METADATA, STATIC = "additive-singles", "greedy", "metadata", "static"
TARGET_LABELS = "target-labels"
# Share of the selection's samples that a random composition has at least; our choice. What it lacks is told.
LEAST_SHARE = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparatorEvidence:
    """What comparators are made from.

    Attributes:
        study: the study.
        selected: the composition that is compared.
        rows: training rows by subset.
        num_questions: questions of each evaluation set that the search has asked: labels that it has spent.
        records: the ledger's trial records.
    """

    study: Study
    selected: Composition
    rows: Mapping[str, int]
    num_questions: Mapping[str, int]
    records: Sequence[Mapping[str, Any]]

    def spread(self, subsets: Sequence[str]) -> Composition:
        """As many samples as the selection has, spread evenly over the subsets."""
        return share_out({s: self.rows[s] for s in subsets}, self.selected.total)


def all_data(evidence: ComparatorEvidence) -> Composition | None:
    """Every allowed source that does not carry a target's own key."""
    allowed = _held_out_sources(evidence)
    return evidence.spread(allowed) if allowed else None


def best_single(evidence: ComparatorEvidence) -> Composition | None:
    """The source that was best alone on `search`, with as many samples as the selection if it has them."""
    ranked = ranked_singles(evidence)
    if not ranked:
        return None
    return Composition({ranked[0]: min(evidence.selected.total, evidence.rows[ranked[0]])})


def additive_singles(evidence: ComparatorEvidence) -> Composition | None:
    """The sources that were best alone, as many as the selection has: right if subsets simply add up."""
    ranked = ranked_singles(evidence)
    return evidence.spread(ranked[: len(evidence.selected)]) if ranked else None


def greedy(evidence: ComparatorEvidence) -> Composition | None:
    """Start from the best single source and add, as long as a trial of the study has shown that it helps.

    It walks through the compositions that the study has tried; what was never tried costs trials, which a comparator
    may not spend. None when it never leaves its start.
    """
    scores = _search_scores(evidence)
    ranked = ranked_singles(evidence)
    if not ranked:
        return None
    chosen = frozenset({ranked[0]})
    while True:
        longer = [s for s in scores if len(s) == len(chosen) + 1 and chosen < s]
        longer.sort(key=sorted, reverse=True)  # decides ties
        best = [chosen, *longer][index_of_largest([scores[s] for s in (chosen, *longer)])]
        if best == chosen:
            return evidence.spread(sorted(chosen)) if len(chosen) > 1 else None
        chosen = best


def metadata(evidence: ComparatorEvidence) -> Composition | None:
    """The sources that share most elements with the targets; None when none shares anything."""
    study = evidence.study
    shared = {
        source: sum(
            len(shared_elements(study.catalog.subset(source).key, study.catalog.subset(target).key, study.task_map))
            for target in study.spec.objective_sets
        )
        for source in _held_out_sources(evidence)
    }
    most = max(shared.values(), default=0)
    return evidence.spread([source for source, number in shared.items() if number == most]) if most else None


def static(evidence: ComparatorEvidence) -> Composition | None:
    """The sources that were best alone on the study's *other* evaluation sets; None where there are no others."""
    spec = evidence.study.spec
    others = [name for name in spec.eval_sets if name not in spec.objective_sets]
    scored = [
        (next(iter(record["composition"])), value)
        for record in evidence.records
        if record["stage"] == Stage.single and (value := mean_score(record, others, "search", spec.score)) is not None
    ]
    ranked = _by_mean(scored)
    return evidence.spread(ranked[: len(evidence.selected)]) if ranked else None


def random_same_size(evidence: ComparatorEvidence) -> Composition | None:
    """A random composition with the selection's numbers of samples on other subsets; None when there is no other.

    Where none has them all, one of as many subsets that together have at least `LEAST_SHARE` of the samples.
    """
    allowed = _held_out_sources(evidence)
    counts = sorted(evidence.selected.values())
    if len(counts) > len(allowed):
        return None
    rng = derived_rng(evidence.study.spec.seed, RANDOM)
    for _ in range(1000):
        drawn = Composition(dict(zip(rng.sample(allowed, len(counts)), counts, strict=True)))
        if drawn != evidence.selected and all(evidence.rows[s] >= n for s, n in drawn.items()):
            return drawn
    # Where sources give what they have, the largest may have no equal, but be in the draw itself.
    for _ in range(1000 if counts else 0):
        others = rng.sample(allowed, len(counts))
        spread = evidence.spread(others)
        if set(others) != set(evidence.selected) and spread.total >= LEAST_SHARE * evidence.selected.total:
            return spread
    return None


def target_labels(evidence: ComparatorEvidence) -> Composition | None:
    """Train on as many labelled samples of the targets themselves as the search has asked questions of them.

    A search spends target labels: it reads the answers of `search`. Whoever has them could have trained on them, so a
    selection has to beat this or say that it does not. Rows come from the targets' own `train` split, because rows of
    `search` are never handed out for training; None where a target has none. It is the one comparator that may see
    the targets' keys, and its exposure says `in_domain`.
    """
    counts = {
        target: min(evidence.num_questions.get(target, 0), evidence.rows.get(target, 0))
        for target in evidence.study.spec.objective_sets
    }
    return Composition(counts) if all(counts.values()) else None


MAKERS: dict[str, Callable[[ComparatorEvidence], Composition | None]] = {
    ALL_DATA: all_data,
    BEST_SINGLE: best_single,
    RANDOM: random_same_size,
    ADDITIVE: additive_singles,
    GREEDY: greedy,
    METADATA: metadata,
    STATIC: static,
    TARGET_LABELS: target_labels,
}


def leaks(study: Study, name: str, composition: Composition) -> list[str]:
    """Targets whose own key a comparator trains on although the selection may not: it would win by having seen them.

    Args:
        study: decides exposures.
        name: of the comparator; `target-labels` is meant to see them.
        composition: what it trains on.
    """
    if name == TARGET_LABELS:
        return []
    exposures = study.exposures
    return [t for t in study.spec.objective_sets if exposures.of(composition, t) == Exposure.in_domain]


def ranked_singles(evidence: ComparatorEvidence) -> list[str]:
    """Sources by their mean objective alone on `search`, best first; those without a score are left out."""
    scored = [
        (next(iter(record["composition"])), sum(values) / len(values))
        for record in evidence.records
        if record["stage"] == Stage.single and (values := objective_values(evidence.study.spec, record))
    ]
    return _by_mean(scored)


def _by_mean(scored: Sequence[tuple[str, float]]) -> list[str]:
    by_source: dict[str, list[float]] = {}
    for source, value in scored:
        by_source.setdefault(source, []).append(value)
    names = sorted(by_source)
    means = [sum(by_source[name]) / len(by_source[name]) for name in names]
    return [names[place] for place in descending(means)]


def _search_scores(evidence: ComparatorEvidence) -> dict[frozenset[str], float]:
    """The best objective of every set of subsets that was scored on `search`.

    Of one composition and recipe the mean over seeds counts: the best of a repeated training would be luck.
    """
    by_training: dict[tuple[frozenset[str], str], list[float]] = {}
    for record in trials_of(evidence.records, Stage.search, Stage.single):
        if values := objective_values(evidence.study.spec, record):
            training = canonical_json([record["composition"], recipe_identity(record)])
            by_training.setdefault((frozenset(record["composition"]), training), []).append(sum(values) / len(values))
    found: dict[frozenset[str], float] = {}
    for (subsets, _), scores in by_training.items():
        found[subsets] = max(found.get(subsets, float("-inf")), sum(scores) / len(scores))
    return found


def _held_out_sources(evidence: ComparatorEvidence) -> list[str]:
    """Allowed sources that leave every target of the objective held out."""
    spec, exposures = evidence.study.spec, evidence.study.exposures
    return [
        s
        for s in spec.space.composition.allowed
        if not any(exposures.has_same_key(s, target) for target in spec.objective_sets)
    ]
