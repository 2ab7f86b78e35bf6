"""`recombine status RUN --watch`: what one screen says of a study, from its ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from search.cli.results.watch import progress_lines, screen
from search.cli.verbs import app
from search.results.study_end import has_ended
from search.study.run_dir import RunDir, read_resolved
from search.study.sections.execution import ExecutionSection
from search.study.spec import StudySpec
from tests.makers.finished_run import finished_study

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return finished_study(tmp_path_factory.mktemp("finished"), {"budget_wall_h": 2.0})[1]


@pytest.fixture
def spec(run_dir: RunDir) -> StudySpec:
    return read_resolved(run_dir)


def in_the_search(run_dir: RunDir) -> list[Any]:
    """The ledger as it was after the first proposal of the search, with three made."""
    records = list(run_dir.read_records())
    end = next(n for n, record in enumerate(records) if record.get("arm") == "proposal-0") + 1
    made = [{"kind": "suggestion", "proposal_index": number} for number in range(3)]
    return [*records[: end - 1], *made, records[end - 1]]


def test_a_running_study_says_its_phase_what_waits_the_best_and_the_budget(run_dir: RunDir, spec: StudySpec) -> None:
    lines = progress_lines(spec, in_the_search(run_dir), NOW)
    assert lines[0] == "tiny: search"
    assert "proposals: 3 of 6 made, 2 running or waiting" in lines[1]
    assert "with ct-lung:8 + mr-brain:8 (one seed, the best of 1" in lines[2]
    assert "hours of 2, " in lines[-1]
    assert lines[-1].endswith(" left")


def test_gpu_hours_are_those_of_the_slots(spec: StudySpec) -> None:
    section = ExecutionSection.model_validate({"gpus_per_worker": 1, "slots": [{"count": 2, "gpus": 4}]})
    large = spec.model_copy(update={"execution": section, "budget_gpu_hours": 10.0, "budget_wall_h": None})
    trial = {"kind": "trial", "stage": "search", "status": "failed", "reused": False, "proposal_index": 0}
    records: list[Any] = [{**trial, "slot": "slot-0", "seconds": {"train": 3600.0}}]
    assert progress_lines(large, records, NOW)[-2:] == [
        "used: 1.00 slot hours", "used: 4.00 GPU hours of 10, 6.00 left",
    ]  # fmt: skip


def test_targets_have_their_untrained_and_best_score(run_dir: RunDir, spec: StudySpec) -> None:
    console = Console(width=200)
    with console.capture() as shown:
        console.print(screen(spec, in_the_search(run_dir), NOW))
    (line,) = [line for line in shown.get().splitlines() if line.startswith("mr-lung")]
    untrained, best = (float(cell.rstrip("%")) for cell in line.split()[1:3])
    assert untrained < best
    assert line.split()[3] == "5"  # four singles and a proposal


def test_a_study_that_goes_on_has_not_ended(run_dir: RunDir) -> None:
    records = run_dir.read_records()
    assert has_ended(records)
    assert not has_ended([*records, {"kind": "writer"}])
    assert not has_ended([])


def test_a_study_that_was_resumed_has_ended_when_its_results_are_listed_again(run_dir: RunDir, spec: StudySpec) -> None:
    records = [*run_dir.read_records(), {"kind": "writer", "opened_at": NOW.isoformat()}, {"kind": "results"}]
    assert has_ended(records)
    later = NOW + timedelta(hours=1)
    assert progress_lines(spec, records, later) == progress_lines(spec, records, NOW)
    killed = [{"kind": "writer"}, {"kind": "results"}]  # its report was written, and it never ended
    assert not has_ended(killed)


def test_without_a_terminal_it_is_shown_once(run_dir: RunDir, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["status", str(run_dir), "--watch"])
    assert done.exit_code == 0, done.output
    assert "tiny: ended" in done.output
