"""A pack size is measured once a device, backbone and shape; a cache that is no cache is ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.makers.table_rows import TableRows
from tests.trainers.executors.test_one_trial import make_spec
from trainers.executors import remembered_packs
from trainers.executors.remembered_packs import pack_key, packs_file, remember, remembered
from trainers.executors.resources import TrialResources
from trainers.executors.slot import SlotConfig, measured_packs
from trainers.training import pack_size

SPEC = make_spec({"a": 4})
MEASURED = {"pack_size": 4, "step_s": {"1": 0.5, "4": 0.2}, "micro_batch_size": None, "is_memory_short": False}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def key(**changes: Any) -> str:
    usual = {"max_pack": 8, "num_threads": 1, "with_features": True, "gpus": 1.0}
    return pack_key(changes.pop("spec", SPEC), **{**usual, **changes})


def slot(tmp_path: Path, **changes: Any) -> SlotConfig:
    return SlotConfig(
        name="a", broker=None, backbone=SPEC.backbone, rows=TableRows(tables={}), run_dir=tmp_path, num_threads=1,
        measure=SPEC, max_pack=8, checkpoint_s=60.0, **changes,
    )  # fmt: skip


def test_a_second_slot_does_not_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def measure(*arguments: Any, **options: Any) -> dict[str, Any]:
        calls.append(1)
        return dict(MEASURED)

    monkeypatch.setattr(pack_size, "measure_pack_sizes", measure)
    first, second = measured_packs(slot(tmp_path), None), measured_packs(slot(tmp_path), None)
    assert (len(calls), dict(first)) == (1, MEASURED)
    assert dict(second) == {**MEASURED, "is_remembered": True}
    measured_packs(slot(tmp_path, resources=TrialResources(gpus_per_worker=0.5)), None)  # a part of such a device
    assert len(calls) == 2


def test_whatever_decides_the_time_of_a_step_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_recipe(**changes: Any) -> Any:
        return SPEC.model_copy(update={"recipe": SPEC.recipe.model_copy(update=changes)})

    other_backbone = SPEC.backbone.model_copy(update={"dtype": "bfloat16"})
    keys = [
        key(), key(gpus=0.5), key(max_pack=4),
        key(num_threads=2), key(with_features=False), key(spec=with_recipe(lora_rank=9)),
        key(spec=with_recipe(batch_size=9)), key(spec=with_recipe(micro_batch_size=1)),
        key(spec=SPEC.model_copy(update={"backbone": other_backbone})),
        key(spec=SPEC.model_copy(update={"backbone_fingerprint": "other"})),
        key(spec=SPEC.model_copy(update={"rows_digest": "other"})),
    ]  # fmt: skip
    assert key(spec=with_recipe(learning_rate=0.5)) == key(spec=SPEC.model_copy(update={"seed": 9})) == key()
    monkeypatch.setattr(remembered_packs, "version", lambda name: "0")
    keys.append(key())
    monkeypatch.undo()
    monkeypatch.setattr(remembered_packs, "_device_name", lambda device: "another")
    keys.append(key())
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"{", b'{"KEY": 4}', b'{"KEY": {"pack_size": "4"}}', b'{"KEY": {"pack_size": 4}}']
)
def test_a_damaged_or_old_file_is_ignored_and_replaced(content: bytes) -> None:
    packs_file().parent.mkdir(parents=True)
    packs_file().write_bytes(content.replace(b"KEY", key().encode()))
    assert remembered(key()) is None
    remember(key(), MEASURED)
    assert remembered(key()) == MEASURED


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder is wanted")
    remember(key(), MEASURED)
    assert remembered(key()) is None


def test_what_was_short_of_memory_is_not_kept_and_the_oldest_go() -> None:
    remember(key(), {**MEASURED, "is_memory_short": True})
    assert not packs_file().exists()
    for number in range(remembered_packs.MOST_KEPT + 1):
        remember(str(number), MEASURED)
    assert remembered("0") is None
    assert remembered("1") == MEASURED
