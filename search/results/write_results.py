"""Writes what a study found: tables, selection, run.json and report, what they are computed from, and all hashes."""

from __future__ import annotations

from pathlib import Path

from datasets_spec.store.store import Store, open_store
from search.evidence.inputs.recorded_study import read_recorded, record_study
from search.ledger.ledger import Ledger
from search.report.write import write_report
from search.results.compute_results import compute_results
from search.results.hash_list import record_hashes
from search.study.run_dir import RunDir, RunFile, require_results_of
from search.study.study import Study


def write_results(
    study: Study,
    run_dir: RunDir,
    store: Store | None = None,
    ledger: Ledger | None = None,
    *,
    is_flat: bool = False,
) -> Path:
    """Write tables, selection, run.json and report from ledger and outcomes; return the report's path.

    Args:
        study: the study.
        run_dir: its directory.
        store: its data, where they are open; by default what the store holds now.
        ledger: its ledger, where it is open for writing.
        is_flat: whether to write the page without scripts, too.

    Raises:
        UserError: the directory is another study's, or the store holds other rows than it was trained on.
        LedgerLockedError: after all files are written: the study runs, and will list their hashes when it ends.
    """
    store = store or open_store(study.store_dir)
    require_results_of(run_dir, study.spec, store.fingerprint)
    record_study(study, store, run_dir, run_dir.read_records())
    compute_results(read_recorded(run_dir), run_dir)
    page = write_report(run_dir, is_flat=is_flat)
    if ledger is not None:
        record_hashes(run_dir, ledger)
    else:
        with Ledger.open(run_dir / RunFile.ledger, writer=True, is_run=False) as noting:
            record_hashes(run_dir, noting)
    return page
