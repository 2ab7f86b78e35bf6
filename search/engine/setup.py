"""Builds a study's engine: which executor, what rows it needs, how many slots."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from datasets_spec.errors import UserError
from search.engine.interface import Engine
from search.engine.rungs import RungBook
from search.engine.study_run import OpenStudy
from search.engine.trial_factory import PlannedTrial
from search.ledger.records import Kind
from search.space.composition import Composition, share_out
from search.study.run_dir import RunFile
from trainers.rows.stored_rows import StoredRows

if TYPE_CHECKING:
    from search.study.spec import StudySpec
    from trainers.executors.pool import SlotPool
    from trainers.executors.resources import TrialResources
    from trainers.rows.encoded_blocks import SampleRows

# Shared blocks may take this share of Ray's object store; the rest is for Ray Data's own work and what trials read.
STORE_SHARE = 0.5
_LONGEST_NAME = 40  # of a study, and of a target: Train makes a folder of the whole, and a name there ends at 255 bytes
_ONCE, _BY_EVERY_TRIAL = "computed once a study", "by every trial"  # in the ledger: the next start reads them
_DECISION = re.compile(rf"vision features: (?P<way>{_ONCE}|{_BY_EVERY_TRIAL}) \((?P<why>.*)\)", re.DOTALL)
MEASURED_ROWS = 64  # that packs are measured with: a step's and more of most recipes


def build_engine(opened: OpenStudy) -> Engine:
    """Choose the executor, load the rows and return an engine that has not started anything else."""
    execution = opened.spec.execution
    name, why = execution.chosen_executor
    opened.decide(f"executor: {name} ({why})")
    one_trial = [opened.resources] * execution.max_concurrent * max(1, execution.num_workers)
    require_slots(opened, slots_of(opened) if name == "pooled" else one_trial)
    if name == "pooled":
        return _pooled(opened)
    from cluster.nodes.room import may_start_nodes
    from cluster.nodes.same_versions import node_comparer
    from search.engine.nested import NestedEngine

    return NestedEngine(
        opened.recorder,
        run_dir=opened.run_dir,
        rows=StoredRows(store=opened.store),
        resources=opened.resources,
        max_concurrent=opened.spec.execution.max_concurrent,
        on_running=opened.on_running,
        say=opened.say,
        label=shown_name(opened.spec),
        # In local mode a trial is a process of Tune's: its place goes with it, and Train asks for none.
        nodes_go=execution.num_workers > 0 and may_start_nodes(),
        other_versions=node_comparer(allow_patch=opened.allow_mismatch),
    )


def shown_name(spec: StudySpec) -> str:
    """Return what the dashboard shows before phases, trials and slots: the study and its first target, of how many."""
    first, *others = spec.eval_sets
    more = f"-and-{len(others)}-more" if others else ""
    return f"{spec.name[:_LONGEST_NAME]}-{first[:_LONGEST_NAME]}{more}"


def require_slots(opened: OpenStudy, slots: Sequence[TrialResources]) -> None:
    """Say which slots must wait for nodes.

    Raises:
        ClusterError: no node can hold one, and none that could will come.
    """
    from cluster.nodes.room import require_room
    from trainers.executors.resources import worker_resources

    for resources, number in Counter(slots).items():
        if waiting := require_room(worker_resources(resources), number):
            opened.say(waiting)


def slots_of(opened: OpenStudy) -> list[TrialResources]:
    """Return what each slot occupies, in the order of the study's file."""
    execution, usual = opened.spec.execution, opened.resources
    shapes = [
        replace(
            usual,
            cpus_per_worker=shape.cpus or usual.cpus_per_worker,
            gpus_per_worker=shape.gpus or usual.gpus_per_worker,
            accelerator=shape.accelerator,
        )
        for shape in execution.slots
        for _ in range(shape.count)
    ]
    return shapes or [usual] * execution.max_concurrent


def _pooled(opened: OpenStudy) -> Engine:
    from search.engine.pooled import PooledEngine

    spec, execution = opened.spec, opened.spec.execution
    book = RungBook(opened.ledger, spec)

    def on_rung(planned: PlannedTrial, step: int, correct: Mapping[str, str]) -> bool:
        return book.goes_on(planned, step, correct)

    return PooledEngine(
        opened.recorder,
        # Rows are encoded then, too: a study with nothing left to train encodes nothing.
        make_pool=lambda: _make_pool(opened, _pooled_rows(opened)),
        run_dir=opened.run_dir,
        pack=None if execution.pack == "auto" else execution.pack,
        is_deterministic=spec.deterministic,
        on_rung=on_rung,
        on_running=opened.on_running,
        decide=opened.decide,
    )


def _pooled_rows(opened: OpenStudy) -> StoredRows | SampleRows:
    """Encode the study's rows once where they fit and mean the same; else trials read them as they are.

    Raises:
        UserError: features were asked for and cannot be kept.
    """
    from trainers.rows.encoded_blocks import load_encoded_rows
    from trainers.rows.kept_features import FeaturesNotKeptError

    earlier = _earlier_way(opened)
    with_features, why = _choose_features(opened, earlier)
    if with_features:
        execution, slots = opened.spec.execution, slots_of(opened)
        try:
            rows = load_encoded_rows(
                opened.store,
                opened.needed_rows,
                opened.backbone,
                num_encoders=len(slots),
                num_threads=execution.num_threads,
                gpus_per_encoder=min(slot.gpus_per_worker for slot in slots),  # there is room for all at a time
            )
        except FeaturesNotKeptError as error:
            if execution.vision_features != "auto":
                hint = "set `execution.vision_features: auto` or `false`"
                raise UserError(f"execution.vision_features: {error}", hint=hint) from error
            with_features, why = False, str(error)
        else:
            _decide_features(opened, _ONCE, why, earlier)
            return rows
    _decide_features(opened, _BY_EVERY_TRIAL, why, earlier)
    return StoredRows(store=opened.store)


