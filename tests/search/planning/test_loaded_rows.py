from __future__ import annotations

from pathlib import Path

from search.planning.facts import read_facts
from search.planning.loaded_rows import rows_line
from search.study.needed_rows import stored_bytes
from search.study.run_dir import RunDir
from tests.makers.packed_store import packed_store
from tests.makers.study_fixture import open_study, write_store


def test_images_are_counted_that_lie_in_packs(tmp_path: Path) -> None:
    store = packed_store(tmp_path, {"a": {"train": 8}, "b": {"train": 2}}, [bytes([i]) * 1_000_000 for i in range(4)])
    parts = sum(part.num_bytes for part in store.manifest.subsets["a"].files["train"])
    assert stored_bytes(store.manifest, {("a", "train"): 8}) == parts + 0.8 * 4_000_000


def test_a_plan_says_how_many_rows_trials_may_read(tmp_path: Path) -> None:
    study = open_study(tmp_path, {"space.composition.num_samples": [2], "space.composition.budget": 4})
    store = write_store(study, images=[bytes(300_000)])
    facts = read_facts(study, RunDir(tmp_path / "run"))
    # Five sources with four rows each, and the questions of one target on two splits; eight subsets of 24 rows.
    assert rows_line(study, facts).startswith("rows that trials may read: 28 of 192, about ")
    assert stored_bytes(store.manifest, {("ct-lung", "train"): 12}) == sum(
        part.num_bytes for part in store.manifest.subsets["ct-lung"].files["train"]
    )
    halves = [stored_bytes(store.manifest, {("ct-lung", "train"): n}) for n in (6, 12, 0)]
    assert abs(2 * halves[0] - halves[1]) <= 1
    assert halves[2] == stored_bytes(store.manifest, {("gained since", "train"): 5}) == 0
