"""The folder of a trial: written so that what exists under its name is complete."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from datasets_spec.atomic import replace_file, sync
from datasets_spec.errors import RecombineError
from trainers.trial.result import TrialResult

# What trials own in a study directory: their folders, and what may be deleted at any time.
TRIALS_DIR = "trials"
CACHE_DIR = "cache"
RESULT_FILE = "trial.json"
ADAPTER_DIR = "adapter"


class TrialStoreError(RecombineError):
    """A trial folder does not hold what its result says."""


def outcomes_file(split: str) -> str:
    """Return the file name of a split's outcomes; every split has its own, so `sealed` is written on its own."""
    return f"outcomes-{split}.parquet"


def write_outcomes(folder: Path, split: str, outcomes: Any) -> None:
    """Write an outcomes table (`trainers.scoring.outcome.OUTCOME_SCHEMA`) atomically, with page checksums."""
    import pyarrow.parquet as pq

    replace_file(
        folder / outcomes_file(split), lambda temporary: pq.write_table(outcomes, temporary, write_page_checksum=True)
    )


def read_outcomes(folder: Path, splits: Sequence[str] = ("search", "confirm", "sealed")) -> Any:
    """Return all outcomes of a trial as one Arrow table; checksums are verified."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [folder / outcomes_file(split) for split in splits]
    tables = [pq.read_table(f, page_checksum_verification=True) for f in files if f.is_file()]
    if not tables:
        raise TrialStoreError(f"{folder} holds no outcomes")
    return pa.concat_tables(tables, promote_options="default")  # columns are added from version to version


def begin_attempt(trials_dir: Path, folder_name: str, attempt: str) -> Path:
    """Return an empty working folder beside the final one."""
    folder = trials_dir / f".{folder_name}.{attempt}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def remove_dead_attempts(trials_dir: Path) -> None:
    """Remove the working folders that killed attempts left; only for the one driver that holds the study."""
    for leftover in trials_dir.glob(".*"):
        shutil.rmtree(leftover, ignore_errors=True)


def commit_attempt(working: Path, final: Path, result: TrialResult) -> None:
    """Publish a finished attempt: result written last, everything synced, then one rename.

    A folder with the final name is therefore a finished trial, even if the machine died right after.
    """
    earlier = scores_without_weights(final, result.train_id)
    if earlier is not None:
        _add_to_scores(working, final, result, earlier)
        return
    _write_result(working, result)
    for file in sorted(working.rglob("*")):
        sync(file)
    sync(working)
    if final.exists():  # a failed earlier attempt of the same trial
        shutil.rmtree(final)
    working.rename(final)
    sync(final.parent)


def commit_first_failure(working: Path, final: Path, result: TrialResult) -> None:
    """Publish why one of several workers failed, unless something of the trial is published: the first knows why."""
    _write_result(working, result)
    try:
        working.rename(final)
    except OSError:  # there is such a folder
        shutil.rmtree(working)
        return
    sync(final.parent)


def remove_adapter(folder: Path) -> None:
    """Remove a finished trial's weights and keep its scores; safe to call again after a kill.

    The result says so first: a folder without weights whose result asks for them would be damaged.
    """
    result = read_result(folder)
    if not result.adapter_removed:
        temporary = folder / f".{RESULT_FILE}"
        _write_result(folder, result.model_copy(update={"adapter_removed": True}), temporary.name)
        temporary.replace(folder / RESULT_FILE)
        sync(folder)
    shutil.rmtree(folder / ADAPTER_DIR, ignore_errors=True)


def scores_without_weights(final: Path, train_id: str) -> TrialResult | None:
    """Return the result of a finished trial whose weights were removed; for further scores it is trained again."""
    try:
        result = read_result(final)
    except TrialStoreError:
        return None
    is_it = result.status == "finished" and result.train_id == train_id and result.adapter_removed
    return result if is_it else None


def _add_to_scores(working: Path, final: Path, result: TrialResult, earlier: TrialResult) -> None:
    """Put weights that were trained again, and their scores, to scores that are there; a failure changes nothing.

    The ledger and the reports rest on the earlier scores: at no moment is the folder without them.
    """
    if result.status != "finished":
        shutil.rmtree(working)
        return
    scored = {evaluation.score_id for evaluation in result.evaluations}
    kept = [evaluation for evaluation in earlier.evaluations if evaluation.score_id not in scored]
    for new in sorted(working.glob("outcomes-*.parquet")):
        split = new.stem.removeprefix("outcomes-")
        if (final / new.name).is_file():
            before, scores = (read_outcomes(folder, [split]) for folder in (final, working))
            write_outcomes(working, split, joined_outcomes(before, scores))
    shutil.rmtree(final / ADAPTER_DIR, ignore_errors=True)
    if (working / ADAPTER_DIR).is_dir():
        (working / ADAPTER_DIR).rename(final / ADAPTER_DIR)
    commit_scores(working, final, result.model_copy(update={"evaluations": (*kept, *result.evaluations)}))


def joined_outcomes(before: Any, new: Any) -> Any:
    """Return the outcomes of one split; those of evaluation sets that were scored again replace the earlier ones."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = before.filter(pc.invert(pc.is_in(before["eval_set"], new["eval_set"].unique())))
    return pa.concat_tables([kept, new], promote_options="default")


