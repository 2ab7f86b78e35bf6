"""The selection of a finished study, with all that it takes to train it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_spec.errors import StoreError, UserError
from datasets_spec.storage.place import Place, below
from datasets_spec.store.store import Store, open_store
from search.evidence.inputs.recorded_study import RecordedStudy, read_recorded
from search.evidence.mix_file import Mix, load_mix
from search.ledger.records import Record, finished_of, of_arm
from search.study.run_dir import RunDir, RunFile
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe
from trainers.trial.folder import ADAPTER_DIR


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What a study selected.

    Attributes:
        study: what is recorded of it.
        mix: the rows.
        backbone: of the study; a folder by its absolute path.
        recipe: of the recommended fine-tune.
        seed: of the fine-tune whose adapter is handed over; it decides the order of rows.
        adapter: its folder; None where the study has not kept it.
        content: `selection.json`.
        run: `run.json`.
    """

    study: RecordedStudy
    mix: Mix
    backbone: BackboneSpec
    recipe: Recipe
    seed: int
    adapter: Path | None
    content: Mapping[str, Any]
    run: Mapping[str, Any]

    @property
    def target_modules(self) -> str | None:
        """The regular expression of the layers that were adapted, as PEFT takes it; None without the adapter."""
        if self.adapter is None:
            return None
        config = json.loads((self.adapter / "adapter_config.json").read_text(encoding="utf-8"))
        return str(config["target_modules"])


def read_selection(run_dir: RunDir) -> Selection:
    """Read the selection of a finished study.

    Args:
        run_dir: its directory.

    Raises:
        UserError: there is no selection, or it was written by a version before.
    """
    path = run_dir / RunFile.selection
    if not path.is_file():
        raise UserError(f"{run_dir} has no selection yet", hint="`recombine run STUDY` goes on to it")
    content = json.loads(path.read_text(encoding="utf-8"))
    study = read_recorded(run_dir)
    trained = [r for r in finished_of(of_arm(run_dir.read_trials(), content["arm"])) if r.get("composition")]
    with_weights = [record for record in trained if _adapter_of(run_dir, record) is not None]
    chosen = min(with_weights or trained, key=lambda record: int(record["seed"]))
    return Selection(
        study=study,
        mix=load_mix(run_dir / RunFile.mix),
        backbone=study.spec.backbone.located(run_dir.root.resolve() / study.facts.study_dir),
        recipe=Recipe.model_validate(chosen["recipe"]),
        seed=int(chosen["seed"]),
        adapter=_adapter_of(run_dir, chosen),
        content=content,
        run=json.loads((run_dir / RunFile.run).read_text(encoding="utf-8")),
    )


def _adapter_of(run_dir: RunDir, record: Record) -> Path | None:
    folder = run_dir / str(record["trial_dir"]) / ADAPTER_DIR
    return folder if (folder / "adapter_config.json").is_file() else None


def open_its_store(selection: Selection, run_dir: RunDir, store_dir: Place | None) -> Store:
    """Open the data that a selection names rows of.

    Args:
        selection: the selection.
        run_dir: the study directory.
        store_dir: where the data are, if they are no longer where the study had them.

    Raises:
        UserError: there is no store, or it holds other rows.
    """
    place = store_dir or below(run_dir.root, selection.study.facts.store_dir)
    try:
        store = open_store(place)
    except StoreError as error:
        raise UserError(
            f"the data of the study are not in {place}: {error}", hint="name their folder with --store"
        ) from error
    if selection.mix.store_fingerprint != store.fingerprint:
        raise UserError(
            f"{place} holds other rows ({store.fingerprint[:12]}) than the selection names "
            f"({selection.mix.store_fingerprint[:12]})",
            hint="prepare the data as they were, or select again",
        )
    return store
