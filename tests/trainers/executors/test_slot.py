"""What a slot tells: of its node, of its rows, of trials whose weights it found."""

from __future__ import annotations

import errno
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.makers.families import tiny_backbone
from tests.trainers.executors.test_one_trial import ROWS, make_spec, request
from trainers.backbone.backbone import backbone_fingerprint
from trainers.backbone_spec import PHANTOM_DIR, BackboneSpec
from trainers.executors import one_trial, packed_trials, slot
from trainers.executors.broker import Work
from trainers.executors.one_trial import run_trial
from trainers.executors.slot import SlotConfig, _Server, serve_slot, why_not_this_node
from trainers.rows.encoded_blocks import EncodedBlocks
from trainers.trial.failures import LeavingError, RowsAwayError


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


class AwayRows:
    """Encoded rows that went with their node."""

    def samples(self, subset: str, split: str, num_rows: int | None = None) -> Sequence[Any]:
        raise RowsAwayError("rows went with a node")


def config_of(tmp_path: Path, broker: Any, **changes: Any) -> SlotConfig:
    usual = {"rows": AwayRows(), "measure": None, "max_pack": 1, "backbone": make_spec().backbone}
    return SlotConfig(
        name="a", broker=broker, run_dir=tmp_path, num_threads=1, checkpoint_s=60.0, **(usual | changes)
    )  # fmt: skip


def broker_of(monkeypatch: pytest.MonkeyPatch, calls: list[tuple[Any, ...]], work: Work | None = None) -> Any:
    """A broker that answers at once and writes down what it is told."""
    import ray

    monkeypatch.setattr(ray, "get", lambda answer: answer)
    monkeypatch.setattr(slot, "_is_reclaimed", lambda: False)

    def told(name: str) -> Any:
        return SimpleNamespace(remote=lambda *given, **options: calls.append((name, *given, *options.values())))

    return SimpleNamespace(
        lease=SimpleNamespace(remote=lambda *asked: work),
        heartbeat=SimpleNamespace(remote=lambda *beat: "held"),
        **{name: told(name) for name in ("finish", "say_why", "saved", "report")},
    )


@pytest.mark.parametrize("reason", ["rows", "disk"])
def test_a_slot_that_cannot_go_on_gives_its_trial_back_says_why_and_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    spec = make_spec()
    work = Work(ticket="t", specs={spec.train_id: spec.model_dump(mode="json")}, submitted_at=0.0)
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(packed_trials, "commit_attempt", full)
    config = config_of(tmp_path, broker_of(monkeypatch, calls, work), **({} if reason == "rows" else {"rows": ROWS}))
    _Server(config, tiny_backbone("llava"), "process", None, None).serve()
    words = (
        "rows went with a node" if reason == "rows" else "the study directory cannot be written: Read-only file system"
    )
    # Handed over, as work that was saved: no attempt of it has failed; and last in the queue.
    assert calls == [("say_why", "a", words, reason == "rows"), ("finish", "a", work, True, True)]
    assert not list(tmp_path.glob("trials/[!.]*"))


def test_rows_that_went_with_a_node_while_packs_are_measured_end_the_slot_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []
    phantom = BackboneSpec().resolved(gpus_per_worker=0)
    broker = broker_of(monkeypatch, calls)
    serve_slot({"slot": config_of(tmp_path, broker, measure=make_spec({"a": 2}), max_pack=2, backbone=phantom)})
    assert calls == [("say_why", "a", "rows went with a node", True)]


def test_who_waits_for_rows_keeps_its_lease_and_leaves_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[tuple[Any, ...]] = []
    broker = broker_of(monkeypatch, [])

    def heartbeat(*beat: Any) -> str:
        beats.append(beat)
        return "held"

    broker.heartbeat = SimpleNamespace(remote=heartbeat)
    server = _Server(config_of(tmp_path, broker, rows=EncodedBlocks(parts={})), tiny_backbone("llava"), "p", None, None)
    rows = server._slot.rows
    assert isinstance(rows, EncodedBlocks)
    rows.on_wait()  # holds nothing yet: packs are measured
    assert beats == []
    server._work = Work(ticket="t", specs={}, submitted_at=0.0)
    rows.on_wait()
    assert beats == [("a", server._work, False, None)]
    server._is_leaving = True
    with pytest.raises(LeavingError):
        rows.on_wait()


@pytest.mark.parametrize("is_other", ["versions", "backbone"])
def test_a_slot_on_a_node_unlike_the_driver_says_so_and_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_other: str
) -> None:
    calls: list[tuple[Any, ...]] = []
    broker = broker_of(monkeypatch, calls)
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
    assert calls == [("say_why", "a", words, True)]


def test_a_slot_on_a_node_like_the_driver_works(tmp_path: Path) -> None:
    model = _folder_model(tmp_path)
    same = {"backbone": model, "backbone_fingerprint": backbone_fingerprint(model)}
    assert why_not_this_node(config_of(tmp_path, None, **same)) is None
    shutil.rmtree(tmp_path / "model")
    assert "there is no folder" in (why_not_this_node(config_of(tmp_path, None, **same)) or "")


def _folder_model(tmp_path: Path) -> BackboneSpec:
    shutil.copytree(PHANTOM_DIR, tmp_path / "model")
    return BackboneSpec(model=str(tmp_path / "model")).resolved(gpus_per_worker=0)
