"""Reads the per-question outcomes of a study's trials from their folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from search.evidence.outcomes import OutcomesLoader
from search.study.score import ScoreSection, with_marks

if TYPE_CHECKING:
    import pandas as pd


def outcomes_loader(run_dir: Path, score: ScoreSection) -> OutcomesLoader:
    """Return a loader that takes a record's `trial_dir`, relative to the study directory.

    Args:
        run_dir: the study directory.
        score: what a question counts for.
    """

    def load(trial_dir: str) -> pd.DataFrame:
        from trainers.trial.folder import read_outcomes

        frame: pd.DataFrame = read_outcomes(run_dir / trial_dir).to_pandas()
        return with_marks(frame, score)

    return load