def _earlier_way(opened: OpenStudy) -> tuple[str, str] | None:
    """Return how an earlier start of the study came by its vision features, and why; None without one."""
    said = [re.fullmatch(_DECISION, record["text"]) for record in opened.ledger.records(Kind.decision)]
    ways = [(match["way"], match["why"]) for match in said if match]
    return ways[-1] if ways else None


def _decide_features(opened: OpenStudy, way: str, why: str, earlier: tuple[str, str] | None) -> None:
    opened.decide(f"vision features: {way} ({why})")
    if earlier is not None and way != earlier[0]:
        opened.decide(
            f"WARNING: vision features are {way} from here on, and were {earlier[0]} before: "
            "trials before and after may differ in their last digits"
        )


def _room() -> float:
    """Return how many bytes of the object store shared rows may take."""
    import ray

    return float(STORE_SHARE * ray.cluster_resources().get("object_store_memory", 0.0))


def _choose_features(opened: OpenStudy, earlier: tuple[str, str] | None) -> tuple[bool, str]:
    spec, asked = opened.spec, opened.spec.execution.vision_features
    searched = spec.space.recipe.dimensions.get("lora_modules")
    modules = {spec.recipe.lora_modules, *map(str, (searched.options() if searched else None) or ())}
    if any("projector" in name for name in modules):
        return False, "a recipe trains the projector"
    if asked != "auto":
        return asked, "asked for"
    if earlier is not None and earlier[0] == _BY_EVERY_TRIAL:
        return False, earlier[1]
    needed = _feature_bytes(opened)
    if needed > _room():
        _await_room(opened, needed, is_kept=earlier is not None)
    room = _room()
    size = f"about {needed / 2**30:.2f} GiB; {room / 2**30:.2f} GiB of the object store may be used"
    return needed <= room, size


def _await_room(opened: OpenStudy, needed: float, *, is_kept: bool) -> None:
    """Where nodes come by need, let those of the slots come first: the head alone has little room.

    A deterministic study whose trials had kept features waits for room for them until all slots have a place.
    """
    from cluster.nodes.room import LATER_S, await_nodes, may_start_nodes
    from trainers.executors.resources import why_none_placed, worker_resources

    if not may_start_nodes():
        return
    opened.say("vision features: the nodes that are there have no room for them; those of the slots are asked for")
    waits = is_kept and opened.spec.deterministic
    if waits:
        opened.say(f"vision features: {_ONCE} so far, and `deterministic: true` waits for room for them")
    slots = slots_of(opened)
    await_nodes(
        [worker_resources(slot) for slot in slots],
        is_enough=lambda: needed <= _room(),
        say=opened.say,
        why_none=lambda: f"{why_none_placed(slots)}; with `execution.vision_features=false` it is not waited for here",
        later_s=math.inf if waits else LATER_S,
    )


def _feature_bytes(opened: OpenStudy) -> float:
    """Return about how many bytes the kept features of the rows take that trials may read.

    Raises:
        UserError: the backbone's processor cannot be loaded.
    """
    import torch

    from trainers.backbone.backbone import configuration_of, load_encoder
    from trainers.rows.sampled_sizes import sample_sizes

    sizes = sample_sizes(load_encoder(opened.backbone), opened.store, opened.needed_rows)
    if sizes is None:
        return 0.0
    hidden_size = int(configuration_of(opened.backbone).get_text_config().hidden_size)
    itemsize = getattr(torch, opened.backbone.dtype).itemsize
    return sum(opened.needed_rows.values()) * sizes.feature_bytes(hidden_size=hidden_size, itemsize=itemsize)


def measured_composition(needed: Mapping[tuple[str, str], int]) -> Composition:
    """Return what packs are measured with: rows of all sources, as long as those of the study's trials."""
    sources = {name: number for (name, split), number in needed.items() if split == "train" and number}
    return share_out(sources, min(MEASURED_ROWS, sum(sources.values())))


def _make_pool(opened: OpenStudy, rows: StoredRows | SampleRows) -> SlotPool:
    from cluster.nodes.room import may_start_nodes
    from cluster.nodes.same_versions import node_comparer
    from trainers.executors.broker import SPARE_S
    from trainers.executors.pool import SlotPool
    from trainers.executors.slot import SlotConfig
    from trainers.rows.encoded_blocks import EncodedBlocks

    spec, execution = opened.spec, opened.spec.execution
    measure = opened.factory.spec(measured_composition(opened.needed_rows), spec.recipe, spec.seed, ())
    is_measured = execution.pack == "auto" and execution.num_workers == 1
    other_versions = node_comparer(allow_patch=opened.allow_mismatch)

    def make_config(name: str, broker: Any) -> SlotConfig:
        return SlotConfig(
            name=name,
            broker=broker,
            backbone=opened.backbone,
            rows=rows,
            run_dir=opened.run_dir.root.absolute(),
            num_threads=execution.num_threads,
            measure=measure if is_measured else None,
            max_pack=execution.max_pack,
            checkpoint_s=execution.checkpoint_s,
            other_versions=other_versions,
            backbone_fingerprint=measure.backbone_fingerprint,
        )

    return SlotPool(
        slots=slots_of(opened),
        make_config=make_config,
        storage=str(opened.run_dir.absolute() / RunFile.cache / "train"),
        say=opened.say,
        label=shown_name(spec),
        on_state=opened.on_slots,
        num_away=rows.num_away if isinstance(rows, EncodedBlocks) else lambda: 0,
        spare_s=SPARE_S if may_start_nodes() else None,
    )
