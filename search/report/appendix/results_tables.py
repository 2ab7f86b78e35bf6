"""The figures of a paper's tables: mean and standard deviation over seeds, and what was compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from search.report.appendix.blocks import Table
from search.report.run_files import RunRecords
from search.report.wording import (
    NOT_KNOWN,
    arm_name,
    as_mapping,
    comparator_name,
    count,
    interval,
    p_value,
    percent,
    points,
)
from search.study.run_dir import RunFile
from search.vocabulary import COMPARATORS, Stage, Status

MEAN = "mean"
MOST_COLUMNS = 6  # targets beside each other that a page takes; more stand below each other
_DEVIATION = (
    "mean ± sample standard deviation over training seeds; a single seed has none. It is that of training alone."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class OverSeeds:
    """A score over the seeds of an arm.

    Attributes:
        mean: of the seeds' scores, as a share.
        deviation: sample standard deviation (n - 1); None of a single seed.
        num_seeds: how many there are.
    """

    mean: float
    deviation: float | None
    num_seeds: int

    @property
    def text(self) -> str:
        """In percent: "83.5 ± 2.6", and "53.8" of a single seed."""
        mean = f"{100 * self.mean:.1f}"
        return mean if self.deviation is None else f"{mean} ± {100 * self.deviation:.1f}"


def over_seeds(scores: Sequence[float]) -> OverSeeds:
    """Mean and sample standard deviation of one score a seed; at least one is needed."""
    return OverSeeds(mean=fmean(scores), deviation=stdev(scores) if len(scores) > 1 else None, num_seeds=len(scores))


def arms_over_seeds(records: RunRecords, split: str) -> dict[str, dict[str, OverSeeds]]:
    """Score by arm and evaluation set, of the finished trials that were scored on a split.

    Args:
        records: a run's files.
        split: whose questions.

    Returns:
        Arms by the page's names and in its order; of several targets of a search also their mean (`MEAN`), over the
        seeds that were scored on all of them.
    """
    trials = records.trials
    scored = trials[(trials["split"] == split) & (trials["status"] == Status.finished) & trials["accuracy"].notna()]
    if records.design is not None:
        scored = scored[scored["stage"].isin([Stage.design, Stage.baseline])]
    found: dict[str, dict[str, dict[int, float]]] = {}
    for row in scored.to_dict("records"):
        name = arm_name(row, records.selection or {})
        if name and row["eval_set"] in records.targets:
            found.setdefault(name, {}).setdefault(str(row["eval_set"]), {})[int(row["seed"])] = float(row["accuracy"])
    arms = {}
    for name in sorted(found, key=_place):
        arms[name] = {target: over_seeds(list(by_seed.values())) for target, by_seed in found[name].items()}
        means = _mean_over_sets(found[name], records.targets)
        if len(records.targets) > 1 and records.design is None and means:
            arms[name][MEAN] = over_seeds(means)
    return arms


def _mean_over_sets(by_set: Mapping[str, Mapping[int, float]], targets: Iterable[str]) -> list[float]:
    everywhere = [by_set.get(target, {}) for target in targets]
    common = set.intersection(*(set(by_seed) for by_seed in everywhere)) if everywhere else set()
    return [fmean(by_seed[seed] for by_seed in everywhere) for seed in sorted(common)]


def _place(name: str) -> tuple[int, str]:
    """The selection, other finalists, comparators as the page has them, then the arms of a design."""
    shorts = [comparator.short for comparator in COMPARATORS.values()]
    if name == "Selected":
        return 0, ""
    if name.startswith("Finalist"):
        return 1, name
    return (2 + shorts.index(name), "") if name in shorts else (2 + len(shorts), name)


def results_table(records: RunRecords, split: str) -> Table | None:
    """Accuracy of every arm on a split, mean and SD over seeds; None where nothing was scored."""
    arms = arms_over_seeds(records, split)
    if not arms:
        return None
    caption = f"Accuracy in percent on the split {split}: {_DEVIATION}{_intervals_place(records)}"
    sets = [name for name in (*records.targets, MEAN) if any(name in by_set for by_set in arms.values())]
    questions = _num_questions(records, split)
    if len(sets) > MOST_COLUMNS:
        rows = [
            (arm, name, questions.get(name, NOT_KNOWN), by_set[name].text, str(by_set[name].num_seeds))
            for arm, by_set in arms.items()
            for name in sets
            if name in by_set
        ]
        return Table(caption=caption, head=("arm", "evaluation set", "n", "accuracy", "seeds"), rows=tuple(rows))
    head = ("arm", *(f"{name} (n = {questions[name]})" if name in questions else name for name in sets), "seeds")
    lines = [
        (
            arm,
            *(by_set[name].text if name in by_set else NOT_KNOWN for name in sets),
            " to ".join(dict.fromkeys(str(pick(cell.num_seeds for cell in by_set.values())) for pick in (min, max))),
        )
        for arm, by_set in arms.items()
    ]
    return Table(caption=caption, head=head, rows=tuple(lines))


def _intervals_place(records: RunRecords) -> str:
    """Where a reader finds intervals; "" where a study has none yet."""
    if records.design is None and not records.selection:
        return ""
    place = "the other tables" if records.design is None else RunFile.design_markdown.value
    return f" Intervals that also hold the choice of questions stand in {place}."


def _num_questions(records: RunRecords, split: str) -> dict[str, str]:
    trials = records.trials[(records.trials["split"] == split) & records.trials["n"].notna()]
    return {str(name): count(numbers.max()) for name, numbers in trials.groupby("eval_set")["n"]}


def estimates_table(selection: Mapping[str, Any]) -> Table | None:
    """Accuracy of the selected composition with its interval, from `selection.json`; None without a selection."""
    rows = [
        (
            str(entry["eval_set"]), split, count(entry.get("n")), count(entry.get("seeds")),
            percent(entry.get("accuracy")), interval(entry.get("ci_low"), entry.get("ci_high"), signed=False),
        )
        for split, entries in sorted((selection.get("estimates") or {}).items())
        for entry in entries or ()
    ]  # fmt: skip
    if not rows:
        return None
    return Table(
        caption="Accuracy of the selected composition. The 95 % intervals hold the choice of questions (of patients, "
        "where they are known) and of training seeds.",
        head=("evaluation set", "split", "questions", "seeds", "accuracy", "95 % interval, percent"),
        rows=tuple(rows),
    )


def comparisons_table(selection: Mapping[str, Any]) -> Table | None:
    """What the selected composition was compared with, from `selection.json`; None without a comparison."""
    rows = [
        (
            comparator_name(entry["comparator"], short=True), str(entry["eval_set"]), str(entry["split"]),
            points(entry.get("difference")),
            interval(entry.get("simultaneous_low"), entry.get("simultaneous_high"), signed=True),
            p_value(entry.get("p_adjusted")), str(entry["verdict"]),
        )
        for entry in selection.get("comparisons") or ()
    ]  # fmt: skip
    if not rows:
        return None
    return Table(
        caption="Selected composition minus comparator, in points of accuracy, paired by question. The intervals of "
        "comparisons that are judged together hold all at once.",
        head=("comparator", "evaluation set", "split", "points", "simultaneous 95 % interval", "adjusted p", "verdict"),
        rows=tuple(rows),
    )


def composition_table(selection: Mapping[str, Any], subsets: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """The selected composition, the largest part first; None without a selection."""
    parts = sorted(as_mapping(selection.get("composition")).items(), key=lambda part: (-part[1], part[0]))
    rows = [(name, count(size), count((subsets.get(name) or {}).get("train_rows"))) for name, size in parts]
    head = ("subset", "samples", "training rows there are")
    return Table(caption="The selected composition.", head=head, rows=tuple(rows)) if rows else None
