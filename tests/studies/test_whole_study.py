"""Two whole studies, one undisturbed and nested, one beside it pooled, killed and resumed (the fixture `runs`).

They must end with the same tables: both executors are the same experiment, and a kill costs time only.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from search.cli.verbs import app
from search.evidence.matrix.transfer_matrix import TRANSFER_COLUMNS
from search.evidence.trials_table import TRIAL_COLUMNS
from search.vocabulary import Status
from tests.makers.chromium import needs_chromium, visit_page
from tests.studies.tiny_study import (
    ABILITY,
    KILL_AFTER,
    SOURCES,
    TARGET,
    Runs,
    comparable_trials,
    finished_trials,
    recombine,
    trial_records,
)

# The first test that asks for `runs` also makes them: 413 s at a load of 30 on two cores.
pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]


def test_a_killed_study_loses_and_repeats_nothing(runs: Runs) -> None:
    assert len(runs.finished_before_kill) >= KILL_AFTER
    after = finished_trials(runs.killed)
    scored_again_on_sealed = {
        r["trial_dir"].split("/")[1] for r in trial_records(runs.killed) if r["stage"] == "sealed"
    }
    for folder, written in runs.finished_before_kill.items():
        assert folder in after
        if folder not in scored_again_on_sealed:
            assert after[folder] == written, f"{folder} ran again"
    roles = Counter((r["train_id"], r["stage"], r["arm"]) for r in trial_records(runs.killed))
    assert max(roles.values()) == 1
    recorded = {r["trial_dir"].split("/")[1] for r in trial_records(runs.killed)}
    assert recorded == set(after)


def test_calm_and_killed_end_with_the_same_tables(runs: Runs) -> None:
    pd.testing.assert_frame_equal(comparable_trials(runs.calm), comparable_trials(runs.killed))
    for name in ("report/transfer.csv", "selection/selection.json", "selection/mix.yaml"):
        assert (runs.calm / name).read_bytes() == (runs.killed / name).read_bytes(), name


def test_slots_say_where_their_time_went(runs: Runs) -> None:
    """The resumed half ran on two nodes with room for one slot each."""
    info = json.loads((runs.killed / "run.json").read_text())
    assert {use["slot"] for use in info["slots"]} == {"slot-0", "slot-1"}
    assert sum(use["num_trials"] for use in info["slots"]) == len(
        {r["train_id"] for r in trial_records(runs.killed) if not r["reused"] and r["stage"] != "sealed"}
    )
    assert info["phase_seconds"]["train"] > 0
    trace = json.loads((runs.killed / "report" / "timeline.json").read_text())["traceEvents"]
    assert {event["name"] for event in trace} >= {"train", "score", "checkpoint", "process_name"}
    shown = recombine("status", runs.killed)
    assert "slot-0" in shown.stdout


def test_the_same_command_again_runs_nothing(runs: Runs) -> None:
    before = trial_records(runs.calm)
    again = recombine("run", runs.study, "--run-dir", runs.calm)
    assert again.returncode == 0, again.stderr
    assert trial_records(runs.calm) == before


def test_tables_have_the_promised_columns_and_recompute(runs: Runs) -> None:
    trials = pd.read_parquet(runs.calm / "report" / "trials.parquet")
    assert list(trials.columns) == list(TRIAL_COLUMNS)
    matrix = pd.read_csv(runs.calm / "report" / "transfer.csv")
    assert tuple(matrix.columns) == tuple(TRANSFER_COLUMNS)
    assert (matrix["training_noise_freedom"] == 1).all(), "the repeated source has lent its noise to every cell"
    assert set(trials["status"]) == {Status.finished.value}
    for record in trial_records(runs.calm):
        for score in record["evaluations"]:
            outcomes = pd.read_parquet(runs.calm / record["trial_dir"] / f"outcomes-{score['split']}.parquet")
            mine = outcomes[outcomes["eval_set"] == score["eval_set"]]
            assert (len(mine), int(mine["correct"].sum())) == (score["n"], score["correct"])
            assert int(mine["invalid"].sum()) == score["invalid"]


def test_every_phase_left_its_trials(runs: Runs) -> None:
    stages = Counter(r["stage"] for r in trial_records(runs.calm))
    assert stages["baseline"] == 1
    assert stages["search"] == 4
    assert stages["single"] == len(SOURCES) + 1  # one is repeated
    assert stages["control"] >= 2
    assert stages["confirm"] >= 2
    arms = {r["arm"] for r in trial_records(runs.calm)}
    assert {"baseline", "finalist-1", f"control:{TARGET}", f"control:{ABILITY}"} <= arms


def test_sealed_was_opened_once_and_only_for_the_selection_and_its_comparators(runs: Runs) -> None:
    info = json.loads((runs.calm / "run.json").read_text())
    assert info["sealed_openings"] == 1
    opened = {r["arm"] for r in trial_records(runs.calm) for e in r["evaluations"] if e["split"] == "sealed"}
    assert "finalist-1" in opened
    assert not any(arm.startswith(("proposal-", "single:")) for arm in opened)
    selection = json.loads((runs.calm / "selection" / "selection.json").read_text())
    assert {e["eval_set"] for e in selection["estimates"]["sealed"]} == {TARGET, ABILITY, "mean"}


def test_spoiled_images_are_counted_and_shown(runs: Runs) -> None:
    info = json.loads((runs.calm / "run.json").read_text())
    assert sum(info["quarantine"][SOURCES[0]].values()) == 2
    page = (runs.calm / "report" / "index.html").read_text()
    assert "missing_image" in page or "missing image" in page


def test_output_and_files_hold_no_question(runs: Runs) -> None:
    records = json.loads(next((runs.study.parent / "phantom" / "subsets").glob("Subset--*-train.json")).read_text())
    question = records[0]["Question"]
    assert question not in runs.output
    assert question not in (runs.calm / "report" / "index.html").read_text()
    assert question not in (runs.calm / "ledger" / "records.log").read_text()


def test_the_terminal_ends_with_selection_matrix_and_report(runs: Runs) -> None:
    tail = runs.output.splitlines()[-30:]
    assert any(line.startswith(("Train on", "The mix that was selected")) for line in tail)
    assert any(line.startswith("Transfer matrix") for line in tail)
    assert tail[-1] == f"report: {runs.calm / 'report' / 'index.html'}"
    assert tail[-2] == f"for a paper: {runs.calm / 'report' / 'appendix.md'}, and the same as LaTeX"
    assert "Traceback" not in runs.output


def test_a_changed_study_is_not_resumed(runs: Runs) -> None:
    refused = recombine("run", runs.study, "recipe.num_steps=3", "--run-dir", runs.calm)
    assert refused.returncode == 2
    assert "recipe.num_steps: was 2, is 3" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == "", "it is refused before a Ray is started"


def test_status_and_report_need_no_cluster(runs: Runs) -> None:
    status = recombine("status", runs.calm)
    assert status.returncode == 0
    assert "4 of 4 proposals" in status.stdout
    before = (runs.calm / "selection" / "selection.json").read_bytes()
    written = CliRunner().invoke(app, ["report", str(runs.study), "--run-dir", str(runs.calm)])
    assert written.exit_code == 0, written.output
    assert (runs.calm / "selection" / "selection.json").read_bytes() == before


def test_both_verify_without_study_file_or_data(runs: Runs, tmp_path: Path) -> None:
    for run_dir in (runs.calm, runs.killed):
        mailed = tmp_path / run_dir.name
        shutil.copytree(run_dir, mailed)
        checked = CliRunner().invoke(app, ["verify", str(mailed)])
        assert checked.exit_code == 0, checked.output
    adapter = next(mailed.glob("trials/*/adapter/adapter_model.safetensors"))
    adapter.write_bytes(adapter.read_bytes()[:-1] + b"?")
    checked = CliRunner().invoke(app, ["verify", str(mailed)])
    assert (checked.exit_code, checked.stdout.splitlines()[0]) == (
        1,
        f"{adapter.relative_to(mailed)}: its SHA-256 is not the one that the ledger lists",
    )


@pytest.mark.browser
@needs_chromium
def test_the_report_of_a_real_study_opens_quietly(runs: Runs) -> None:
    page = runs.calm / "report" / "index.html"
    visit = visit_page(page, width_px=1280, expressions=["document.querySelectorAll('[data-chart] svg').length"])
    assert visit.console == []
    assert visit.requests == [page.as_uri()]
    assert visit.values[0] >= 4
