"""The files that carry results, and the list of their hashes, which is a record of the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from search.ledger.ledger import LOCK_FILE, RECORDS_FILE, Ledger
from search.ledger.records import Kind, Record, of_kind
from search.study.run_dir import RunDir, RunFile

# What is in a study directory and no result. The ledger's own file is guarded by checksums and its chain; backbones
# are studies of their own, each with its ledger.
NO_RESULTS = (
    f"{RunFile.cache}/*",
    f"{RunFile.ledger}/{RECORDS_FILE}*",
    f"{RunFile.ledger}/{LOCK_FILE}",
    f"{RunFile.backbones}/*",
    f"{RunFile.top_up}",  # what is still to be trained: it is asked for after the results are written
    "*.log",
    ".*",
    "*/.*",
)
# Whatever else lies in these folders was not written by the study: nothing there may be without a hash.
ONLY_RESULTS = (RunFile.trials, RunFile.report, "selection", "inputs")


def result_files(run_dir: RunDir) -> list[str]:
    """The files that carry results, relative to the study directory, sorted."""
    names = (path.relative_to(run_dir.root).as_posix() for path in run_dir.root.rglob("*") if path.is_file())
    return sorted(name for name in names if not any(fnmatch(name, pattern) for pattern in NO_RESULTS))


def file_sha256(path: Path) -> str:
    """The hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listed_hashes(records: Iterable[Record]) -> dict[str, str]:
    """The hashes that the ledger lists, by file: each list names what changed since the one before."""
    known: dict[str, str] = {}
    for record in of_kind(records, Kind.results):
        known |= record["files"]
        for name in record["removed"]:
            known.pop(name, None)
    return dict(sorted(known.items()))


def record_hashes(run_dir: RunDir, ledger: Ledger) -> None:
    """List the hashes of a study's results in its ledger; nothing is written when the last list still holds.

    Args:
        run_dir: the study directory.
        ledger: its ledger, open for writing.
    """
    records = ledger.records()
    known = listed_hashes(records)
    found = {name: file_sha256(run_dir / name) for name in result_files(run_dir)}
    changed = {name: digest for name, digest in found.items() if known.get(name) != digest}
    removed = sorted(known.keys() - found.keys())
    is_listed = bool(records) and records[-1]["kind"] == Kind.results
    if changed or removed or not is_listed:
        ledger.append({"kind": Kind.results.value, "files": changed, "removed": removed})
