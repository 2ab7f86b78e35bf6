"""What stands under a trial's name is complete, or it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainers.scoring.outcome import Outcome, outcomes_table
from trainers.trial.folder import (
    TrialStoreError,
    adapter_sha256,
    begin_attempt,
    commit_attempt,
    commit_scores,
    finished_result,
    outcomes_file,
    read_outcomes,
    read_result,
    remove_adapter,
    remove_dead_attempts,
    scored_result,
    scores_without_weights,
    write_outcomes,
)
from trainers.trial.result import Evaluation, TrialResult

RESULT = TrialResult(
    train_id="id", status="finished", num_train_samples=4, num_steps=2, train_s=1.0, startup_s=1.0, evaluations=(),
    adapter_sha256=None,
)  # fmt: skip


def outcome(number: int, split: str, *, correct: bool = True) -> Outcome:
    return Outcome(
        sample_id=f"s#{number}", eval_set="t", split=split, predicted=0, correct=correct, log_probs=[-1.0, -2.0],
        gold_log_prob=-1.0, generated=None, generation_correct=None, invalid=False,
    )  # fmt: skip


def start(trials: Path, attempt: str = "1") -> Path:
    working = begin_attempt(trials, "trial", attempt)
    (working / "adapter").mkdir()
    (working / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    write_outcomes(working, "search", outcomes_table([outcome(0, "search")]))
    return working


def publish(trials: Path) -> Path:
    working = start(trials)
    commit_attempt(working, trials / "trial", RESULT.model_copy(update={"adapter_sha256": adapter_sha256(working)}))
    return trials / "trial"


def test_a_published_trial_is_read_back_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    found = read_result(folder)
    assert found.adapter_sha256 == adapter_sha256(folder) is not None
    assert finished_result(folder, "id") == found
    assert finished_result(folder, "another") is None
    assert read_outcomes(folder).column("sample_id").to_pylist() == ["s#0"]
    assert [p.name for p in tmp_path.iterdir()] == ["trial"]
    assert not [p for p in folder.rglob("*") if p.name.startswith(".")]


def test_a_kill_before_the_rename_leaves_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class KilledError(BaseException):
        pass

    def kill(self: Path, target: Path) -> None:
        raise KilledError

    working = start(tmp_path)
    assert finished_result(tmp_path / "trial", "id") is None
    monkeypatch.setattr(Path, "rename", kill)
    with pytest.raises(KilledError):
        commit_attempt(working, tmp_path / "trial", RESULT)
    monkeypatch.undo()
    assert not (tmp_path / "trial").exists()
    assert finished_result(tmp_path / "trial", "id") is None
    assert publish(tmp_path).is_dir()  # the next attempt is not disturbed by what is left


def test_an_attempt_starts_empty(tmp_path: Path) -> None:
    start(tmp_path)
    assert list(begin_attempt(tmp_path, "trial", "1").iterdir()) == []


def test_a_failed_trial_is_replaced(tmp_path: Path) -> None:
    commit_attempt(start(tmp_path), tmp_path / "trial", RESULT.model_copy(update={"status": "oom"}))
    assert finished_result(tmp_path / "trial", "id") is None
    assert finished_result(publish(tmp_path), "id") is not None


@pytest.mark.parametrize("position", [0, -1])
def test_one_wrong_byte_in_the_weights_is_seen(tmp_path: Path, position: int) -> None:
    path = publish(tmp_path) / "adapter" / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(TrialStoreError, match="sha256"):
        read_result(tmp_path / "trial")
    assert finished_result(tmp_path / "trial", "id") is None


def test_a_missing_or_cut_result_is_no_trial(tmp_path: Path) -> None:
    with pytest.raises(TrialStoreError):
        read_result(tmp_path / "nowhere")
    path = publish(tmp_path) / "trial.json"
    path.write_bytes(path.read_bytes()[:-9])
    assert finished_result(tmp_path / "trial", "id") is None


def test_outcomes_have_a_file_for_each_split_and_damage_is_seen(tmp_path: Path) -> None:
    for split in ("search", "sealed"):
        write_outcomes(tmp_path, split, outcomes_table([outcome(i, split) for i in range(50)]))
    assert read_outcomes(tmp_path).num_rows == 100
    assert set(read_outcomes(tmp_path, ["sealed"]).column("split").to_pylist()) == {"sealed"}
    with pytest.raises(TrialStoreError):
        read_outcomes(tmp_path, ["confirm"])
    path = tmp_path / outcomes_file("search")
    data = bytearray(path.read_bytes())
    data[data.index(b"s#0")] ^= 1  # a sample id: without its checksum this would read as another one
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"(?i)crc|checksum|corrupt"):
        read_outcomes(tmp_path, ["search"])


def test_more_scores_leave_the_weights_alone(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    weights = folder / "adapter" / "adapter_model.safetensors"
    before = weights.stat()
    working = begin_attempt(tmp_path, "trial", "2")
    write_outcomes(working, "confirm", outcomes_table([outcome(1, "confirm")]))
    commit_scores(working, folder, read_result(folder).model_copy(update={"train_s": 9.0}))
    assert read_result(folder).train_s == 9.0
    assert read_outcomes(folder).column("sample_id").to_pylist() == ["s#0", "s#1"]
    assert (weights.stat().st_ino, weights.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [p.name for p in tmp_path.iterdir()] == ["trial"]


@pytest.mark.parametrize("num_replaced", [0, 1])
def test_a_kill_while_scores_are_added_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_replaced: int
) -> None:
    class KilledError(BaseException):
        pass

    folder = publish(tmp_path)
    before = read_result(folder)
    working = begin_attempt(tmp_path, "trial", "2")
    write_outcomes(working, "confirm", outcomes_table([outcome(1, "confirm")]))
    replace = Path.replace
    done: list[Path] = []

    def kill_later(self: Path, target: Path) -> Path:
        if len(done) == num_replaced:
            raise KilledError
        done.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", kill_later)
    with pytest.raises(KilledError):
        commit_scores(working, folder, before.model_copy(update={"train_s": 9.0}))
    monkeypatch.undo()
    assert finished_result(folder, "id") == before


def test_leftovers_of_killed_attempts_go_and_finished_trials_stay(tmp_path: Path) -> None:
    begin_attempt(tmp_path, "trial", "1-1")
    (tmp_path / "other").mkdir()
    remove_dead_attempts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def evaluation(split: str, score_id: str) -> Evaluation:
    return Evaluation(
        score_id=score_id, eval_set="t", split=split, exposure="held_out", n=1, correct=1, accuracy=1.0,
        generation_correct=None, generation_accuracy=None, invalid=0, eval_s=0.1,
    )  # fmt: skip


def removed(trials: Path) -> Path:
    """A finished trial with a score, whose weights were removed."""
    working = start(trials)
    scored = {"adapter_sha256": adapter_sha256(working), "evaluations": (evaluation("search", "a"),)}
    commit_attempt(working, trials / "trial", RESULT.model_copy(update=scored))
    remove_adapter(trials / "trial")
    return trials / "trial"


def test_removed_weights_leave_the_scores_and_a_result_that_says_so(tmp_path: Path) -> None:
    folder = removed(tmp_path)
    remove_adapter(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["outcomes-search.parquet", "trial.json"]
    assert read_result(folder).adapter_removed
    assert finished_result(folder, "id") is None
    assert scores_without_weights(folder, "id") == read_result(folder)
    assert scores_without_weights(folder, "another") is None


def test_what_has_all_scores_that_are_asked_for_has_ended_with_or_without_weights(tmp_path: Path) -> None:
    folder = removed(tmp_path)
    assert scored_result(folder, "id", {"a"}) == read_result(folder)
    assert scored_result(folder, "id", {"a", "further"}) is None
    assert scored_result(folder, "another", {"a"}) is None
    assert scored_result(tmp_path / "nothing", "id", frozenset()) is None


def test_a_kill_while_weights_are_removed_leaves_a_finished_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = publish(tmp_path)

    def kill(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trainers.trial.folder.shutil.rmtree", kill)
    with pytest.raises(KeyboardInterrupt):
        remove_adapter(folder)
    monkeypatch.undo()
    assert scores_without_weights(folder, "id") is not None
    remove_adapter(folder)
    assert not (folder / "adapter").exists()


def test_weights_that_are_trained_again_come_to_the_scores_that_are_there(tmp_path: Path) -> None:
    folder = removed(tmp_path)
    working = begin_attempt(tmp_path, "trial", "2")
    (working / "adapter").mkdir()
    (working / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    write_outcomes(working, "confirm", outcomes_table([outcome(1, "confirm")]))
    new = {"adapter_sha256": adapter_sha256(working), "evaluations": (evaluation("confirm", "b"),)}
    commit_attempt(working, folder, RESULT.model_copy(update=new))
    found = finished_result(folder, "id")
    assert found is not None
    assert [e.score_id for e in found.evaluations] == ["a", "b"]
    assert read_outcomes(folder).column("sample_id").to_pylist() == ["s#0", "s#1"]
    assert [p.name for p in tmp_path.iterdir()] == ["trial"]


def test_where_that_fails_the_scores_stay(tmp_path: Path) -> None:
    folder = removed(tmp_path)
    before = read_result(folder)
    commit_attempt(begin_attempt(tmp_path, "trial", "2"), folder, RESULT.model_copy(update={"status": "oom"}))
    assert read_result(folder) == before
    assert read_outcomes(folder).column("sample_id").to_pylist() == ["s#0"]
