"""What a plan goes by: rows, finished trials and the rows of a design, each read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.designs.registry import build_rows
from search.designs.rows import DesignRow
from search.evidence.outcomes import Outcomes, outcomes_of
from search.ledger.ledger import LedgerError
from search.ledger.records import Record
from search.study.run_dir import RunDir
from search.study.study import Study, row_counts, train_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanFacts:
    """What is known of a study before it runs, or while it does.

    Attributes:
        counts: rows by subset and split; empty before the data are prepared.
        design_rows: of a study with a design; none for one that searches.
        trials: the records of its trials; none before it began.
        outcomes: of their questions.
    """

    counts: Mapping[str, Mapping[str, int]]
    design_rows: Sequence[DesignRow]
    trials: Sequence[Record]
    outcomes: Outcomes

    @property
    def design_arms(self) -> list[Mapping[str, int]]:
        """The compositions that the design trains on."""
        return [arm.composition for row in self.design_rows for arm in row.arms if arm.composition]


def read_facts(study: Study, run_dir: RunDir) -> PlanFacts:
    """Read what a plan of this study goes by.

    Args:
        study: the study.
        run_dir: its directory, which may not exist.

    Raises:
        UserError: the sources allow no row of the study's design.
    """
    counts = row_counts(study)
    try:
        trials: Sequence[Record] = run_dir.read_trials()
    except LedgerError:
        trials = ()
    return PlanFacts(
        counts=counts,
        design_rows=() if study.spec.design is None else build_rows(study, train_rows(study, counts)),
        trials=trials,
        outcomes=outcomes_of(run_dir, study.spec.score),
    )
