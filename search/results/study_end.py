"""Whether the study of a directory is over: its end on record, its report written, on every backbone it is run on."""

from __future__ import annotations

from collections.abc import Sequence

from search.ledger.records import ENDS, Kind, Record, of_kind, trials_of
from search.study.run_dir import RunDir, RunFile


def has_ended(records: Sequence[Record]) -> bool:
    """Whether the study of a ledger is over; one that goes on afterwards has opened its ledger again.

    What is added later has an end of its own; where nothing was, it is over again when its results are listed.
    """
    last = next((r["kind"] for r in reversed(records) if r["kind"] in (*ENDS, Kind.writer)), None)
    return bool(of_kind(records, Kind.ended)) and last != Kind.writer


def final_page(run_dir: RunDir) -> RunFile:
    """What is written last: the report, or the comparison of a study that is run on several backbones."""
    return RunFile.backbones_markdown if (run_dir / RunFile.backbones).is_dir() else RunFile.page


def parts_of(run_dir: RunDir) -> list[RunDir]:
    """The directories that have a ledger of their own: one a backbone, where the study is run on several."""
    folder = run_dir / RunFile.backbones
    if not folder.is_dir():
        return [run_dir]
    several = [run_dir.of_backbone(path.name) for path in sorted(folder.iterdir()) if path.is_dir()]
    return [run_dir, *several] if (run_dir / RunFile.ledger).is_dir() or not several else several


def missing_end(run_dir: RunDir) -> str | None:
    """What a directory lacks of a study that is over, in words; None where nothing is missing.

    Args:
        run_dir: the study directory; there may be none.

    Raises:
        LedgerError: a ledger is damaged.
    """
    for place in parts_of(run_dir):
        if not (place / RunFile.ledger).is_dir():
            return f"{place} holds no study that was begun"
        records = place.read_records()
        if not of_kind(records, Kind.ended):
            return f"the ledger of {place} has no end of the study on record, after {len(trials_of(records))} trials"
        if not has_ended(records):
            return f"the study of {place} went on after its end, and that has not ended"
        if not (place / RunFile.page).is_file():
            return f"{place / RunFile.page} is missing"
    page = run_dir / final_page(run_dir)
    return None if page.is_file() else f"{page} is missing: not every backbone of the study was run to its end"
