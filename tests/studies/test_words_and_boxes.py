"""A real study whose targets are answered by a letter, in words and by a box, from files to report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from datasets_spec.phantom.write import write_phantom
from search.ledger.ledger import Ledger
from tests.studies.tiny_study import recombine, trial_records

pytestmark = [pytest.mark.ray, pytest.mark.slow]
LETTER, WORDS, BOX = "xray-lung-grading", "xray-lung-naming", "xray-lung-locating"
# As in Med-MAT's section 6, some rows of the targets are trained on, beside classification of the same kind of images.
CONTROLS = ("mri-bone-histology", "oct-kidney-laterality")
SOURCES = (WORDS, BOX, "xray-lung-staging")
STUDY: dict[str, Any] = {
    "name": "words-and-boxes",
    "catalog": "phantom/catalog.yaml",
    "targets": [LETTER, WORDS, BOX],
    "few_shot": {WORDS: 180, BOX: 180},
    "control_sources": list(CONTROLS),
    "space": {"composition": {"sources": list(SOURCES), "num_samples": [180], "max_size": 2, "budget": 360}},
    "recipe": {"num_steps": 120, "batch_size": 32},
    "strategy": {"name": "exhaustive", "num_trials": 6},
    "transfer": {"enabled": False},
    "confirm": {"num_finalists": 1, "seeds": [101, 102], "comparators": ["control"]},
    "execution": {"max_concurrent": 1},
}


@dataclass(frozen=True)
class Run:
    folder: Path
    trials: pd.DataFrame
    page: str


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("free")
    subsets = [*SOURCES, *CONTROLS, LETTER, WORDS, BOX]
    write_phantom(folder / "phantom", subsets=subsets, num_pool=400, num_test=40)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    done = recombine("run", folder / "study.yaml", "--run-dir", folder / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    run_dir = folder / "run"
    page = (run_dir / "report" / "index.html").read_text(encoding="utf-8")
    return Run(run_dir, pd.read_parquet(run_dir / "report" / "trials.parquet"), page)


def figures(run: Run, arm: str, target: str, split: str) -> list[dict[str, Any]]:
    trials = run.trials[run.trials["arm"].str.startswith(arm) & (run.trials["status"] == "finished")]
    rows = trials[(trials["eval_set"] == target) & (trials["split"] == split)]
    return [json.loads(text) for text in rows["free_answers"]]


def trained_on(run: Run, source: str, target: str) -> list[dict[str, Any]]:
    """Figures on `search` of the trials whose composition holds a source."""
    rows = run.trials[(run.trials["stage"] == "search") & (run.trials["eval_set"] == target)]
    return [json.loads(r["free_answers"]) for r in rows.to_dict("records") if source in json.loads(r["composition"])]


def test_boxes_and_words_are_learned_by_whom_they_are_taught(run: Run) -> None:
    (untrained,) = figures(run, "baseline", BOX, "confirm")
    assert untrained["box"]["invalid"] == untrained["box"]["n"]  # the base has never written a box
    boxes, words = trained_on(run, BOX, BOX), trained_on(run, WORDS, WORDS)
    assert len(boxes) == len(words) == 3
    assert max(found["box"]["iou"] for found in boxes) > 0.5
    assert max(found["open"]["token_f1"] for found in words) > 0.6
    for control in figures(run, "control", BOX, "confirm"):
        assert control["box"]["iou"] < 0.1


def test_every_figure_is_recomputed_from_the_outcomes(run: Run) -> None:
    for record in trial_records(run.folder):
        frames = [pq.read_table(f).to_pandas() for f in (run.folder / record["trial_dir"]).glob("outcomes*.parquet")]
        outcomes = pd.concat(frames)
        for evaluation in record["evaluations"]:
            own = outcomes[
                (outcomes["eval_set"] == evaluation["eval_set"]) & (outcomes["split"] == evaluation["split"])
            ]
            free = evaluation["free_answers"]
            if evaluation["eval_set"] == LETTER:
                assert free == {}
            elif evaluation["eval_set"] == WORDS:
                assert own["token_f1"].mean() == pytest.approx(free["open"]["token_f1"], abs=1e-6)
            else:
                assert own["iou"].mean() == pytest.approx(free["box"]["iou"], abs=1e-6)
                assert own["intersection"].sum() / own["union"].sum() == pytest.approx(free["box"]["ciou"], abs=1e-6)
            assert own["correct"].sum() == evaluation["correct"]


def test_the_search_and_the_confirmation_go_by_marks(run: Run) -> None:
    searched = run.trials[(run.trials["stage"] == "search") & (run.trials["split"] == "search")]
    boxes = searched[searched["eval_set"] == BOX]
    assert [json.loads(f)["box"]["iou"] for f in boxes["free_answers"]] == pytest.approx(boxes["score"].tolist())
    selection = json.loads((run.folder / "selection" / "selection.json").read_text())
    estimate = next(e for e in selection["estimates"]["sealed"] if e["eval_set"] == BOX)
    assert estimate["accuracy"] == pytest.approx(
        sum(f["box"]["iou"] for f in figures(run, "finalist-1", BOX, "sealed")) / 2, abs=1e-6
    )
    with Ledger.open(run.folder / "ledger", writer=False) as ledger:
        assert any(record["kind"] == "ended" for record in ledger.records())


def test_the_report_shows_the_figures_that_fit(run: Run) -> None:
    for needed in ('id="free-answers-open"', "ROUGE-L", 'id="free-answers-box"', "cIoU", "one box to all"):
        assert needed in run.page
