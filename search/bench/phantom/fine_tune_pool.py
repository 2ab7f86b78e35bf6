"""Runs many phantom fine-tunes, one core each; keeps what has finished, so that the same call goes on from there."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from datasets_spec.atomic import replace_text
from datasets_spec.errors import UserError
from search.bench.phantom.fine_tunes import PhantomTrial, run_phantom_trial


def run_phantom_trials(
    trials: Sequence[PhantomTrial],
    file: Path,
    *,
    num_workers: int,
    on_event: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Run trials in worker processes; those that the file holds already are not run again.

    Args:
        trials: what to run; equal specs are run once.
        file: JSON lines, one a finished trial, appended as they finish.
        num_workers: processes, one core each.
        on_event: gets lines of progress.

    Returns:
        The results in the order of ``trials``, under the arms and folders that these name.

    Raises:
        UserError: the file is damaged, or a fine-tune failed; what had finished is in the file.
    """
    say = on_event or (lambda line: None)
    done = read_results(file)
    wanted = {trial.identity: trial for trial in trials}
    missing = [trial for identity, trial in wanted.items() if identity not in done]
    say(f"{len(missing)} fine-tunes to run, {len(wanted) - len(missing)} are there already")
    if missing:
        file.parent.mkdir(parents=True, exist_ok=True)
        done.update(_run_missing(missing, file, num_workers, say))
    # Weights are known by their content and arms by their sources: names and folders may have changed since.
    return [{**done[trial.identity], "arm": trial.arm, "base": trial.base} for trial in trials]


def _run_missing(
    missing: Sequence[PhantomTrial], file: Path, num_workers: int, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    done: dict[str, dict[str, Any]] = {}
    started = time.monotonic()
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited by the workers
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context, initializer=be_quiet) as pool, file.open("a") as sink:
        pending = {pool.submit(run_phantom_trial, trial): trial for trial in missing}
        try:
            for number, future in enumerate(as_completed(pending), start=1):
                result = future.result()
                done[result["identity"]] = result
                sink.write(json.dumps(result) + "\n")
                sink.flush()
                if number % 20 == 0 or number == len(missing):
                    left_s = (time.monotonic() - started) / number * (len(missing) - number)
                    say(f"{number} of {len(missing)} fine-tunes, about {left_s / 60:.0f} min left")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # or the queue would be worked off for nothing
            raise
    return done


def be_quiet() -> None:
    """Keep progress bars and notices of the model library out of a worker's output."""
    import warnings

    from transformers.utils import logging

    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def read_results(file: Path) -> dict[str, dict[str, Any]]:
    """Finished trials by identity; a last line that a killed run left half written is dropped.

    Raises:
        UserError: another line is no JSON.
    """
    if not file.is_file():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
        replace_text(file, "".join(lines))
    results = {}
    for number, line in enumerate(lines, start=1):
        try:
            result = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{file}:{number}: not a finished fine-tune", hint="remove the line; it is run again"
            ) from error
        results[result["identity"]] = result
    return results
