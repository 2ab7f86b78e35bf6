"""Merges of the phantom's single-source fine-tunes, scored without training: the proxy of the table of known truth."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets_spec.canonical import content_hash
from search.bench.phantom.fine_tunes import PhantomTrial, phantom_backbone, score_phantom, train_phantom, training_rows

MERGE_ARM = "merge"


def merge_identity(trial: PhantomTrial) -> str:
    """Hash of all that decides a merge's scores: its parts' fine-tunes, equally weighted, and the questions."""
    return content_hash({"merge": sorted(_single(trial, source).identity for source in trial.sources)})


def run_phantom_merges(
    trials: Iterable[PhantomTrial], file: Path, *, on_event: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Train every source of the trials alone, merge the adapters as each trial composes them, and score the merges.

    Args:
        trials: compositions; they are not trained. All of one base, seed and set of targets.
        file: results so far, one JSON object a line; what is there is not scored again. The single sources' adapters
            are kept in a folder beside it.
        on_event: gets lines of progress.

    Returns:
        The fields of each trial, its merge's identity and ``correct``, as `run_phantom_trial` has them.
    """
    from search.bench.phantom.fine_tune_pool import be_quiet, read_results
    from trainers.backbone.adapters import load_adapter
    from trainers.backbone.merge_adapters import merge_adapters

    be_quiet()

    wanted = {merge_identity(trial): trial for trial in trials}
    done = read_results(file)
    missing = {identity: trial for identity, trial in wanted.items() if identity not in done}
    on_event(f"{len(missing)} merges to score, {len(wanted) - len(missing)} are there already")
    folder = file.with_suffix(".adapters")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, file.open("a") as sink:
        for number, (identity, trial) in enumerate(missing.items(), start=1):
            adapters = [_adapter(_single(trial, source), folder) for source in trial.sources]
            weights = [1 / len(trial.sources)] * len(trial.sources)
            clock = time.process_time()
            merge = merge_adapters(adapters, weights, Path(scratch) / MERGE_ARM)
            merged = load_adapter(phantom_backbone(trial.base), merge)
            try:
                correct = score_phantom(trial, merged)
            finally:
                merged.unload()
            score_s = round(time.process_time() - clock, 3)
            result = {"arm": MERGE_ARM, "identity": identity, "sources": list(trial.sources), "seed": trial.seed}
            done[identity] = result | {"correct": correct, "cpu_s": {"score": score_s}}
            sink.write(json.dumps(done[identity]) + "\n")
            sink.flush()
            if number % 20 == 0 or number == len(missing):
                on_event(f"{number} of {len(missing)} merges")
    return [done[identity] for identity in wanted]


def _single(trial: PhantomTrial, source: str) -> PhantomTrial:
    """The fine-tune of one source alone; what it is scored on is part of the merge's identity."""
    return replace(trial, sources=(source,))


def _adapter(single: PhantomTrial, folder: Path) -> Path:
    """The folder of a single source's adapter, trained if it is not there; complete as soon as it has its name."""
    from trainers.backbone.adapters import save_adapter
    from trainers.backbone_spec import BackboneSpec

    final = folder / single.identity[:16]
    if not final.is_dir():
        working = folder / f".{final.name}"
        model = train_phantom(single, training_rows(single))
        save_adapter(model, working, BackboneSpec(model=single.base))
        model.unload()
        working.rename(final)
    return final
