"""Med-MAT's controlled experiment, judged again: which of its 43 rows pass a test, one by one and together."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from search.statistics.verdicts import ALPHA, FALSE_DISCOVERY_RATE, benjamini_hochberg, holm, two_proportions

SOURCE: Final = "arXiv:2412.20070v2, table 3"
DIRECTIONS: Final = ("fixed_modality", "fixed_area", "fixed_task", "modality_area_pair")


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlledRow:
    """One published row; accuracies in %.

    Attributes:
        row: its number in the table.
        direction: which element is fixed, one of `DIRECTIONS`.
        sources: both related subsets, as the paper names them.
        target: the recombination, as the paper names it.
        target_subset: number of the target's subset; "" where it cannot be told.
        baseline: untrained.
        control: trained on as many samples of unrelated subsets (the paper's Baseline+).
        trained: trained on both sources.
        is_marked: the paper's mark that composing helps.
        num_questions: of the target, inferred; None where it cannot be.
    """

    row: int
    direction: str
    sources: tuple[str, str]
    target: str
    target_subset: str
    baseline: float
    control: float
    trained: float
    is_marked: bool
    num_questions: int | None

    @property
    def best_other(self) -> float:
        """What training on the sources has to beat: the higher of baseline and control."""
        return max(self.baseline, self.control)

    @property
    def follows_rule(self) -> bool:
        """The paper's rule, found by trying: trained above both baseline and control."""
        return self.trained > self.best_other


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedRow:
    """A row with its test against the better of baseline and control."""

    row: ControlledRow
    p_value: float
    p_holm: float
    q_value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Recount:
    """What the published table supports.

    Attributes:
        rows: all of them.
        num_marked: rows that the paper marks as helped.
        num_rule: rows that its rule gives.
        small_gains: number of marked rows that gain at most 3, 5 and 10 points.
        judged: marked rows whose number of questions is known, with their tests.
        factor: the inferred numbers of questions are multiplied by this.
    """

    rows: tuple[ControlledRow, ...]
    num_marked: int
    num_rule: int
    small_gains: dict[int, int]
    judged: tuple[JudgedRow, ...]
    factor: int

    def significant(self) -> tuple[int, ...]:
        """Rows that pass a one-sided test at 5 %, each on its own."""
        return tuple(j.row.row for j in self.judged if j.p_value < ALPHA)

    def significant_together(self) -> tuple[int, ...]:
        """Rows that stay when the chance of a single false claim is held at 5 % (Holm)."""
        return tuple(j.row.row for j in self.judged if j.p_holm < ALPHA)

    def discovered(self) -> tuple[int, ...]:
        """Rows of which one in ten is expected to be false (Benjamini and Hochberg)."""
        return tuple(j.row.row for j in self.judged if j.q_value < FALSE_DISCOVERY_RATE)


def load_controlled_rows() -> tuple[ControlledRow, ...]:
    """The 43 published rows."""
    text = (resources.files("search.designs.published") / "med_mat_controlled.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(_row(cells) for cells in csv.DictReader(lines))


def _row(cells: dict[str, str]) -> ControlledRow:
    return ControlledRow(
        row=int(cells["row"]),
        direction=cells["direction"],
        sources=(cells["first_source"], cells["second_source"]),
        target=cells["target"],
        target_subset=cells["target_subset"],
        baseline=float(cells["baseline"]),
        control=float(cells["control"]),
        trained=float(cells["trained"]),
        is_marked=cells["is_marked"] == "yes",
        num_questions=int(cells["num_questions"]) if cells["num_questions"] else None,
    )


def recount(rows: Sequence[ControlledRow] | None = None, *, factor: int = 1) -> Recount:
    """Judge the published rows.

    Args:
        rows: the table; by default the published one.
        factor: the true numbers of questions are this multiple of the inferred ones.
    """
    rows = tuple(rows if rows is not None else load_controlled_rows())
    marked = [row for row in rows if row.is_marked]
    known = [row for row in marked if row.num_questions is not None]
    p_values = [
        two_proportions(row.trained / 100, row.best_other / 100, factor * (row.num_questions or 0)) for row in known
    ]
    tested = zip(known, p_values, holm(p_values), benjamini_hochberg(p_values), strict=True)
    return Recount(
        rows=rows,
        num_marked=len(marked),
        num_rule=sum(row.follows_rule for row in rows),
        small_gains={most: sum(row.trained - row.best_other <= most for row in marked) for most in (3, 5, 10)},
        judged=tuple(JudgedRow(row=row, p_value=p, p_holm=h, q_value=q) for row, p, h, q in tested),
        factor=factor,
    )


def in_words(found: Recount) -> list[str]:
    """The recount as sentences for a reader who was not there."""
    alone, together, discovered = found.significant(), found.significant_together(), found.discovered()
    unknown = found.num_marked - len(found.judged)
    return [
        f"The paper marks {found.num_marked} of {len(found.rows)} rows as helped by composing and "
        f"{len(found.rows) - found.num_marked} as not; its mark means: higher than both baseline and control.",
        f"Of the {found.num_marked} gains, {found.small_gains[3]} are of 3 points or less, {found.small_gains[5]} of 5 "
        f"or less, {found.small_gains[10]} of 10 or less. One training run a row; the sizes of the test sets are not "
        "published.",
        f"For {len(found.judged)} marked rows the size can be inferred ({unknown} cannot be checked). {len(alone)} "
        f"of them pass a one-sided test at 5 %, taken one by one: rows {_listed(alone)}.",
        f"Judged together, {len(together)} remain if no claim at all may be false (Holm): rows {_listed(together)}; "
        f"{len(discovered)} if one in ten may be (Benjamini and Hochberg): rows {_listed(discovered)}.",
        "The tests know the questions' chance only: training noise is not published for these rows, and paired answers "
        "would make them sharper. A mark without a test says that a number was higher, not that composing helped.",
    ]


def as_json(found: Recount) -> dict[str, Any]:
    """The same as plain JSON."""
    return {
        "source": SOURCE,
        "num_rows": len(found.rows),
        "num_marked": found.num_marked,
        "num_rule": found.num_rule,
        "num_judged": len(found.judged),
        "factor": found.factor,
        "significant": list(found.significant()),
        "significant_holm": list(found.significant_together()),
        "discovered_bh": list(found.discovered()),
    }


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) if numbers else "none"
