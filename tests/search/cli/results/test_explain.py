"""`recombine explain` on the ledger of a study: tables, JSON, new datasets, top-ups, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from search.cli.verbs import app
from search.evidence.explain.wanted_trials import read_wanted
from search.ledger.ledger import Ledger
from search.study.load_study import load_study
from search.study.run_dir import RunDir, claim_run_dir
from tests.makers.study_fixture import write_study

SCORES = {
    ("ct-lung",): 0.9,
    ("ct-brain",): 0.5,
    ("mr-brain",): 0.6,
    ("ct-lung", "ct-brain"): 0.8,
    ("ct-lung", "mr-brain"): 0.95,
    ("ct-brain", "ct-lung", "mr-brain"): 0.85,
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = write_study(tmp_path)
    fill(path, tmp_path / "runs" / "tiny")
    return path


def fill(
    study: Path,
    run_dir: Path,
    *,
    store: str = "s",
    backbone: str = "b",
    seed: int = 0,
    later: Mapping[str, str] | None = None,
    has_words: bool = False,
) -> None:
    claim_run_dir(RunDir(run_dir), load_study(study).spec, {"store": store, "backbone": backbone, **(later or {})})
    for subsets, score in SCORES.items():
        _add(run_dir, subsets, score, seed=seed, has_words=has_words)


def _add(
    run_dir: Path,
    subsets: tuple[str, ...],
    score: float = 0.7,
    *,
    stage: str = "search",
    strategy: str = "random",
    seed: int = 0,
    has_words: bool = False,
) -> None:
    evaluation = {"eval_set": "mr-lung", "split": "search", "exposure": "held_out", "accuracy": score}
    evaluation |= {"n": 4, "correct": 2, "score_id": "s"}
    if has_words:
        evaluation["free_answers"] = {"open": {"n": 4, "correct": 2, "token_f1": score, "invalid": 0}}
    with Ledger.open(run_dir / "ledger", writer=True) as ledger:
        ledger.append(
            {
                "kind": "trial", "stage": stage, "status": "finished", "strategy": strategy, "arm": "p",
                "composition": dict.fromkeys(subsets, 4), "evaluations": [evaluation], "train_id": f"{subsets} {seed}",
                "seed": seed,
            }
        )  # fmt: skip


def call(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["explain", *map(str, arguments)])
    return result.exit_code, result.output, str(result.exception)


def test_tables_say_what_helps_and_the_file_holds_the_same(study: Path) -> None:
    code, output, _ = call(study)
    assert code == 0
    assert "6 trials, random or single" in output
    assert "Banzhaf value" in output
    assert "large effects are understated" in " ".join(output.split())
    written = json.loads((study.parent / "runs" / "tiny" / "report" / "explanation.json").read_text())
    values = {e["subject"]: e["value"] for e in written["effects"] if e["kind"] == "banzhaf"}
    assert max(values, key=lambda name: values[name]) == "ct-lung"
    code, output, _ = call(study, "--json")
    assert json.loads(output) == written


def test_a_new_dataset_and_a_top_up(study: Path) -> None:
    code, output, _ = call(study, "--new", "MR/lung/nodule/temporal", "--sharpen", "ct-brain", "--num-trials", "2")
    assert code == 0
    assert "What a new dataset is expected to bring" in output
    assert "Trials that sharpen the effect of ct-brain" in output
    assert "expected after these" in output
    run_dir = RunDir(study.parent / "runs" / "tiny")
    effect, compositions = read_wanted(run_dir)
    assert (effect, len(compositions)) == ("ct-brain", 1)  # of the seven compositions six have been tried
    found = json.loads(call(study, "--json", "--sharpen", "ct-brain")[1])
    assert found["sharpen"]["compositions"] == [dict(composition) for composition in compositions]
    assert found["sharpen"]["half_width_after"] < found["sharpen"]["half_width_before"]


def test_a_top_up_counts_among_the_trials_and_is_said_to_be_chosen(study: Path) -> None:
    _add(study.parent / "runs" / "tiny", ("mr-brain", "ct-brain"), stage="top_up", strategy="")
    assert "7 trials, chosen by what came before" in call(study)[1]


def test_mistakes_name_what_is_near(study: Path) -> None:
    assert "Did you mean 'ct-brain'" in call(study, "--sharpen", "ct-brian")[2]
    assert "no effect was named" in call(study, "--num-trials", "2")[2]
    assert "neither a subset of the catalog nor a key" in call(study, "--new", "ct-lugn")[2]
    assert "is no key" in call(study, "--new", "MR/lung/nodule/tempral")[2]


def test_trials_of_other_data_or_weights_do_not_count_while_studies_run_either(study: Path, tmp_path: Path) -> None:
    same, other, weights = tmp_path / "same", tmp_path / "other", tmp_path / "weights"
    fill(study, same, seed=1)
    fill(study, other, store="t")
    fill(study, weights, backbone="c")
    assert "12 trials" in call(study, "--also", same)[1]
    assert "6 trials" in call(study, "--also", study.parent / "runs" / "tiny")[1]  # each counts once
    (same / "run.json").write_text(json.dumps({"store_fingerprint": "s"}))  # it has ended
    assert "12 trials" in call(study, "--also", same)[1]
    assert 'identity.store: was "s", is "t"' in call(study, "--also", other)[2]
    assert 'identity.backbone: was "b", is "c"' in call(study, "--also", weights)[2]


def test_rules_for_words_part_studies_that_have_both_scored_words(study: Path, tmp_path: Path) -> None:
    words, before = tmp_path / "words", tmp_path / "before"
    fill(study, words, seed=1, later={"scorer": "2"}, has_words=True)
    fill(study, before, seed=2, has_words=True)  # begun by a version that compared words by the first rules
    assert "12 trials" in call(study, "--also", words)[1]
    assert "12 trials" in call(study, "--also", before)[1]
    refused = call(study, "--run-dir", before, "--also", words)[2]
    assert 'identity.scorer: was "1", is "2"' in refused