def commit_scores(working: Path, final: Path, result: TrialResult) -> None:
    """Publish further scores of finished weights, file by file, the result last; the weights are never touched.

    Replacing the whole folder would leave a moment in which a kill loses a finished trial.
    """
    _write_result(working, result)
    for split_file in sorted(working.glob("outcomes-*.parquet")):
        split_file.replace(final / split_file.name)
    (working / RESULT_FILE).replace(final / RESULT_FILE)
    sync(final)
    shutil.rmtree(working)


def read_result(folder: Path) -> TrialResult:
    """Return a trial's result.

    Raises:
        TrialStoreError: the result is missing or the adapter is not the one that was recorded.
    """
    try:
        result = TrialResult.model_validate_json((folder / RESULT_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise TrialStoreError(f"{folder} holds no readable {RESULT_FILE}: {type(error).__name__}") from error
    is_whole = result.adapter_sha256 is None or adapter_sha256(folder) == result.adapter_sha256
    if not is_whole and not result.adapter_removed:
        raise TrialStoreError(f"the adapter in {folder} is not the one that was trained (sha256 differs)")
    return result


def finished_result(folder: Path, train_id: str) -> TrialResult | None:
    """Return the verified result of weights that are there, or None."""
    try:
        result = read_result(folder)
    except TrialStoreError:
        return None
    has_weights = result.status == "finished" and not result.adapter_removed
    return result if has_weights and result.train_id == train_id else None


def scored_result(folder: Path, train_id: str, score_ids: Set[str]) -> TrialResult | None:
    """Return what has ended with all the scores that are asked for, its weights there or not, or None.

    A trial that ended otherwise was not scored to the end, and needs no scores to be returned.
    """
    if not (folder / RESULT_FILE).is_file():
        return None
    try:
        result = read_result(folder)
    except TrialStoreError:
        return None  # a damaged folder is no result: the trial runs again and replaces it
    lacks_scores = result.status == "finished" and not score_ids <= {e.score_id for e in result.evaluations}
    return None if lacks_scores or result.train_id != train_id else result


def adapter_sha256(folder: Path) -> str | None:
    """Return the hash of the adapter's weights, or None when there is none."""
    path = folder / ADAPTER_DIR / "adapter_model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _write_result(folder: Path, result: TrialResult, name: str = RESULT_FILE) -> None:
    path = folder / name
    path.write_text(json.dumps(result.model_dump(mode="json"), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sync(path)


def attempt_name() -> str:
    """Return a name that no other attempt on this machine has."""
    return f"{os.getpid()}-{time.time_ns()}"
