"""Trials of other studies: what is the same training is not trained again, and what they found is known here.

The same training is the same `train_id`: backbone, rows in their order, recipe, seed, number format and device. A study
over another store, backbone or number of steps has nothing in common with this one, and nothing is taken from it.
Weights are copied into this study, so that it stays whole when the other is deleted; scores that they lack (a target
that is new) are added by scoring, without training.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from datasets_spec.atomic import sync
from search.engine.study_run import StudyRun
from search.engine.trial_factory import PlannedTrial, TrialFactory
from search.ledger.records import REUSED_ARM, Kind, finished_of
from search.space.composition import Composition
from search.study.run_dir import RunDir, RunFile
from search.vocabulary import Stage
from trainers.recipe import Recipe
from trainers.trial.folder import finished_result, scores_without_weights
from trainers.trial.spec import TrialSpec


def run_reused(run: StudyRun) -> None:
    """Take over every trial of the studies named in `reuse` that is a training of this one, and add missing scores.

    After the first proposal nothing more is taken: the other study may have grown meanwhile, and a search that goes on
    must know what it knew.
    """
    if run.ledger.records(Kind.suggestion):
        return
    for folder in run.study.reused_runs:
        found = list(
            trials_in_common(
                folder,
                run.factory,
                run.spec.space.composition.available,
                run.train_rows,
                fresh_seeds=run.spec.confirm.fresh_seeds if run.spec.confirm.enabled else (),
            )
        )
        for planned in found:
            adopt(planned.spec, [folder], run.run_dir)
        run.run_list(found)
        run.decide(f"reuse: {len(found)} trials of {folder.name} are the same training as here")


def trials_in_common(
    folder: RunDir,
    factory: TrialFactory,
    sources: Sequence[str],
    num_rows: Mapping[str, int],
    *,
    fresh_seeds: Sequence[int] = (),
) -> Iterator[PlannedTrial]:
    """Yield the finished trials of another study that this one could have run, each once.

    Args:
        folder: the other study's run folder.
        factory: of this study; a trial is in common when it gives it the identity that it has there.
        sources: whose trials are looked at.
        num_rows: training rows of every subset here.
        fresh_seeds: seeds of this study's confirmation: what was trained with them must guide no search.

    Raises:
        LedgerError: the folder holds no readable ledger.
    """
    records = finished_of(folder.read_records())
    seen: set[str] = set()
    for record in records:
        composition = record["composition"]
        within = all(s in sources and count <= num_rows.get(s, 0) for s, count in composition.items())
        if not composition or not within or record["train_id"] in seen or record["seed"] in fresh_seeds:
            continue
        spec = _spec_here(record, factory)
        if spec is None or finished_result(folder / RunFile.trials / spec.folder_name, spec.train_id) is None:
            continue
        seen.add(spec.train_id)
        yield PlannedTrial(spec=spec, stage=Stage.reused, arm=REUSED_ARM, reason=f"trained in {folder.name}")


def _spec_here(record: Mapping[str, Any], factory: TrialFactory) -> TrialSpec | None:
    """The trial as this study would run it, if that is the same training."""
    try:
        recipe = Recipe.model_validate(record["recipe"])
    except ValidationError:
        return None  # of a version with other hyper-parameters
    spec = factory.spec(Composition(record["composition"]), recipe, record["seed"], ("search",))
    return spec if spec.train_id == record["train_id"] else None


def adopt(spec: TrialSpec, folders: Sequence[RunDir], run_dir: RunDir) -> bool:
    """Copy a finished trial from another study; True when this study has it now, from there or of its own.

    The copy is complete before it gets its name: a kill leaves nothing that could be taken for a trial.

    Args:
        spec: of the trial.
        folders: run folders of other studies.
        run_dir: this study's.
    """
    final = run_dir / RunFile.trials / spec.folder_name
    if finished_result(final, spec.train_id) is not None:
        return True
    if scores_without_weights(final, spec.train_id) is not None:  # reports rest on them
        return False
    for folder in folders:
        source = folder / RunFile.trials / spec.folder_name
        if finished_result(source, spec.train_id) is None:
            continue
        working = final.parent / f".{spec.folder_name}.reused"
        shutil.rmtree(working, ignore_errors=True)
        shutil.copytree(source, working)
        for file in sorted(working.rglob("*")):
            sync(file)
        shutil.rmtree(final, ignore_errors=True)  # a failed attempt of the same trial
        working.rename(final)
        sync(final.parent)
        return True
    return False
