"""Builds a study's engine: which executor, what rows it needs, how many slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search.engine.interface import Engine
from search.engine.rungs import RungBook
from search.engine.study_run import EngineSetup
from search.engine.trial_factory import PlannedTrial
from search.space.composition import Composition
from search.study.spec import choose_executor

if TYPE_CHECKING:
    from trainers.executors.pool import Pool
    from trainers.rows.encoded_blocks import SampleRows
    from trainers.rows.row_blocks import RowBlocks

# Shared blocks may take this share of Ray's object store; the rest is for Ray Data's own work and what trials read.
STORE_SHARE = 0.5
IMAGES_OF_ABILITY = 2  # Med-MIM's questions have two images mostly; a few have more


def build_engine(setup: EngineSetup) -> Engine:
    """Choose the executor, load the rows and return an engine that has not started anything else."""
    from trainers.rows.row_blocks import load_row_blocks

    name, why = choose_executor(setup.spec)
    setup.decide(f"executor: {name} ({why})")
    if name == "pooled":
        return _pooled(setup)
    from search.engine.nested import NestedEngine

    return NestedEngine(
        setup.recorder,
        run_dir=setup.run_dir,
        rows=load_row_blocks(setup.store, setup.partitions),
        resources=setup.resources,
        max_concurrent=setup.spec.execution.max_concurrent,
        on_running=setup.on_running,
    )


def _pooled(setup: EngineSetup) -> Engine:
    from search.engine.pooled import PooledEngine

    spec, execution = setup.spec, setup.spec.execution
    rows = _pooled_rows(setup)
    book = RungBook(setup.ledger, spec)

    def on_rung(planned: PlannedTrial, step: int, correct: Mapping[str, str]) -> bool:
        return book.goes_on(planned, step, correct)

    return PooledEngine(
        setup.recorder,
        make_pool=lambda: _make_pool(setup, rows),
        run_dir=setup.run_dir,
        pack=None if execution.pack == "auto" else execution.pack,
        is_deterministic=spec.deterministic,
        on_rung=on_rung,
        on_running=setup.on_running,
        decide=setup.decide,
    )


def _pooled_rows(setup: EngineSetup) -> RowBlocks | SampleRows:
    """Encode the study's rows once where they fit; else load them as they are."""
    from trainers.rows.encoded_blocks import load_encoded_rows
    from trainers.rows.row_blocks import load_row_blocks

    with_features, why = _choose_features(setup)
    setup.decide(f"vision features: {'computed once a study' if with_features else 'by every trial'} ({why})")
    if not with_features:
        return load_row_blocks(setup.store, setup.partitions)
    execution = setup.spec.execution
    return load_encoded_rows(
        setup.store,
        setup.partitions,
        setup.backbone,
        with_features=True,
        num_encoders=execution.max_concurrent,
        num_threads=execution.num_threads,
        gpus_per_encoder=execution.gpus_per_worker,
    )


def _choose_features(setup: EngineSetup) -> tuple[bool, str]:
    import ray

    from trainers.rows.encoded_blocks import estimated_feature_bytes

    spec, asked = setup.spec, setup.spec.execution.vision_features
    searched = spec.space.recipe.dimensions.get("lora_modules")
    modules = {spec.recipe.lora_modules, *map(str, (searched.options() if searched else None) or ())}
    if any("projector" in name for name in modules):
        return False, "a recipe trains the projector"
    if asked != "auto":
        return asked, "asked for"
    needed = _num_images(setup) * estimated_feature_bytes(setup.backbone)
    room = STORE_SHARE * ray.cluster_resources().get("object_store_memory", 0.0)
    size = f"about {needed / 2**30:.2f} GiB; {room / 2**30:.2f} GiB of the object store may be used"
    return needed <= room, size


def _num_images(setup: EngineSetup) -> int:
    """Return about how many images the partitions hold."""
    total = 0
    for subset, split in setup.partitions:
        is_single = setup.study.catalog.subset(subset).key.ability == "none"
        total += setup.store.count(subset, split) * (1 if is_single else IMAGES_OF_ABILITY)
    return total


def _make_pool(setup: EngineSetup, rows: RowBlocks | SampleRows) -> Pool:
    from trainers.executors.pool import Pool
    from trainers.executors.slot import SlotConfig

    spec, execution = setup.spec, setup.spec.execution
    source = spec.space.composition.allowed[0]
    measure = setup.factory.spec(Composition({source: 1}), spec.recipe, spec.seed, ())
    is_measured = execution.pack == "auto" and execution.num_workers == 1

    def make_config(name: str, broker: Any) -> SlotConfig:
        return SlotConfig(
            name=name,
            broker=broker,
            backbone=setup.backbone,
            rows=rows,
            run_dir=setup.run_dir.absolute(),
            num_threads=execution.num_threads,
            measure=measure if is_measured else None,
            max_pack=execution.max_pack,
            checkpoint_s=execution.checkpoint_s,
        )

    return Pool(
        num_slots=execution.max_concurrent,
        resources=setup.resources,
        make_config=make_config,
        storage=str(setup.run_dir.absolute() / "cache" / "train"),
        say=setup.say,
    )
