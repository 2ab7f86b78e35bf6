"""Fills the table of a design from outcomes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from search.designs.rows import BASELINE, CONTROL, RELATED, Arm, DesignRow
from search.designs.table import ArmScore, Contrast, DesignTable
from search.designs.trials import arm_label, design_of, num_steps_of, training_of
from search.evidence.outcomes import ArmOutcomes, Outcomes
from search.ledger.records import Record, of_arm, scored_on
from search.seeds import derived_seed
from search.statistics.bootstrap import PairedDifference, mean_accuracy, paired_difference
from search.statistics.judgement import judge
from search.statistics.simultaneous import Family
from search.statistics.ties import index_of_largest
from search.statistics.training_noise import SeedVariance, seed_variance_prior
from search.statistics.verdicts import ALPHA
from search.study.spec import StudySpec
from search.vocabulary import Exposure, Stage


def compute_design_table(
    records: Sequence[Record], outcomes: Outcomes, rows: Sequence[DesignRow], spec: StudySpec
) -> DesignTable:
    """Judge a design's rows from the trials that have finished.

    Args:
        records: the ledger's trial records.
        outcomes: their per-question outcomes.
        rows: the design's.
        spec: the study.
    """
    section = design_of(spec)
    scored = {
        (row.name, arm.name): found
        for row in rows
        for arm in row.arms
        if (found := _outcomes_of(records, outcomes, row, arm, section.split)) is not None
    }
    prior = _prior(scored, rows, spec)
    scores = [
        _score(row, arm, scored[row.name, arm.name], records, outcomes, prior, spec)
        for row in rows
        for arm in row.arms
        if (row.name, arm.name) in scored
    ]
    exposures = {(score.row, score.arm): score.exposure for score in scores}
    pairs = {
        (row.name, first, second): _compare(row, first, second, scored, outcomes, prior, spec)
        for row in rows
        for first, second in row.contrasts
        if (row.name, first) in scored and (row.name, second) in scored
    }
    # The same contrast of all rows is judged together.
    sizes = Counter((first, second) for _, first, second in pairs)
    named = {row.name: row for row in rows}
    contrasts = [
        _contrast(named[name], first, second, paired, sizes[first, second], exposures, spec)
        for (name, first, second), paired in pairs.items()
    ]
    return DesignTable(
        kind=section.kind,
        backbone=spec.backbone.model,
        split=section.split,
        rows=tuple({"name": r.name, "group": r.group, "target": r.target, "sources": list(r.sources)} for r in rows),
        scores=tuple(scores),
        contrasts=tuple(contrasts),
        marks=_marks(scores),
        missing=tuple(sorted({row.name for row in rows for arm in row.arms if (row.name, arm.name) not in scored})),
    )


def _outcomes_of(
    records: Sequence[Record], outcomes: Outcomes, row: DesignRow, arm: Arm, split: str
) -> ArmOutcomes | None:
    if not arm.composition:
        found = [record for record in records if record["stage"] == Stage.baseline]
    else:
        found = of_arm(records, arm_label(row, arm.name))
    return outcomes.of_arm(found, row.target, split)


def _prior(scored: Mapping[tuple[str, str], ArmOutcomes], rows: Sequence[DesignRow], spec: StudySpec) -> SeedVariance:
    """Training noise as all trainings of the design show it, each once, however many rows and targets share it."""
    distinct = {
        (row.target, training_of(arm, spec)): scored[row.name, arm.name]
        for row in rows
        for arm in row.arms
        if arm.composition and (row.name, arm.name) in scored
    }
    arms = list(distinct.values())
    most = max((len(found.sample_ids) for found in arms), default=1)
    return seed_variance_prior(
        [found.right.mean(axis=1) for found in arms],
        resolution=1 / most,
        trainings=[training for _, training in distinct],
    )


def _score(
    row: DesignRow,
    arm: Arm,
    found: ArmOutcomes,
    records: Sequence[Record],
    outcomes: Outcomes,
    prior: SeedVariance,
    spec: StudySpec,
) -> ArmScore:
    accuracy, interval = mean_accuracy(
        [found.right],
        groups=[outcomes.groups_of(found.sample_ids)],
        seed=derived_seed(spec.seed, "design", row.name, arm.name),
        is_trained=found.is_trained,
        prior=prior,
    )
    published = row.published.get(arm.name)
    return ArmScore(
        row=row.name,
        arm=arm.name,
        accuracy=accuracy,
        ci_low=interval.low,
        ci_high=interval.high,
        n=len(found.sample_ids),
        num_seeds=len(found.seeds),
        num_samples=arm.composition.total,
        num_steps=num_steps_of(arm, spec) if arm.composition else 0,
        exposure=_exposure(row, arm, records, spec),
        published=None if published is None else published / 100,
    )


def _exposure(row: DesignRow, arm: Arm, records: Sequence[Record], spec: StudySpec) -> str:
    """As the ledger has recorded it when the trial was scored."""
    for record in of_arm(records, arm_label(row, arm.name)):
        evaluation = scored_on(record, row.target, design_of(spec).split)
        if evaluation is not None:
            return str(evaluation["exposure"])
    return Exposure.held_out.value


def _compare(
    row: DesignRow,
    first: str,
    second: str,
    scored: Mapping[tuple[str, str], ArmOutcomes],
    outcomes: Outcomes,
    prior: SeedVariance,
    spec: StudySpec,
) -> PairedDifference:
    mine, theirs = scored[row.name, first], scored[row.name, second]
    return paired_difference(
        [outcomes.paired(mine, theirs, row.target)],
        seed=derived_seed(spec.seed, "design", row.name, first, second),
        first_is_trained=mine.is_trained,
        second_is_trained=theirs.is_trained,
        prior=prior,
    )


def _contrast(
    row: DesignRow,
    first: str,
    second: str,
    paired: PairedDifference,
    num_together: int,
    exposures: Mapping[tuple[str, str], str],
    spec: StudySpec,
) -> Contrast:
    mine, theirs = row.arm(first), row.arm(second)
    is_matched = None
    if theirs.composition:
        is_matched = mine.composition.total == theirs.composition.total and num_steps_of(mine, spec) == num_steps_of(
            theirs, spec
        )
    return Contrast(
        row=row.name,
        first=first,
        second=second,
        is_claim=(first, second) == row.contrasts[0],
        difference=paired.difference,
        ci_low=paired.ci_low,
        ci_high=paired.ci_high,
        p_value=paired.p_value,
        is_matched=is_matched,
        is_held_out=all(exposures[row.name, name] == Exposure.held_out for name in (first, second)),
        **judge(paired, together=Family(num_unrelated=num_together), alpha=ALPHA).as_dict(),
    )


def _marks(scores: Sequence[ArmScore]) -> dict[str, bool]:
    """The paper's mark: trained on the related sources above both baseline and control, whatever the difference."""
    by_row: dict[str, dict[str, float]] = defaultdict(dict)
    for score in scores:
        by_row[score.row][score.arm] = score.accuracy
    return {
        row: index_of_largest([arms[BASELINE], arms[CONTROL], arms[RELATED]]) == 2
        for row, arms in by_row.items()
        if {RELATED, BASELINE, CONTROL} <= set(arms)
    }
