import json
import shutil
from pathlib import Path

import pytest

from datasets_spec.errors import UserError
from search.bench.phantom.arms import arms_of
from search.bench.phantom.fine_tune_pool import read_results, run_phantom_trials
from search.bench.phantom.fine_tunes import PhantomTrial, run_phantom_trial
from search.bench.phantom.plan import CONFIRM_QUESTIONS, CONFIRM_SEEDS, QUESTIONS, load_plan
from search.bench.phantom.rows import make_rows
from trainers.backbone_spec import PHANTOM_DIR


def trial(**changes: object) -> PhantomTrial:
    spec: dict[str, object] = {
        "arm": "related",
        "base": str(PHANTOM_DIR),
        "sources": ("ct-lung-staging",),
        "num_samples": 12,
        "seed": 1,
        "targets": ("ct-bone-staging", "ct-bone-staging-temporal"),
        "num_questions": 6,
    }
    return PhantomTrial(**{**spec, **changes})  # type: ignore[arg-type]


def test_a_trial_is_a_function_of_its_spec(short_training: None) -> None:
    first, again = run_phantom_trial(trial()), run_phantom_trial(trial())
    assert first["correct"] == again["correct"]
    assert {name: len(values) for name, values in first["correct"].items()} == dict.fromkeys(trial().targets, 6)
    assert first["cpu_s"]["train"] > 0


def test_every_part_of_the_spec_is_in_the_identity(tmp_path: Path) -> None:
    changes: list[dict[str, object]] = [
        {"sources": ("ct-lung-grading",)}, {"num_samples": 13}, {"seed": 2}, {"targets": ("ct-bone-staging",)},
        {"num_questions": 7}, {"question_split": "confirm"},
    ]  # fmt: skip
    same, other = tmp_path / "same", tmp_path / "other"
    shutil.copytree(PHANTOM_DIR, same)
    shutil.copytree(PHANTOM_DIR, other)
    (other / "model.safetensors").write_bytes(b"other weights")
    identities = {trial().identity, *(trial(**change).identity for change in changes), trial(base=str(other)).identity}
    assert len(identities) == len(changes) + 2
    assert trial(base=str(same)).identity == trial(arm="renamed").identity == trial().identity


def test_finished_trials_are_kept_and_not_run_again(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    baseline = trial(arm="baseline", sources=(), num_samples=0)
    lines: list[str] = []
    first = run_phantom_trials([baseline, baseline], file, num_workers=1, on_event=lines.append)
    assert first[0]["identity"] == first[1]["identity"] == baseline.identity
    assert len(file.read_text().splitlines()) == 1
    with file.open("a") as sink:
        sink.write('{"identity": "half')  # a run that was killed while it wrote
    again = run_phantom_trials([baseline], file, num_workers=1, on_event=lines.append)
    assert json.loads(json.dumps(first[0])) == again[0]
    assert "0 fine-tunes to run, 1 are there already" in lines
    assert list(read_results(file)) == [baseline.identity]
    moved = run_phantom_trials([trial(arm="other", sources=(), num_samples=0)], file, num_workers=1)
    assert moved[0]["arm"] == "other"  # under the name asked for, from what is there


def test_a_damaged_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    file.write_text('{"identity": "a"}\nnot json\n')
    with pytest.raises(UserError, match=r"trials\.jsonl:2"):
        read_results(file)


def test_no_question_of_the_evidence_shows_an_image_that_is_trained_on() -> None:
    """Every source of every arm and of the table, against every target and both sets of questions."""
    plan = load_plan()
    targets = [*(name for target in plan.targets for name in plan.all_of(target)), *plan.table_targets]
    asked = {i for name in targets for split in (QUESTIONS, CONFIRM_QUESTIONS) for i in images(name, 0, split, 8)}
    assert len(asked) > 1_000
    sources = {*plan.table_sources, *(s for t in plan.targets for arm in arms_of(t, 0).values() for s in arm)}
    trained = {i for name in sources for seed in (0, 1, 2, *CONFIRM_SEEDS) for i in images(name, seed, "train", 8)}
    assert len(trained) > 2_000
    assert not asked & trained
    for target in plan.targets[:2]:  # not even the target's own rows would be
        assert not asked & set(images(target, 0, "train", 240))


def images(name: str, seed: int, split: str, num: int) -> list[bytes]:
    return [image for row in make_rows(name, seed=seed, split=split, num=num)["images"].to_pylist() for image in row]


def test_the_untrained_backbone_answers_like_a_coin() -> None:
    """It must know no rule. A reader of no rule at all reaches 53.8 (docs/phantom.md); 1,600 questions, error 1.3."""
    targets = load_plan().targets
    result = run_phantom_trial(trial(sources=(), num_samples=0, targets=targets, num_questions=200))
    answers = [right for correct in result["correct"].values() for right in correct]
    assert len(answers) == 1_600
    assert abs(sum(answers) / 16 - 50) < 5
