"""One trial in one process: what it leaves behind when it ends well, badly, twice, or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.makers.families import SPEC as BACKBONE
from tests.makers.families import tiny_backbone, toy_row
from tests.makers.table_rows import TableRows
from trainers.backbone.backbone import Backbone
from trainers.executors import one_trial
from trainers.executors.one_trial import run_trial
from trainers.recipe import Recipe
from trainers.rows.stored_rows import StoredRows
from trainers.scoring.scorer import score_rows
from trainers.training import loop
from trainers.trial.failures import DivergedError, TrialTimeoutError, describe_error, failure_status
from trainers.trial.folder import begin_attempt, finished_result, read_outcomes, read_result
from trainers.trial.result import TrialResult
from trainers.trial.spec import EvalRequest, TrialSpec, rows_digest

CANARY = "patient Alice Example had a bleed"
RECIPE = Recipe(learning_rate=1e-2, num_steps=2, batch_size=3, lora_rank=2)
NUM_QUESTIONS = 5


def make_rows(changes: Mapping[str, Any] | None = None) -> TableRows:
    """Train rows of `a` and `b`, questions of `t` and `u`; every question holds the canary."""
    import pyarrow as pa

    refs: dict[tuple[str, str], Any] = {}
    places = [("a", "train"), ("b", "train")] + [(t, s) for t in ("t", "u") for s in ("search", "confirm")]
    for number, (subset, split) in enumerate(places):
        rows = [
            toy_row(10 * number + i)
            | {"subset": subset, "split": split, "sample_id": f"{subset}/{split}#{i}", "question": CANARY}
            for i in range(NUM_QUESTIONS)
        ]
        refs[(subset, split)] = pa.Table.from_pylist([row | dict(changes or {}) for row in rows])
    return TableRows(tables=refs)


ROWS = make_rows()


def request(eval_set: str, split: str = "search", fingerprint: str = "1") -> EvalRequest:
    return EvalRequest(
        eval_set=eval_set, split=split, fingerprint=f"{eval_set}{split}{fingerprint}", exposure="held_out",
        generate=split == "confirm",
    )  # fmt: skip


def make_spec(composition: Mapping[str, int] | None = None, **changes: Any) -> TrialSpec:
    composition = {"a": 4, "b": 3} if composition is None else dict(composition)
    spec = TrialSpec(
        backbone=BACKBONE, backbone_fingerprint="weights", composition=composition,
        rows_digest=rows_digest([f"{s}{i}" for s, n in composition.items() for i in range(n)]), recipe=RECIPE, seed=0,
        evaluations=(request("t"),), deterministic=True,
    )  # fmt: skip
    return spec.model_copy(update=changes)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone("llava")


def run(trials: Path, backbone: Backbone, spec: TrialSpec | None = None, rows: StoredRows = ROWS) -> TrialResult:
    return run_trial(spec or make_spec(), rows, trials, attempt="1", submitted_at=0.0, backbone=backbone)


def folder_of(trials: Path, spec: TrialSpec | None = None) -> Path:
    return trials / (spec or make_spec()).folder_name


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def lora_names(backbone: Backbone) -> list[str]:
    return [name for name, _ in backbone.model.named_parameters() if "lora_" in name]


def test_a_finished_trial_leaves_result_adapter_and_outcomes(tmp_path: Path, backbone: Backbone) -> None:
    spec = make_spec(evaluations=(request("t"), request("u"), request("t", "confirm")))
    result = run(tmp_path, backbone, spec)
    folder = folder_of(tmp_path, spec)
    assert result == read_result(folder)
    assert (result.status, result.error, result.num_train_samples, result.num_steps) == ("finished", None, 7, 2)
    assert result.adapter_sha256
    assert {"trial.json", "adapter/adapter_model.safetensors", "adapter/adapter_config.json"} <= set(files_of(folder))
    outcomes = read_outcomes(folder).to_pylist()
    assert len(outcomes) == 3 * NUM_QUESTIONS
    for evaluation in result.evaluations:
        mine = [o for o in outcomes if (o["eval_set"], o["split"]) == (evaluation.eval_set, evaluation.split)]
        assert (evaluation.n, evaluation.correct) == (len(mine), sum(o["correct"] for o in mine))
        assert evaluation.accuracy == evaluation.correct / NUM_QUESTIONS
        is_generated = evaluation.split == "confirm"
        assert (evaluation.generation_accuracy is not None) == is_generated
        assert [o["sample_id"] for o in mine] == [
            f"{evaluation.eval_set}/{evaluation.split}#{i}" for i in range(NUM_QUESTIONS)
        ]
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]
    assert lora_names(backbone) == []


def test_the_baseline_is_scored_without_an_adapter(tmp_path: Path, backbone: Backbone) -> None:
    spec = make_spec({}, recipe=RECIPE.model_copy(update={"num_steps": 0}))
    result = run(tmp_path, backbone, spec)
    assert (result.status, result.num_steps, result.adapter_sha256) == ("finished", 0, None)
    assert set(files_of(folder_of(tmp_path, spec))) == {"trial.json", "outcomes-search.parquet"}


def test_the_same_trial_twice_is_the_same_bit_for_bit(tmp_path: Path, backbone: Backbone) -> None:
    run(tmp_path / "one", backbone)
    run(tmp_path / "two", tiny_backbone("llava"))
    one, two = (files_of(folder_of(tmp_path / name)) for name in ("one", "two"))
    assert set(one) == set(two)
    assert all(one[name] == two[name] for name in one if name != "trial.json")
    assert (
        run(tmp_path / "three", backbone, make_spec(seed=1)).adapter_sha256
        != read_result(folder_of(tmp_path / "one")).adapter_sha256
    )


def no_training(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("trained again")


def test_known_weights_are_not_trained_again_and_missing_scores_are_added(
    tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path, backbone)
    before = files_of(folder_of(tmp_path))
    monkeypatch.setattr(one_trial, "finetune", no_training)
    scored: list[str] = []

    def watched(*args: Any, **options: Any) -> Any:
        scored.append(options["eval_set"] + options["split"])
        return score_rows(*args, **options)

    monkeypatch.setattr(one_trial, "score_rows", watched)
    more = make_spec(evaluations=(request("u"), request("t"), request("t", "confirm")))
    second = run(tmp_path, backbone, more)
    assert (second.status, second.error) == ("finished", None)
    assert scored == ["usearch", "tconfirm"]
    assert second.evaluations[0] == first.evaluations[0]
    assert (second.train_s, second.startup_s, second.num_steps) == (first.train_s, first.startup_s, first.num_steps)
    after = files_of(folder_of(tmp_path))
    assert all(after[name] == before[name] for name in before if name.startswith("adapter/"))
    places = [(o["eval_set"], o["split"]) for o in read_outcomes(folder_of(tmp_path)).to_pylist()]
    assert len(places) == 3 * NUM_QUESTIONS == len(second.evaluations) * NUM_QUESTIONS
    assert run(tmp_path, backbone, more) == second
    assert len(scored) == 2
    assert [p.name for p in tmp_path.iterdir()] == [more.folder_name]
    fresh = run(tmp_path / "fresh", backbone, make_spec({}, evaluations=more.evaluations))
    assert fresh.evaluations[0].n == NUM_QUESTIONS  # the backbone is not spoilt by the adapter that was loaded
    assert lora_names(backbone) == []


def test_loaded_weights_score_as_trained_ones_did(tmp_path: Path, backbone: Backbone) -> None:
    both = make_spec(evaluations=(request("t"), request("u")))
    run(tmp_path / "at once", backbone, both)
    run(tmp_path / "later", backbone)
    run(tmp_path / "later", tiny_backbone("llava"), both)
    at_once, later = (read_outcomes(folder_of(tmp_path / name)).to_pylist() for name in ("at once", "later"))
    assert at_once == later


def test_questions_that_have_changed_are_scored_again(tmp_path: Path, backbone: Backbone) -> None:
    run(tmp_path, backbone, make_spec(evaluations=(request("t"), request("u"))))
    result = run(tmp_path, backbone, make_spec(evaluations=(request("t", fingerprint="2"),)))
    assert len({e.score_id for e in result.evaluations}) == 3
    outcomes = read_outcomes(folder_of(tmp_path)).to_pylist()
    assert sorted(o["eval_set"] for o in outcomes) == ["t"] * NUM_QUESTIONS + ["u"] * NUM_QUESTIONS


def test_a_failure_to_add_scores_keeps_the_finished_trial(
    tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, backbone)
    before = files_of(folder_of(tmp_path))

    def out_of_memory(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError(CANARY)

    monkeypatch.setattr(one_trial, "score_rows", out_of_memory)
    result = run(tmp_path, backbone, make_spec(evaluations=(request("t"), request("u"))))
    assert result.status == "oom"
    assert files_of(folder_of(tmp_path)) == before
    assert lora_names(backbone) == []


def test_scores_are_added_with_fewer_questions_at_a_time_where_not_all_fit(
    tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, backbone)
    tried: list[int] = []

    def hungry(*args: Any, batch_size: int, **kwargs: Any) -> Any:
        tried.append(batch_size)
        if batch_size > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return score_rows(*args, batch_size=batch_size, **kwargs)

    monkeypatch.setattr(one_trial, "score_rows", hungry)
    more = make_spec(evaluations=(request("t"), request("u"), request("u", "confirm")), eval_batch_size=8)
    result = run(tmp_path, backbone, more)
    assert (result.status, len(result.evaluations)) == ("finished", 3)
    assert tried == [8, 4, 2, 2]  # what did not fit once is not tried again


def test_a_tampered_adapter_is_trained_again(tmp_path: Path, backbone: Backbone) -> None:
    first = run(tmp_path, backbone)
    path = folder_of(tmp_path) / "adapter" / "adapter_model.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    second = run(tmp_path, backbone)
    assert path.read_bytes() == good
    assert second.adapter_sha256 == first.adapter_sha256
    assert second.train_s != first.train_s


def test_leftovers_of_a_killed_attempt_are_no_trial(tmp_path: Path, backbone: Backbone) -> None:
    spec = make_spec()
    working = begin_attempt(tmp_path, spec.folder_name, "killed")
    (working / "trial.json").write_text("{}")
    (working / "adapter").mkdir()
    assert finished_result(folder_of(tmp_path), spec.train_id) is None
    assert run(tmp_path, backbone).status == "finished"


def quoting(error: type[Exception]) -> Any:
    def fail(text: str) -> Any:
        raise error(f"cannot make sense of: {text}")

    return fail


@pytest.mark.parametrize("error", [ValueError, RuntimeError, KeyError, TypeError, OSError, AttributeError])
def test_an_error_of_a_library_is_a_status_without_its_words(
    tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    fail = quoting(error)
    monkeypatch.setattr(backbone.processor, "apply_chat_template", lambda messages, **_: fail(messages[0]["content"]))
    result = run(tmp_path, backbone)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error.startswith(f"{error.__name__} at test_one_trial.py:")
    assert "Alice" not in (folder_of(tmp_path) / "trial.json").read_text()
    assert result.evaluations == ()
    assert finished_result(folder_of(tmp_path), make_spec().train_id) is None
    assert lora_names(backbone) == []


def test_a_chat_template_that_fails_is_a_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone("llava")
    template = "{{ raise_exception(messages[0]['content'][-1]['text']) }}"
    monkeypatch.setattr(backbone.processor, "chat_template", template)
    result = run(tmp_path, backbone)
    assert result.status == "failed"
    assert "Alice" not in str(result.error)


@pytest.mark.parametrize(
    ("changes", "rows", "status", "words"),
    [
        pytest.param({"timeout_s": -1.0}, None, "timeout", "0 of 2 steps", id="timeout"),
        pytest.param({}, {"images": []}, "failed", "", id="no image"),
        pytest.param({}, {"images": [b"no picture"]}, "failed", "", id="broken image"),
        pytest.param({}, {"options": [CANARY, CANARY, CANARY], "answer_index": 7}, "failed", "", id="no such option"),
    ],
)
def test_trouble_of_the_trial_becomes_its_status(
    tmp_path: Path, backbone: Backbone, changes: dict[str, Any], rows: dict[str, Any] | None, status: str, words: str
) -> None:
    spec = make_spec(**changes)
    result = run(tmp_path, backbone, spec, make_rows(rows))
    assert (result.status, result.evaluations) == (status, ())
    assert words in str(result.error)
    published = json.loads((folder_of(tmp_path, spec) / "trial.json").read_text())
    assert (published["status"], published["error"]) == (status, result.error)
    assert "Alice" not in json.dumps(published)
    assert lora_names(backbone) == []
    assert run(tmp_path, backbone, make_spec()).status == "finished"  # the next trial of this process is unharmed


def test_a_loss_that_is_not_finite_ends_as_diverged(
    tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "answer_losses", lambda logits, labels: logits.sum() * math.nan * torch.ones(len(labels)))
    result = run(tmp_path, backbone)
    assert (result.status, result.evaluations) == ("diverged", ())
    assert "step 1" in str(result.error)


def test_a_dead_process_is_left_to_the_caller(
    tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def kill(*args: Any, **kwargs: Any) -> Any:
        raise KilledError

    monkeypatch.setattr(one_trial, "score_rows", kill)
    with pytest.raises(KilledError):
        run(tmp_path, backbone)
    assert not folder_of(tmp_path).exists()
    monkeypatch.undo()
    assert run(tmp_path, backbone).status == "finished"


def test_errors_have_one_status_each() -> None:
    found = {
        type(e).__name__: failure_status(e)
        for e in (
            DivergedError(""),
            TrialTimeoutError(""),
            torch.OutOfMemoryError(""),
            MemoryError(),
            RuntimeError(""),
        )
    }
    assert list(found.values()) == ["diverged", "timeout", "oom", "oom", "failed"]
    assert describe_error(DivergedError("the loss is nan")) == "DivergedError: the loss is nan"
    assert describe_error(ValueError(CANARY)) == "ValueError"


def test_scores_are_added_to_outcomes_of_an_earlier_version(tmp_path: Path, backbone: Backbone) -> None:
    """Files written before marks of words and boxes lack their columns."""
    from trainers.trial.folder import read_outcomes, write_outcomes

    spec = make_spec()
    run_trial(spec, ROWS, tmp_path, attempt="1", submitted_at=0.0, backbone=backbone)
    folder = folder_of(tmp_path)
    young = ["answer_kind", "token_f1", "rouge_l", "iou", "intersection", "union"]
    write_outcomes(folder, "search", read_outcomes(folder, ["search"]).drop(young))
    more = make_spec(evaluations=(request("t"), request("u")))
    result = run_trial(more, ROWS, tmp_path, attempt="2", submitted_at=0.0, backbone=backbone)
    assert result.status == "finished", result.error
    kinds = read_outcomes(folder, ["search"]).select(["eval_set", "answer_kind"]).to_pylist()
    assert {(row["eval_set"], row["answer_kind"]) for row in kinds} == {("t", None), ("u", "closed")}
