"""Which of a study's questions come from few patients: what a plan says it sees is said of questions of many."""

from __future__ import annotations

from datasets_spec.errors import StoreError
from datasets_spec.store.clusters import few_clusters, set_clusters
from datasets_spec.store.manifest import read_manifest
from datasets_spec.store.store import Store, open_store
from search.study.spec import StudySpec
from search.study.study import Study


def few_patients_lines(study: Study) -> list[str]:
    """A line for each evaluation set and split that verdicts rest on whose patients, or images, are few.

    Args:
        study: the study; nothing is said before its data are prepared, or where they cannot be read: its start says so.
    """
    manifest = read_manifest(study.store_dir)
    if manifest is None:
        return []
    splits = _judged_splits(study.spec)
    lines = []
    try:
        with open_store(study.store_dir) as store:
            clusters = {split: _clusters(store, study, split) for split in splits}
    except StoreError:
        return []
    for name in study.spec.objective_sets:
        for split in splits:
            numbers = clusters[split].get(name, [])
            count = few_clusters(numbers)
            if count is not None:
                lines.append(
                    f"the {len(numbers)} questions of {name} on {split} come from patients, or images, that count as "
                    f"{count:.3g}: " + ("they show no difference" if count <= 1 else "they see less than that")
                )
    return lines


def _judged_splits(spec: StudySpec) -> tuple[str, ...]:
    if spec.design is not None:
        return (spec.design.split,)
    if not spec.confirm.enabled:
        return ()
    return ("confirm", "sealed") if spec.confirm.open_sealed else ("confirm",)


def _clusters(store: Store, study: Study, split: str) -> dict[str, list[int]]:
    """The cluster of each question by evaluation set, as the study's intervals have them."""
    names = [name for name in study.spec.sets_on(split) if name in store.manifest.subsets]
    rows = [store.read(name, split, columns=["group", "image_hashes"]).to_pylist() for name in names]
    return dict(zip(names, set_clusters(rows), strict=True))
