"""A tiny study on disk: catalog, study file, prepared store and finished trials, made without a cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from datasets_spec.sample import SPLITS, arrow_schema
from datasets_spec.store.manifest import PartFile, StoreManifest, SubsetCounts, write_manifest
from datasets_spec.store.store import Store, open_store
from search.engine.trial_factory import PlannedTrial, TrialFactory
from search.space.composition import Composition
from search.study.load_study import load_study
from search.study.study import Study
from search.vocabulary import Stage
from tests.makers.on_disk import on_disk
from trainers.trial.folder import adapter_sha256, begin_attempt, commit_attempt
from trainers.trial.result import Evaluation, TrialResult, TrialStatus

SUBSETS: dict[str, tuple[str, str, str, str]] = {
    "ct-lung": ("CT", "lung", "nodule", "none"),
    "ct-brain": ("CT", "brain", "bleed", "none"),
    "mr-brain": ("MR", "brain", "tumor", "none"),
    "ct-brain-new": ("CT", "brain", "bleed", "none"),  # the key of ct-brain
    "mr-lung": ("MR", "lung", "nodule", "none"),
    "us-heart": ("US", "heart", "valve", "none"),
    "xr-hand": ("X-ray", "hand", "fracture", "none"),
    "mr-brain-time": ("MR", "brain", "tumor", "temporal"),
}
NUM_ROWS = {"train": 12, "search": 4, "confirm": 4, "sealed": 4}
STUDY: dict[str, Any] = {
    "name": "tiny",
    "catalog": "catalog.yaml",
    "targets": ["mr-lung"],
    "control_sources": ["us-heart", "xr-hand"],
    "space": {
        "composition": {"sources": ["ct-lung", "ct-brain", "mr-brain"], "num_samples": [4, 8], "budget": 16},
        "recipe": {"learning_rate": {"kind": "log_uniform", "low": 0.001, "high": 0.01}},
    },
    "recipe": {"num_steps": 4, "batch_size": 4},
    "strategy": {"name": "random", "num_trials": 6},
    "confirm": {"num_finalists": 1, "seeds": [101]},
}


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The study with values at dotted paths replaced; None removes."""
    study = deepcopy(STUDY)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = study
        for name in parents:
            place = place.setdefault(name, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return study


def write_study(root: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """Write catalog and study file (no data) and return the study file."""
    subsets = [
        {"name": n, "modality": m, "area": a, "task": t, "ability": b, "format": "med_mat", "pool": [f"{n}.json"]}
        for n, (m, a, t, b) in SUBSETS.items()
    ]
    root.mkdir(parents=True, exist_ok=True)
    (root / "catalog.yaml").write_text(yaml.safe_dump({"name": "tiny", "subsets": subsets}), encoding="utf-8")
    path = root / "study.yaml"
    path.write_text(yaml.safe_dump(changed(changes or {}), sort_keys=False), encoding="utf-8")
    return path


def open_study(root: Path, changes: Mapping[str, Any] | None = None) -> Study:
    """The written study, loaded as a user's is."""
    return load_study(write_study(root, changes))


def store_row(
    subset: str, split: str, order: int, images: Sequence[bytes] = (b"",), *, in_words: bool = False
) -> dict[str, Any]:
    sample = f"{subset}/{split}#{order}"
    own = {"options": [], "answer_index": -1, "answer_kind": "open", "label": "open"} if in_words else {}
    return {
        "sample_id": sample, "subset": subset, "split": split, "order": order, "question": "which ?",
        "options": ["yes", "no"], "answer": "yes", "answer_index": 0, "answer_kind": "closed", "label": "yes",
        "images": list(images), "image_hashes": [""] * len(images), "group": None,
        "row_hash": hashlib.sha256(sample.encode()).hexdigest(), "flags": [], **own,
    }  # fmt: skip


def write_store(
    study: Study,
    num_rows: Mapping[str, int] | None = None,
    *,
    images: Sequence[bytes] = (b"",),
    num_patients: int | None = None,
    in_words: Collection[str] = (),
) -> Store:
    """Write `num_rows` of every split of every subset, all with these images; a subset may have its own number.

    With `num_patients` a split's rows are theirs in turn, each with images of its own. The first row of each split of
    the subsets `in_words` is answered in words.
    """
    numbers = {**NUM_ROWS, **(num_rows or {})}
    counts: dict[str, SubsetCounts] = {}
    for name in study.catalog.names:
        splits = {split: numbers.get(f"{name}/{split}", numbers[split]) for split in SPLITS}
        files = {
            split: _write_part(
                on_disk(study.store_dir),
                name,
                split,
                n,
                images,
                num_patients=num_patients,
                num_words=int(name in in_words),
            )
            for split, n in splits.items()
            if n
        }
        counts[name] = SubsetCounts(
            key=study.catalog.subset(name).key,
            read=sum(splits.values()),
            kept=sum(splits.values()),
            splits=splits,
            partition_fingerprints={split: f"{name}/{split}" for split in SPLITS},
            files={split: (part,) for split, part in files.items()},
        )
    manifest = StoreManifest(
        catalog_name="tiny", task_map="identity", seed=0, fingerprint="f", inputs_fingerprint="i", generation="g",
        subsets=counts,
    )  # fmt: skip
    write_manifest(study.store_dir, manifest)
    return open_store(study.store_dir)


def _write_part(
    store_dir: Path,
    name: str,
    split: str,
    num_rows: int,
    images: Sequence[bytes],
    *,
    num_patients: int | None,
    num_words: int,
) -> PartFile:
    path = store_dir / "data" / f"{name}-{split}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [store_row(name, split, order, images, in_words=order < num_words) for order in range(num_rows)]
    if num_patients is not None:
        for order, row in enumerate(rows):
            row |= {"group": f"{order % num_patients:x}", "image_hashes": [f"{order}"] * len(images)}
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema()), path, write_page_checksum=True)
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return PartFile(path=str(path.relative_to(store_dir)), num_rows=num_rows, num_bytes=len(data), sha256=digest)


