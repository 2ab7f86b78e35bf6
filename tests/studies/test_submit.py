"""A study as a Ray job on a real head node with token authentication."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.makers.ray_head import HeadNode
from tests.studies.tiny_study import Runs, command, comparable_trials, environment, write_study

# The first test that asks for `runs` also makes them: 413 s at a load of 30 on two cores.
pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]
SMALL = ("confirm.enabled=false", "transfer.enabled=false")


def _submit(study: Path, run_dir: Path, head: HeadNode, token: str) -> subprocess.CompletedProcess[str]:
    arguments = command("submit", study, *SMALL, "--address", head.address_http, "--run-dir", run_dir)
    env = environment() | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    return subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=400, check=False)


def test_a_submitted_study_has_the_outcome_of_a_local_one(head: HeadNode, runs: Runs, tmp_path: Path) -> None:
    submitted = _submit(runs.study, tmp_path / "submitted", head, head.token)
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    assert "search 4:" in submitted.stdout  # the job's own lines, followed
    mine, local = comparable_trials(tmp_path / "submitted"), comparable_trials(runs.calm)
    # The local study went on; up to the end of the search both are the same study.
    shared = local[local["stage"].isin(["baseline", "search"]) & (local["split"] != "sealed")]
    pd.testing.assert_frame_equal(mine, shared.reset_index(drop=True))
    again = _submit(runs.study, tmp_path / "submitted", head, head.token)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == f"this study has ended; report: {tmp_path / 'submitted' / 'report' / 'index.html'}\n"
    env = environment() | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": head.token}
    listed = subprocess.run(
        [*command("jobs"), "--address", head.address_http], env=env, capture_output=True, text=True, check=True
    )
    (row,) = (line for line in listed.stdout.splitlines() if str(tmp_path / "submitted") in line)
    assert "succeeded" in row


def test_a_wrong_token_is_said_and_nothing_runs(head: HeadNode, tmp_path: Path) -> None:
    study = write_study(tmp_path)
    refused = _submit(study, tmp_path / "submitted", head, "0" * 64)
    assert refused.returncode == 2
    assert "token" in refused.stderr.lower()
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "submitted").exists()


def test_a_job_that_fails_gives_its_exit_code(head: HeadNode, tmp_path: Path) -> None:
    """This one prepares its data in the job; the first finds them prepared."""
    study = write_study(tmp_path, quarantine_limit=0.0)
    image = next((tmp_path / "phantom" / "images" / "ct-lung-grading").rglob("*.png"))
    image.write_bytes(b"cut")
    failed = _submit(study, tmp_path / "submitted", head, head.token)
    assert failed.returncode == 2
    assert "Traceback" not in failed.stdout
