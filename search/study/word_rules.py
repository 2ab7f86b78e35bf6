"""By which rules studies compared answers in words."""

from __future__ import annotations

from collections.abc import Sequence

from search.ledger.ledger import RECORDS_FILE
from search.study.run_dir import RunDir, RunFile, read_identity

SCORER_KEY = "scorer"  # of a study's identity
FIRST_RULES = "1"  # a study that went by them says nothing of them, nor does one that scores no words


def word_rules(run_dirs: Sequence[RunDir]) -> list[str | None]:
    """By which version of the rules each study compared answers in words; None where it has compared none.

    Where no study names a later version than the first, nothing is looked up, and all are None.

    Args:
        run_dirs: the study directories.

    Raises:
        UserError: the file of a study is damaged.
        LedgerError: the ledger of a study is damaged.
    """
    named = [read_identity(run_dir).get(SCORER_KEY) for run_dir in run_dirs]
    if not any(named):
        return named
    return [
        rules or (FIRST_RULES if _scored_words(run_dir) else None)
        for rules, run_dir in zip(named, run_dirs, strict=True)
    ]


def _scored_words(run_dir: RunDir) -> bool:
    if not (run_dir / RunFile.ledger / RECORDS_FILE).is_file():
        return False
    scores = (score for record in run_dir.read_trials() for score in record.get("evaluations") or ())
    return any("open" in (score.get("free_answers") or {}) for score in scores)
