"""Trials of a slot: published as if each had run alone, whatever happens to their neighbours."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.makers.families import tiny_backbone
from tests.makers.table_rows import TableRows
from tests.trainers.executors.test_one_trial import (
    RECIPE,
    ROWS,
    files_of,
    folder_of,
    make_rows,
    make_spec,
    request,
)
from trainers.backbone.backbone import Backbone
from trainers.executors import packed_trials
from trainers.executors.memory_ladder import run_packed_trials
from trainers.executors.one_trial import run_trial
from trainers.executors.packed_trials import PackListener, SlotContext
from trainers.prompts.encoder import example_from_row
from trainers.rows.encoded_blocks import first_rows
from trainers.rows.encoded_samples import encode_samples
from trainers.rows.encoded_table import SharedSamples, encoded_table
from trainers.scoring.outcome import Outcome
from trainers.training.checkpoints import checkpoint_file, load_checkpoint, save_checkpoint
from trainers.training.packed_loop import Member, Pack
from trainers.trial.failures import LeaseLostError
from trainers.trial.folder import read_outcomes, read_result
from trainers.trial.spec import TrialSpec


class EncodedInMemory:
    """Encoded tables of this process instead of Ray's object store."""

    def __init__(self, backbone: Backbone) -> None:
        self.tables = {place: self._encoded(backbone, rows) for place, rows in ROWS.tables.items()}

    @staticmethod
    def _encoded(backbone: Backbone, rows: Any) -> SharedSamples:
        examples = [example_from_row(row) for row in rows.to_pylist()]
        return SharedSamples(encoded_table(rows, encode_samples(backbone, examples, with_features=True)))

    def samples(self, subset: str, split: str, num_rows: int | None = None) -> Sequence[Any]:
        return first_rows(self.tables[(subset, split)], num_rows, f"{subset}/{split}")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone("llava")


@pytest.fixture(scope="module")
def encoded(backbone: Backbone) -> EncodedInMemory:
    return EncodedInMemory(backbone)


