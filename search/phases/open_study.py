"""Opens a study: data, ledger, engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from datasets_spec.catalog.divided_tests import divided_tests_line
from datasets_spec.errors import UserError
from datasets_spec.store.answer_kinds import has_words
from search.designs.registry import build_rows
from search.engine.gpu_memory import fit_to_cards
from search.engine.kept_adapters import KeptAdapters
from search.engine.outage import OutageWatch
from search.engine.recorder import Recorder
from search.engine.setup import build_engine
from search.engine.study_run import OpenStudy, StudyRun
from search.engine.trial_factory import TrialFactory
from search.ledger.ledger import Ledger
from search.ledger.records import trials_of
from search.ledger.tries import to_try_again
from search.planning.cost import stop_when_line
from search.study.foreign_catalog import foreign_catalog_warning
from search.study.needed_rows import needed_rows
from search.study.requirements import require_rows
from search.study.run_dir import RunDir, RunFile, claim_run_dir
from search.study.sections.execution import ExecutionSection
from search.study.source_rows import source_rows_lines, with_rows
from search.study.spec import StudySpec
from search.study.study import Study
from trainers.backbone_spec import BackboneSpec

if TYPE_CHECKING:
    from datasets_spec.store.store import Store
    from trainers.executors.resources import TrialResources


Say = Callable[[str], None]


@contextmanager
def open_run(
    study: Study,
    run_dir: RunDir,
    *,
    say: Say,
    on_record: Callable[[Mapping[str, Any]], None],
    on_running: Callable[[int], None],
    on_slots: Callable[[Mapping[str, Any]], None] = lambda state: None,
    on_store: Callable[[Store], None] = lambda store: None,
    accept_loss: bool,
    allow_mismatch: bool = False,
) -> Iterator[StudyRun]:
    """Prepare the data, load rows and open the ledger; Ray must be connected.

    Raises:
        UserError: the data cannot be prepared, a target has too few rows, or the directory is another study's.
    """
    from trainers.backbone.backbone import backbone_fingerprint
    from trainers.executors.backbone_on_nodes import place_backbone
    from trainers.trial.folder import remove_dead_attempts

    spec = study.spec
    backbone = study.located(spec.backbone).resolved(gpus_per_worker=spec.execution.gpus_per_worker)
    fingerprint = backbone_fingerprint(backbone)
    store = _prepared_store(study, say)
    on_store(store)
    require_rows(study, store.count)
    study = with_rows(study, store.count)
    spec = study.spec
    in_words = _scores_words(spec, store)
    identity = study_identity(spec, backbone, store=store.fingerprint, weights=fingerprint, has_words=in_words)
    claim_run_dir(run_dir, spec, identity)
    # As long as the study runs, no other study's preparation removes the rows that its workers read.
    with store, Ledger.open(run_dir / RunFile.ledger, writer=True, accept_loss=accept_loss) as ledger:
        remove_dead_attempts(run_dir / RunFile.trials)
        if ledger.recovered_tail_bytes:
            say(f"ledger: cut off {ledger.recovered_tail_bytes} bytes of a record that was being written")
        if again := len(to_try_again(ledger.records())):
            say(f"{again} trials failed in an earlier run, and are tried again where they are still wanted")
        opened = OpenStudy(
            study=study,
            run_dir=run_dir,
            store=store,
            backbone=backbone,
            factory=TrialFactory(study, store, backbone, fingerprint),
            ledger=ledger,
            recorder=_recorder(spec, run_dir, ledger, on_record),
            resources=_trial_resources(spec.execution),
            needed_rows=needed_rows(spec, store.count, _design_arms(study, store)),
            say=say,
            on_running=on_running,
            on_slots=on_slots,
            allow_mismatch=allow_mismatch,
        )
        _record_decisions(opened)
        place_backbone(backbone, fingerprint)
        with _running(fit_to_cards(opened)) as run:
            yield run


def _recorder(
    spec: StudySpec, run_dir: RunDir, ledger: Ledger, on_record: Callable[[Mapping[str, Any]], None]
) -> Recorder:
    """What writes records, each of which lets adapters go that are not kept, and may end a study in an outage."""
    kept = KeptAdapters(spec, run_dir)
    kept.see_all(trials_of(ledger.records()))
    outage = OutageWatch(spec.execution.num_slots)

    def told(record: Mapping[str, Any]) -> None:
        kept.see(record)
        on_record(record)
        outage.see(record)

    return Recorder(run_dir, ledger, told)


def _prepared_store(study: Study, say: Say) -> Store:
    from datasets_spec.prepare.prepare_store import prepare_store
    from datasets_spec.store.store import open_store

    prepared = prepare_store(
        study.catalog,
        study.store_dir,
        seed=study.spec.seed,
        quarantine_limit=study.spec.quarantine_limit,
        on_event=say,
    )
    store = open_store(study.store_dir)
    if store.manifest.generation != prepared.manifest.generation:
        raise UserError(
            f"{study.store_dir} was prepared with other settings while this study began",
            hint="give every study its own `store`, or start this one again",
        )
    say(f"data: {'up to date' if prepared.was_current else 'prepared'} in {study.store_dir}")
    return store


def _record_decisions(opened: OpenStudy) -> None:
    study = opened.study
    opened.decide(_backbone_decision(study.spec.backbone, opened.backbone))
    if (warning := foreign_catalog_warning(study)) is not None:
        opened.decide(f"WARNING: {warning}")
    if (line := divided_tests_line(study.catalog, study.spec.eval_sets)) is not None:
        opened.decide(line)
    if (line := stop_when_line(study.spec)) is not None:
        opened.decide(line)
    for line in source_rows_lines(study):
        opened.decide(line)


@contextmanager
def _running(opened: OpenStudy) -> Iterator[StudyRun]:
    """An engine for as long as the block runs; how the block ends decides how the engine does."""
    engine = build_engine(opened)
    try:
        yield opened.with_engine(engine)
        engine.close()
        engine.wait_ended()
    except KeyboardInterrupt:
        engine.hand_over()
        raise  # the cluster ends with its slots; what has finished is recorded
    except BaseException:
        try:
            engine.hand_over()  # what runs is saved rather than finished: nodes are paid while the user hears nothing
        finally:
            engine.close()
        raise


def _design_arms(study: Study, store: Store) -> list[Mapping[str, int]]:
    """The compositions that the study's design trains on; none without a design."""
    if study.spec.design is None:
        return []
    rows = build_rows(study, {name: store.count(name, "train") for name in study.catalog.names})
    return [arm.composition for row in rows for arm in row.arms if arm.composition]


