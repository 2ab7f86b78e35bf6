"""The fine-tunes that are measured: phantom compositions as a search has them, the same for every side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from datasets_spec.phantom.demo import DEMO_SOURCES, DEMO_TARGETS
from search.bench.phantom.rows import make_rows
from search.engine.nested import NestedEngine
from search.engine.pooled import PooledEngine
from search.engine.recorder import Recorder
from search.engine.trial_factory import PlannedTrial
from search.engine.trial_sources import ListSource
from search.ledger.ledger import Ledger
from search.study.run_dir import RunDir
from search.vocabulary import Stage
from tests.makers.table_rows import TableRows, shared_rows
from trainers.backbone.backbone import backbone_fingerprint
from trainers.backbone_spec import BackboneSpec
from trainers.executors.pool import SlotPool
from trainers.executors.resources import TrialResources
from trainers.executors.slot import SlotConfig
from trainers.prompts.encoder import example_from_row
from trainers.recipe import Recipe
from trainers.rows.encoded_blocks import EncodedBlocks
from trainers.rows.encoded_table import encoded_table
from trainers.rows.stored_rows import StoredRows
from trainers.trial.spec import EvalRequest, TrialSpec

NUM_ROWS, NUM_QUESTIONS = 240, 120
BACKBONE = BackboneSpec().resolved(gpus_per_worker=0)


def composition(number: int) -> dict[str, int]:
    """Two to four of the demo's sources, in an order that repeats late."""
    size = 2 + number % 3
    return {DEMO_SOURCES[(number * 3 + 5 * i) % len(DEMO_SOURCES)]: (120, NUM_ROWS)[i % 2] for i in range(size)}


def trial_spec(number: int, *, num_steps: int = 80, num_targets: int = 2, **recipe: Any) -> TrialSpec:
    """The fine-tune of a number, scored on `num_targets` targets."""
    return TrialSpec(
        backbone=BACKBONE,
        backbone_fingerprint=backbone_fingerprint(BACKBONE),
        composition=composition(number),
        rows_digest=f"bench-{number}",
        recipe=Recipe(num_steps=num_steps, learning_rate=(2e-3, 5e-3)[number % 2], **recipe),
        seed=number,
        evaluations=tuple(
            EvalRequest(eval_set=t, split="search", fingerprint=t, exposure="held_out")
            for t in DEMO_TARGETS[:num_targets]
        ),
    )


def table_of(subset: str, split: str) -> pa.Table:
    """Rows of a subset as the store has them."""
    num = NUM_ROWS if split == "train" else NUM_QUESTIONS
    rows = make_rows(subset, seed=0, split=split, num=num)
    return rows.append_column("split", pa.array([split] * num)).append_column("order", pa.array(range(num)))


def places() -> list[tuple[str, str]]:
    """Every (subset, split) that trials read."""
    return [(s, "train") for s in DEMO_SOURCES] + [(t, "search") for t in DEMO_TARGETS]


def raw_rows() -> TableRows:
    """The rows, each with its images."""
    return TableRows(tables={place: table_of(*place) for place in places()})


def encoded_blocks() -> EncodedBlocks:
    """The same rows with tokens and vision features, in Ray's object store."""
    from trainers.backbone.backbone import load_backbone
    from trainers.rows.encoded_samples import encode_samples

    backbone, parts = load_backbone(BACKBONE), {}
    for place in places():
        rows = table_of(*place)
        examples = [example_from_row(row) for row in rows.to_pylist()]
        parts[place] = shared_rows(encoded_table(rows, encode_samples(backbone, examples, with_features=True)))
    return EncodedBlocks(parts=parts)


@dataclass(kw_only=True)
class Side:
    """One executor with a study directory of its own.

    Attributes:
        name: as the table calls it.
        run_dir: its study directory.
        engine: what runs the trials.
    """

    name: str
    run_dir: Path
    engine: Any

    def run(self, specs: Sequence[TrialSpec]) -> None:
        """Run trials to their end."""
        self.engine.run(
            ListSource(
                PlannedTrial(spec=spec, stage=Stage.single, arm=f"single:{i}-{spec.train_id[:8]}")
                for i, spec in enumerate(specs)
            )
        )


@contextmanager
def nested_side(rows: StoredRows) -> Any:
    """Two nested trials at a time."""
    with TemporaryDirectory(prefix="bench-") as folder, Ledger.open(Path(folder) / "ledger", writer=True) as ledger:
        run_dir = Path(folder)
        engine = NestedEngine(
            Recorder(RunDir(run_dir), ledger, lambda record: None),
            run_dir=RunDir(run_dir),
            rows=rows,
            resources=TrialResources(),
            max_concurrent=2,
            on_running=lambda number: None,
        )
        try:
            yield Side(name="nested", run_dir=run_dir, engine=engine)
        finally:
            engine.close()


@contextmanager
def pooled_side(
    rows: Any,
    *,
    num_slots: int = 2,
    pack: int | None = 1,
    name: str = "pooled",
    on_rung: Callable[[PlannedTrial, int, Mapping[str, str]], bool] = lambda planned, step, correct: True,
    decide: Callable[[str], None] = lambda line: None,
) -> Any:
    """Slots that lease packs of `pack` trials (None: as measured)."""
    with TemporaryDirectory(prefix="bench-") as folder, Ledger.open(Path(folder) / "ledger", writer=True) as ledger:
        run_dir = Path(folder)

        def make_config(slot: str, broker: Any) -> SlotConfig:
            return SlotConfig(
                name=slot, broker=broker, backbone=BACKBONE, rows=rows, run_dir=run_dir, num_threads=1,
                measure=trial_spec(0) if pack is None else None, max_pack=16, checkpoint_s=60.0,
            )  # fmt: skip

        def make_pool() -> SlotPool:
            return SlotPool(
                slots=[TrialResources()] * num_slots, make_config=make_config,
                storage=str(run_dir / "cache" / "train"), say=decide,
            )  # fmt: skip

        engine = PooledEngine(
            Recorder(RunDir(run_dir), ledger, lambda record: None),
            make_pool=make_pool,
            run_dir=RunDir(run_dir),
            pack=pack,
            is_deterministic=False,
            on_rung=on_rung,
            on_running=lambda number: None,
            decide=decide,
        )
        try:
            yield Side(name=name, run_dir=run_dir, engine=engine)
        finally:
            engine.close()
