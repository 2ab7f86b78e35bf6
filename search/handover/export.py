"""One folder that trains: rows, images, settings, adapter and cards of a selection, for one trainer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from datasets_spec.errors import UserError
from datasets_spec.storage.place import Place
from search.handover.cards.adapter_card import adapter_card
from search.handover.cards.croissant import croissant, write_croissant
from search.handover.cards.dataset_card import dataset_card
from search.handover.cards.licences import combine
from search.handover.formats import axolotl, llama_factory, ms_swift, transformers_script, trl
from search.handover.rows import TrainingRow, collect_rows
from search.handover.selection import Selection, open_its_store, read_selection
from search.handover.settings import ADAPTER_DIR, BASE_DIR, Settings, settings_of
from search.study.run_dir import RunDir
from trainers.backbone_spec import PHANTOM_DIR

TrainerName = Literal["llama-factory", "ms-swift", "axolotl", "trl", "hf"]
DATA_FILES = ("train.json*", "data/train*")
TRAINER_NAMES: tuple[str, ...] = get_args(TrainerName)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainer:
    """A trainer that a selection can be written for.

    Attributes:
        title: its name and the release that the format was read in.
        command: what trains, in the folder.
        write: writes rows and settings; returns what the reader must know.
    """

    title: str
    command: str
    write: Callable[[Path, Selection, Sequence[TrainingRow], Settings], list[str]]


TRAINERS = {
    "llama-factory": Trainer(
        title="LLaMA-Factory 0.9.5", command=llama_factory.COMMAND, write=llama_factory.write_llama_factory
    ),
    "ms-swift": Trainer(title="ms-swift 4.6", command=ms_swift.COMMAND, write=ms_swift.write_ms_swift),
    "axolotl": Trainer(title="Axolotl 0.19", command=axolotl.COMMAND, write=axolotl.write_axolotl),
    "trl": Trainer(title="TRL 1.16", command=trl.COMMAND, write=trl.write_trl),
    "hf": Trainer(
        title="transformers, peft and datasets", command=transformers_script.COMMAND, write=transformers_script.write_hf
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """What was written."""

    num_rows: int
    num_images: int
    command: str
    notes: tuple[str, ...]


def export_selection(run_dir: RunDir, folder: Path, trainer_name: str, store_dir: Place | None = None) -> Export:
    """Write a finished study's selection for a trainer.

    Args:
        run_dir: the study directory.
        folder: where to; must not exist, or be empty.
        trainer_name: one of `TRAINER_NAMES`.
        store_dir: where the data are, if they are no longer where the study had them.

    Raises:
        UserError: no such trainer, no selection, no data, no configuration of the backbone, or the folder is not empty.
    """
    if trainer_name not in TRAINERS:
        raise UserError(f"no trainer '{trainer_name}'", hint=f"trainers: {', '.join(TRAINER_NAMES)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty and stays as it is", hint="choose a new folder")
    selection = read_selection(run_dir)
    trainer = TRAINERS[trainer_name]
    store, settings = open_its_store(selection, run_dir, store_dir), settings_of(selection)
    rows = collect_rows(selection, store, folder, settings.boxes)
    notes = trainer.write(folder, selection, rows, settings)
    if selection.backbone.is_shipped:
        shutil.copytree(PHANTOM_DIR, folder / BASE_DIR)
    elif Path(selection.backbone.model).is_absolute():
        notes.append(f"The backbone is a folder of the study's machine ({selection.backbone.model}); bring it along.")
    if selection.adapter is None:
        notes.append("The study has not kept the adapter of its selection (`execution.keep_adapters`).")
    else:
        shutil.copytree(selection.adapter, folder / ADAPTER_DIR)
        _name_base(folder / ADAPTER_DIR, selection)
    terms = combine(
        {entry.subset: selection.study.facts.subsets[entry.subset].licence for entry in selection.mix.subsets}
    )
    if selection.adapter is not None:
        (folder / ADAPTER_DIR / "README.md").write_text(adapter_card(selection, terms), encoding="utf-8")
    files = sorted(path.relative_to(folder).as_posix() for pattern in DATA_FILES for path in folder.glob(pattern))
    write_croissant(croissant(selection, terms, folder, files), folder)
    card = dataset_card(selection, terms, len(rows), has_parquet=any(name.endswith(".parquet") for name in files))
    notes += terms.conflicts
    num_images = sum(len(row.images) for row in rows)
    (folder / "README.md").write_text(_readme(selection, trainer, rows, notes, card), encoding="utf-8")
    return Export(num_rows=len(rows), num_images=num_images, command=trainer.command, notes=tuple(notes))


def _name_base(adapter: Path, selection: Selection) -> None:
    """The shipped backbone is on no hub: the adapter names the copy beside it."""
    if selection.backbone.is_shipped:
        path = adapter / "adapter_config.json"
        config = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": f"./{BASE_DIR}"}
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _readme(
    selection: Selection, trainer: Trainer, rows: Sequence[TrainingRow], notes: Sequence[str], card: str
) -> str:
    """The card of the data set, with how to train on it behind its head."""
    head, sections = card.split("\n---\n", 1)
    recipe = selection.recipe
    passes = recipe.num_steps * recipe.batch_size / max(1, len(rows))
    lines = [
        head,
        "---",
        "",
        f"# The selection of {selection.study.spec.name} for {trainer.title}",
        "",
        "Run in this folder:",
        "",
        f"```sh\n{trainer.command}\n```",
        "",
        f"{len(rows)} rows of {len(selection.mix.subsets)} subsets, in the order in which the study's fine-tune with "
        f"seed {selection.seed} first saw them; no other row, and none twice. {recipe.num_steps} steps of "
        f"{recipe.batch_size} rows pass over them {passes:.1f} times. The study draws a new order for every pass; "
        "here each pass has the first one's.",
        "",
        "Questions, options and answers are worded as the study asked them, and the loss counts answers only.",
    ]
    if selection.adapter is not None:
        loads = f"PeftModel.from_pretrained(base, '{ADAPTER_DIR}')"
        lines += ["", f"`{ADAPTER_DIR}` holds the study's own fine-tune: `{loads}`."]
    lines += ["", *(f"- {note}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n" + sections