def _scores_words(spec: StudySpec, store: Store) -> bool:
    """Whether any question that the study scores is answered in words."""
    asked = ((name, split) for split in ("search", "confirm", "sealed") for name in spec.sets_on(split))
    return any(has_words(store, name, split) for name, split in asked if store.count(name, split))


def study_identity(
    spec: StudySpec, backbone: BackboneSpec, *, store: str, weights: str, has_words: bool
) -> dict[str, str]:
    """Return what a study stands on besides its spec, by name.

    Trainer and scorer are named where they give other weights and scores than their first versions, which said nothing
    of themselves.

    Args:
        spec: the study.
        backbone: resolved.
        store: fingerprint of the data.
        weights: fingerprint of the backbone.
        has_words: whether any question that is scored is answered in words.
    """
    from trainers.trial.spec import scorer_version, trainer_version

    versions = {
        "trainer": trainer_version(backbone, spec.widest_recipe),
        "scorer": scorer_version(has_words=has_words),
    }
    later = {name: str(version) for name, version in versions.items() if version > 1}
    return {"store": store, "backbone": weights, **later}


def _trial_resources(execution: ExecutionSection) -> TrialResources:
    from trainers.executors.resources import TrialResources

    return TrialResources(
        num_workers=execution.num_workers,
        cpus_per_worker=execution.cpus_per_worker,
        gpus_per_worker=execution.gpus_per_worker,
        num_threads=execution.num_threads,
        max_failures=execution.max_failures,
    )


def _backbone_decision(asked: BackboneSpec, resolved: BackboneSpec) -> str:
    def why(value: str) -> str:
        return (
            ""
            if value != "auto"
            else " (chosen: " + ("a GPU is asked for" if resolved.device == "cuda" else "no GPU") + ")"
        )

    threads = os.environ.get("OMP_NUM_THREADS")
    note = f", OMP_NUM_THREADS={threads}" if threads else ""
    return (
        f"backbone {asked.model}: device {resolved.device}{why(asked.device)}, "
        f"numbers {resolved.dtype}{why(asked.dtype)}{note}"
    )
