"""What a slot tells: of its node, of its rows, of trials whose weights it found."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.makers.families import tiny_backbone
from tests.makers.table_rows import TableRows
from tests.trainers.executors.test_one_trial import ROWS, make_spec, request
from trainers.backbone.backbone import backbone_fingerprint
from trainers.backbone_spec import PHANTOM_DIR, BackboneSpec
from trainers.executors import one_trial
from trainers.executors.broker import Work
from trainers.executors.one_trial import run_trial
from trainers.executors.slot import SlotConfig, _Server, serve_slot, why_not_this_node
from trainers.trial.failures import RowsAwayError


def test_scores_that_could_not_be_added_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    told: list[dict[str, Any]] = []
    monkeypatch.setattr(ray, "get", lambda answer: answer)
    report = SimpleNamespace(remote=lambda ticket, event: told.append(event))
    config = SlotConfig(
        name="a", broker=SimpleNamespace(report=report), backbone=make_spec().backbone, rows=ROWS, run_dir=tmp_path,
        num_threads=1, measure=None, max_pack=1, checkpoint_s=60.0,
    )  # fmt: skip
    backbone, more = tiny_backbone("llava"), make_spec(evaluations=(request("t"), request("u")))
    run_trial(make_spec(), ROWS, tmp_path / "trials", attempt="1", submitted_at=0.0, backbone=backbone)
    server = _Server(config, backbone, "process", None, None)
    server._work = Work(ticket="t", specs={}, submitted_at=0.0)

    def stale(*args: Any, **options: Any) -> Any:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(one_trial, "score_rows", stale)
    server._score_known(more, server._work)
    (event,) = told
    assert (event["train_id"], event["ended"]) == (more.train_id, "failed")
    assert event["error"].startswith("OSError at test_slot.py:")


class AwayRows(TableRows):
    """Rows that went with their node."""

    def read(self, subset: str, split: str, num_rows: int | None = None) -> Any:
        raise RowsAwayError


def config_of(tmp_path: Path, broker: Any, **changes: Any) -> SlotConfig:
    usual = {"rows": AwayRows(tables={}), "measure": None, "max_pack": 1, "backbone": make_spec().backbone}
    return SlotConfig(
        name="a", broker=broker, run_dir=tmp_path, num_threads=1, checkpoint_s=60.0, **(usual | changes)
    )  # fmt: skip


def test_a_slot_whose_rows_went_with_a_node_gives_its_trial_back_and_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    spec = make_spec()
    work = Work(ticket="t", specs={spec.train_id: spec.model_dump(mode="json")}, submitted_at=0.0)
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(ray, "get", lambda answer: answer)
    broker = SimpleNamespace(
        lease=SimpleNamespace(remote=lambda *asked: work),
        heartbeat=SimpleNamespace(remote=lambda *beat: "held"),
        finish=SimpleNamespace(remote=lambda *finished: calls.append(finished)),
    )
    _Server(config_of(tmp_path, broker), tiny_backbone("llava"), "process", None, None).serve()
    assert calls == [("a", work, True)]  # as work that was saved: no attempt of it has failed
    assert not list(tmp_path.glob("trials/[!.]*"))


def test_rows_that_went_with_a_node_while_packs_are_measured_end_the_slot_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    failed: list[str] = []
    phantom = BackboneSpec().resolved(gpus_per_worker=0)
    monkeypatch.setattr(ray, "get", lambda answer: answer)
    broker = SimpleNamespace(fail=SimpleNamespace(remote=failed.append))
    serve_slot({"slot": config_of(tmp_path, broker, measure=make_spec({"a": 2}), max_pack=2, backbone=phantom)})
    assert failed == []


@pytest.mark.parametrize("is_other", ["versions", "backbone"])
def test_a_slot_on_a_node_unlike_the_driver_says_so_and_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_other: str
) -> None:
    import ray

    failed: list[str] = []
    monkeypatch.setattr(ray, "get", lambda answer: answer)
    broker = SimpleNamespace(fail=SimpleNamespace(remote=failed.append))  # it takes nothing else
    others: dict[str, Any] = {"other_versions": lambda: "Versions differ: Recombine 0.2.0 on node b."}
    words = "Versions differ: Recombine 0.2.0 on node b."
    if is_other == "backbone":
        others = {"backbone_fingerprint": "of another folder", "backbone": _folder_model(tmp_path)}
        words = (
            f"backbone.model: {tmp_path / 'model'} holds other files there than where the study was started "
            f"(on the node {platform.node()}); copy the same folder to every node, or put it on storage that all of "
            "them share"
        )
    serve_slot({"slot": config_of(tmp_path, broker, **others)})
    assert failed == [words]


def test_a_slot_on_a_node_like_the_driver_works(tmp_path: Path) -> None:
    model = _folder_model(tmp_path)
    same = {"backbone": model, "backbone_fingerprint": backbone_fingerprint(model)}
    assert why_not_this_node(config_of(tmp_path, None, **same)) is None
    shutil.rmtree(tmp_path / "model")
    assert "there is no folder" in (why_not_this_node(config_of(tmp_path, None, **same)) or "")


def _folder_model(tmp_path: Path) -> BackboneSpec:
    shutil.copytree(PHANTOM_DIR, tmp_path / "model")
    return BackboneSpec(model=str(tmp_path / "model")).resolved(gpus_per_worker=0)