def make_factory(root: Path, changes: Mapping[str, Any] | None = None) -> TrialFactory:
    """A factory of the study's trials over a store without a real picture in it."""
    study = open_study(root, changes)
    backbone = study.spec.backbone.resolved(gpus_per_worker=0)
    return TrialFactory(study, write_store(study), backbone, "weights")


def plan_trial(factory: TrialFactory, composition: Mapping[str, int], **place: Any) -> PlannedTrial:
    """A trial of the study, in the search unless said otherwise."""
    recipe, splits = place.pop("recipe", None), place.pop("splits", ("search",))
    spec = factory.spec(Composition(composition), recipe or default_recipe(), place.pop("seed", 0), splits)
    fields: dict[str, Any] = {"stage": Stage.search, "arm": "proposal-0", "proposal_index": 0} | place
    return PlannedTrial(spec=spec, **fields)


def default_recipe() -> Any:
    from trainers.recipe import Recipe

    return Recipe.model_validate(STUDY["recipe"])


def evaluations_of(planned: PlannedTrial, accuracy: float) -> tuple[Evaluation, ...]:
    """Scores of everything that was asked for."""
    return tuple(
        Evaluation(
            score_id=planned.spec.score_id(request), eval_set=request.eval_set, split=request.split,
            exposure=request.exposure, n=100, correct=round(100 * accuracy), accuracy=accuracy,
            generation_correct=None, generation_accuracy=None, invalid=0, eval_s=0.1,
        )
        for request in planned.spec.evaluations
    )  # fmt: skip


def trial_result(planned: PlannedTrial, *, accuracy: float = 0.5, status: TrialStatus = "finished") -> TrialResult:
    is_finished = status == "finished"
    return TrialResult(
        train_id=planned.spec.train_id, status=status, num_train_samples=sum(planned.spec.composition.values()),
        num_steps=planned.spec.recipe.num_steps, train_s=2.0, startup_s=1.0,
        evaluations=evaluations_of(planned, accuracy) if is_finished else (), adapter_sha256=None,
        error=None if is_finished else "DivergedError: the loss is nan at step 2",
    )  # fmt: skip


def finish_trial(
    run_dir: Path, planned: PlannedTrial, *, accuracy: float = 0.5, status: TrialStatus = "finished"
) -> Path:
    """Publish a trial's folder as a worker does; return it."""
    working = begin_attempt(run_dir / "trials", planned.spec.folder_name, "1")
    (working / "adapter").mkdir()
    (working / "adapter" / "adapter_model.safetensors").write_bytes(b"weights of " + planned.spec.train_id.encode())
    result = trial_result(planned, accuracy=accuracy, status=status)
    final = run_dir / "trials" / planned.spec.folder_name
    commit_attempt(working, final, result.model_copy(update={"adapter_sha256": adapter_sha256(working)}))
    return final