class Told:
    """What a listener was told."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, str]] = []
        self.rungs: list[tuple[int, int, int]] = []

    def listener(self, **changes: Any) -> PackListener:
        def on_rung(spec: TrialSpec, step: int, outcomes: Sequence[Outcome]) -> bool:
            self.rungs.append((spec.seed, step, len(outcomes)))
            return spec.seed != 1

        given: dict[str, Any] = {
            "on_end": lambda spec, status: self.ends.append((spec.seed, status)),
            "on_rung": on_rung,
        }
        return PackListener(**(given | changes))


def context(
    root: Path, backbone: Backbone, rows: Any, told: Told | None = None, *, checkpoint_s: float = 60.0, **changes: Any
) -> SlotContext:
    return SlotContext(
        backbone=backbone, samples=rows, run_dir=root, slot="slot-0", submitted_at=time.time(),
        listener=(told or Told()).listener(**changes), checkpoint_s=checkpoint_s,
    )  # fmt: skip


def specs(num: int = 3, **changes: Any) -> list[TrialSpec]:
    """Trials that differ in composition, rate and seed, on two targets."""
    evaluations = (request("t"), request("u"), request("t", "confirm"))
    return [
        make_spec(
            {"a": 4, "b": 3} if i % 2 else {"a": 5},
            seed=i,
            recipe=RECIPE.model_copy(update={"learning_rate": 1e-2 * (1 + i), "num_steps": 3}),
            evaluations=evaluations,
        ).model_copy(update=changes)
        for i in range(num)
    ]


@pytest.mark.parametrize("rows_kind", ["encoded", "direct"])
def test_packed_trials_are_trials_alone(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory, rows_kind: str
) -> None:
    baseline = make_spec({}, recipe=RECIPE.model_copy(update={"num_steps": 0}), evaluations=(request("t"),))
    told = Told()
    rows = encoded if rows_kind == "encoded" else ROWS
    run_packed_trials(context(tmp_path / "packed", backbone, rows, told), [baseline, *specs()], attempt="1")
    assert sorted(told.ends) == [(0, "finished"), (0, "finished"), (1, "finished"), (2, "finished")]
    for spec in [baseline, *specs()]:
        run_trial(spec, ROWS, tmp_path / "alone", attempt="1", submitted_at=0.0, backbone=backbone)
        alone, packed = folder_of(tmp_path / "alone", spec), folder_of(tmp_path / "packed" / "trials", spec)
        assert read_outcomes(packed).equals(read_outcomes(alone))
        mine, theirs = read_result(packed), read_result(alone)
        assert mine.adapter_sha256 == theirs.adapter_sha256
        assert (mine.status, mine.num_steps, mine.num_train_samples) == (
            theirs.status, theirs.num_steps, theirs.num_train_samples,
        )  # fmt: skip
        assert [e.model_dump(exclude={"eval_s"}) for e in mine.evaluations] == [
            e.model_dump(exclude={"eval_s"}) for e in theirs.evaluations
        ]
        if spec.composition:
            ours, his = (load_file(f / "adapter" / "adapter_model.safetensors") for f in (packed, alone))
            assert list(ours) == list(his)
            assert all(torch.equal(ours[name], his[name]) for name in ours)
            files = {"adapter/adapter_config.json", "adapter/README.md"}
            assert {n: b for n, b in files_of(packed).items() if n in files} == {
                n: b for n, b in files_of(alone).items() if n in files
            }


def test_a_result_says_where_its_seconds_went(tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory) -> None:
    began = time.time()
    run_packed_trials(context(tmp_path, backbone, encoded), specs(), attempt="1")
    took_s = time.time() - began
    results = [read_result(folder_of(tmp_path / "trials", spec)) for spec in specs()]
    for result in results:
        assert (result.slot, result.pack_size) == ("slot-0", 3)
        assert set(result.seconds) == {"queue", "startup", "data", "train", "score", "checkpoint"}
        assert result.seconds["train"] + result.seconds["data"] == pytest.approx(result.train_s, rel=0.3)
    charged = sum(s for result in results for phase, s in result.seconds.items() if phase != "queue")
    assert 0.5 * took_s <= charged <= 1.01 * took_s  # what three share is charged once


def test_rungs_are_scored_on_search_and_stop_whom_they_stop(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory
) -> None:
    told = Told()
    run_packed_trials(context(tmp_path, backbone, encoded, told), specs(rungs=(1, 2)), attempt="1")
    assert sorted(told.rungs) == [(0, 1, 10), (0, 2, 10), (1, 1, 10), (2, 1, 10), (2, 2, 10)]
    assert sorted(told.ends) == [(0, "finished"), (1, "stopped_early"), (2, "finished")]
    whole, stopped = specs()[0], specs()[1]
    run_trial(whole, ROWS, tmp_path / "alone", attempt="1", submitted_at=0.0, backbone=backbone)
    found = folder_of(tmp_path / "trials", whole)
    assert read_result(found).adapter_sha256 == read_result(folder_of(tmp_path / "alone", whole)).adapter_sha256
    assert read_outcomes(found).equals(read_outcomes(folder_of(tmp_path / "alone", whole)))
    result = read_result(folder_of(tmp_path / "trials", stopped))
    assert (result.status, result.num_steps, result.adapter_sha256) == ("stopped_early", 1, None)
    assert {(e.eval_set, e.split) for e in result.evaluations} == {("t", "search"), ("u", "search")}
    finals = {stopped.score_id(r) for r in stopped.evaluations}
    assert not finals & {e.score_id for e in result.evaluations}  # never taken for the score of the whole trial


def test_one_with_bad_rows_fails_alone(tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory) -> None:
    told = Told()
    bad = make_spec({"absent": 4}, seed=9)
    few = make_spec({"a": 400}, seed=8)
    run_packed_trials(context(tmp_path, backbone, encoded, told), [specs()[0], bad, specs()[1], few], attempt="1")
    assert sorted(told.ends) == [(0, "finished"), (1, "finished"), (8, "failed"), (9, "failed")]
    assert "400 were asked for" in (read_result(folder_of(tmp_path / "trials", few)).error or "")


def test_pixels_that_break_in_training_fail_their_own_trial(tmp_path: Path, backbone: Backbone) -> None:
    told = Told()
    rows = make_rows()
    whole: Any = rows.tables[("b", "train")]
    broken = whole.to_pylist()
    broken[1]["images"] = [b"no picture"]
    import pyarrow as pa

    rows.tables[("b", "train")] = pa.Table.from_pylist(broken)  # type: ignore[index]
    run_packed_trials(context(tmp_path, backbone, rows, told), specs(), attempt="1")
    assert sorted(told.ends) == [(0, "finished"), (1, "failed"), (2, "finished")]


def test_a_trial_past_its_time_ends_and_the_other_goes_on(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory
) -> None:
    told = Told()
    trials = specs(2)
    hurried = trials[1].model_copy(update={"timeout_s": 1e-6})
    run_packed_trials(context(tmp_path, backbone, encoded, told), [trials[0], hurried], attempt="1")
    assert sorted(told.ends) == [(0, "finished"), (1, "timeout")]
    assert "after 1 of 3 steps" in (read_result(folder_of(tmp_path / "trials", hurried)).error or "")


def test_who_lost_the_lease_writes_nothing(tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory) -> None:
    def lost(is_training: bool) -> None:
        raise LeaseLostError

    def lost_at_last() -> None:
        raise LeaseLostError

    for place in ({"on_progress": lost}, {"on_publish": lost_at_last}):
        with pytest.raises(LeaseLostError):
            run_packed_trials(context(tmp_path, backbone, encoded, **place), specs(), attempt="1")
    assert not list(tmp_path.glob("trials/[!.]*"))


def test_who_must_leave_saves_after_the_step_and_another_goes_on(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory
) -> None:
    (spec,) = specs(1)
    told, answers = Told(), iter([False, True])
    leaving = context(tmp_path, backbone, encoded, told, is_leaving=lambda: next(answers))
    with pytest.raises(LeaseLostError):
        run_packed_trials(leaving, [spec], attempt="1")
    saved = load_checkpoint(checkpoint_file(tmp_path, spec.train_id), spec.train_id)
    assert saved is not None
    assert saved.optimizer.num_steps == 2
    assert told.ends == []
    run_packed_trials(context(tmp_path, backbone, encoded, told), [spec], attempt="2")
    assert told.ends == [(0, "finished")]


def test_a_listener_hears_of_each_checkpoint_that_is_later_than_the_last(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory
) -> None:
    heard: list[tuple[str, int]] = []
    (spec,) = specs(1)
    listening = context(
        tmp_path, backbone, encoded, checkpoint_s=0.0, on_saved=lambda saved, step: heard.append((saved.train_id, step))
    )
    run_packed_trials(listening, [spec], attempt="1")
    assert heard == [(spec.train_id, step) for step in (1, 2, 3)]


def test_what_was_trained_before_a_hand_over_counts(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory
) -> None:
    told, (spec,), (whole,) = Told(), specs(1), specs(1)
    run_packed_trials(context(tmp_path / "whole", backbone, encoded), [whole], attempt="1")
    answers = iter([False, True])
    with pytest.raises(LeaseLostError):
        run_packed_trials(context(tmp_path, backbone, encoded, is_leaving=lambda: next(answers)), [spec], attempt="1")
    file = checkpoint_file(tmp_path, spec.train_id)
    saved = load_checkpoint(file, spec.train_id)
    assert saved is not None
    assert (saved.train_s > 0, saved.data_s > 0) == (True, True)
    hours_before = replace(saved, train_s=saved.train_s + 7200)  # as if its two steps had taken so long
    save_checkpoint(file, spec.train_id, hours_before)
    run_packed_trials(context(tmp_path, backbone, encoded, told), [spec], attempt="2")
    resumed, at_once = (read_result(folder_of(root / "trials", spec)) for root in (tmp_path, tmp_path / "whole"))
    assert resumed.num_tokens == at_once.num_tokens
    assert 7200 < resumed.train_s < 7260
    assert resumed.seconds["train"] + resumed.seconds["data"] == pytest.approx(resumed.train_s, abs=1)


def test_a_trial_that_was_handed_over_has_no_more_time_than_another(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory
) -> None:
    told, (spec,) = Told(), specs(1, timeout_s=3600.0)
    answers = iter([True])
    with pytest.raises(LeaseLostError):
        run_packed_trials(context(tmp_path, backbone, encoded, is_leaving=lambda: next(answers)), [spec], attempt="1")
    file = checkpoint_file(tmp_path, spec.train_id)
    saved = load_checkpoint(file, spec.train_id)
    assert saved is not None
    save_checkpoint(file, spec.train_id, replace(saved, train_s=3600.0))
    run_packed_trials(context(tmp_path, backbone, encoded, told), [spec], attempt="2")
    assert told.ends == [(0, "timeout")]


@pytest.mark.parametrize(("rungs", "num_steps"), [((), 3), ((2,), 2)])
def test_who_must_leave_while_questions_are_answered_saves_what_was_trained(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory, rungs: tuple[int, ...], num_steps: int
) -> None:
    (spec,) = specs(1, rungs=rungs)
    told, beats = Told(), [True]
    leaving = context(tmp_path, backbone, encoded, told, on_progress=beats.append, is_leaving=lambda: not beats[-1])
    with pytest.raises(LeaseLostError):
        run_packed_trials(leaving, [spec], attempt="1")
    saved = load_checkpoint(checkpoint_file(tmp_path, spec.train_id), spec.train_id)
    assert saved is not None
    assert saved.optimizer.num_steps == num_steps
    assert beats.count(False) == 2  # before the questions, and after their first batch, which was the last
    run_packed_trials(context(tmp_path, backbone, encoded, told), [spec], attempt="2")
    run_trial(spec, ROWS, tmp_path / "alone", attempt="1", submitted_at=0.0, backbone=backbone)
    resumed, whole = folder_of(tmp_path / "trials", spec), folder_of(tmp_path / "alone", spec)
    assert read_result(resumed).adapter_sha256 == read_result(whole).adapter_sha256


def test_a_beat_is_given_for_every_micro_batch_and_every_batch_of_questions(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory
) -> None:
    """A step, or a set of questions, may take longer than a lease lasts."""
    beats: list[bool] = []
    (spec,) = specs(1, eval_batch_size=2)
    cut = spec.model_copy(update={"recipe": spec.recipe.model_copy(update={"micro_batch_size": 1})})
    run_packed_trials(context(tmp_path, backbone, encoded, on_progress=beats.append), [cut], attempt="1")
    assert beats.count(True) == 3 * 3  # steps of three samples
    assert beats.count(False) >= 3 * 3  # sets of five questions


def test_a_killed_trial_goes_on_from_its_checkpoint(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = specs()[1]
    steps: list[int] = []

    class Killed(BaseException):
        """Stands for the end of the process."""

    def die_after_two(is_training: bool) -> None:
        steps.append(1)
        if len(steps) == 3:
            raise Killed

    with pytest.raises(Killed):
        run_packed_trials(
            context(tmp_path, backbone, encoded, on_progress=die_after_two, checkpoint_s=0.0), [spec], attempt="1"
        )
    state = load_checkpoint(checkpoint_file(tmp_path, spec.train_id), spec.train_id)
    assert state is not None
    assert state.optimizer.num_steps == 2
    made: list[int] = []
    monkeypatch.setattr(packed_trials, "Pack", counting_pack(made))
    run_packed_trials(context(tmp_path, backbone, encoded), [spec], attempt="2")
    assert sum(made) == 1  # the third step only
    run_trial(spec, ROWS, tmp_path / "alone", attempt="1", submitted_at=0.0, backbone=backbone)
    resumed, whole = folder_of(tmp_path / "trials", spec), folder_of(tmp_path / "alone", spec)
    assert read_result(resumed).adapter_sha256 == read_result(whole).adapter_sha256
    assert not checkpoint_file(tmp_path, spec.train_id).exists()


def counting_pack(made: list[int]) -> type[Pack]:
    class Counting(Pack):
        def advance(self, num_steps: int, **options: Any) -> list[Member]:
            made.append(num_steps)
            return super().advance(num_steps, **options)

    return Counting


def test_a_damaged_checkpoint_is_no_checkpoint(tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory) -> None:
    from trainers.rows.feeds import EncodedFeed

    member = Member(recipe=RECIPE, feed=EncodedFeed(backbone, encoded.samples("a", "train")), seed=0)
    pack = Pack(backbone, [member])
    pack.advance(1)
    file = tmp_path / "c.safetensors"
    save_checkpoint(file, "mine", pack.state(member))
    state = load_checkpoint(file, "mine")
    assert state is not None
    for name, matrix in pack.weights(member).down.items():
        assert torch.equal(state.weights.down[name], matrix)
    assert load_checkpoint(file, "another's") is None
    assert load_checkpoint(tmp_path / "absent", "mine") is None
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    assert load_checkpoint(file, "mine") is None
    file.write_bytes(bytes(data[: len(data) // 2]))
    assert load_checkpoint(file, "mine") is None


def test_words_and_boxes_are_answered_in_a_pack_as_alone(tmp_path: Path, backbone: Backbone) -> None:
    """Greedy answers of adapters side by side, from kept features, against one trial after the other."""
    from tests.trainers.scoring.test_marks import free_rows

    rows = TableRows(tables={("a", "train"): free_rows(12), ("t", "search"): free_rows(9)})
    kept = {place: EncodedInMemory._encoded(backbone, table) for place, table in rows.tables.items()}
    encoded = EncodedInMemory.__new__(EncodedInMemory)
    encoded.tables = kept
    recipe = RECIPE.model_copy(
        update={"num_steps": 40, "batch_size": 12, "learning_rate": 2e-2, "lora_modules": "language"}
    )
    specs = [make_spec({"a": 12}, seed=seed, recipe=recipe) for seed in (0, 1)]
    for spec in specs:
        run_trial(spec, rows, tmp_path / "alone", attempt="1", submitted_at=0.0, backbone=backbone)
    run_packed_trials(context(tmp_path / "pack", backbone, encoded), specs, attempt="1")
    for spec in specs:
        alone, packed = folder_of(tmp_path / "alone", spec), folder_of(tmp_path / "pack" / "trials", spec)
        # Answers differ in length, so sums are padded differently: letters agree to the last digits, words exactly.
        letters = ["log_probs", "gold_log_prob"]
        assert read_outcomes(packed).drop(letters).equals(read_outcomes(alone).drop(letters))
        (mine,), (own,) = read_result(packed).evaluations, read_result(alone).evaluations
        assert mine.free_answers == own.free_answers
        assert mine.free_answers["open"]["token_f1"] == mine.free_answers["box"]["iou"] == 1
