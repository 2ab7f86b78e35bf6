"""A study's jobs are found again by its directory, and never run twice at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.jobs_client import open_client
from cluster.study_jobs import PREFIX, StudyJob, list_study_jobs, metadata_of, name_of, next_id, options_of
from cluster.submit import submit, to_shell
from tests.makers.ray_head import HeadNode


def job(attempt: int, status: str = "FAILED") -> StudyJob:
    return StudyJob(job_id=f"recombine-x-try{attempt}", study="x", run_dir="/x", status=status, started_s=None)


def test_a_directory_has_one_name_however_it_is_written(tmp_path: Path) -> None:
    run = tmp_path / "My Run (2)"
    run.mkdir()
    (tmp_path / "link").symlink_to(run)
    assert name_of(run).startswith(f"{PREFIX}my-run-2-")
    assert name_of(tmp_path / "link") == name_of(run)
    assert name_of(tmp_path / "a" / ".." / "My Run (2)") == name_of(run)
    assert name_of(tmp_path / "other" / "My Run (2)") != name_of(run)


def test_attempts_are_numbered_on() -> None:
    assert next_id("recombine-x", []) == "recombine-x-try1"
    assert next_id("recombine-x", [job(2), job(10), job(1)]) == "recombine-x-try11"
    assert [job(1, status).has_ended for status in ("PENDING", "RUNNING", "STOPPED", "FAILED", "SUCCEEDED")] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_options_are_read_from_whatever_command_a_job_has(tmp_path: Path) -> None:
    command = ["recombine", "run", "it's.yaml", "name=--accept-loss", "--run-dir", "r", "--topup"]
    assert options_of(to_shell(tmp_path, command)) == ("--topup",)
    assert options_of("recombine run s.yaml\n  --topup --accept-loss") == ("--accept-loss", "--topup")
    assert options_of("echo it's --topup") == ("--topup",)


def test_a_job_names_its_study_and_some_of_its_targets(tmp_path: Path) -> None:
    shown = metadata_of("mine", tmp_path / "run", ["ct-lung", "mr-brain"])
    assert shown == {"study": "mine", "run_dir": str(tmp_path / "run"), "targets": "ct-lung, mr-brain"}
    many = metadata_of("mine", tmp_path, [f"target-{number}" for number in range(53)])["targets"]
    assert many.endswith("target-7 and 45 more")
    assert len(metadata_of("mine", tmp_path, ["x" * 10**6])["targets"]) == 400


@pytest.mark.ray
def test_a_job_that_kuberay_has_named_is_found_by_its_directory(
    head: HeadNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)
    client, job_id = open_client(head.address_http), "recombine-my-study-x7k2p"
    client.submit_job(
        submission_id=job_id, entrypoint="true", metadata=metadata_of("mine", tmp_path / "run", ["ct-lung"])
    )
    assert [job.job_id for job in list_study_jobs(client, name_of(tmp_path / "run"))] == [job_id]
    assert list_study_jobs(client, name_of(tmp_path / "other")) == []
    assert next_id("recombine-x", list_study_jobs(client, name_of(tmp_path / "run"))) == "recombine-x-try1"


@pytest.mark.ray
def test_what_runs_is_attached_to_and_what_has_ended_is_tried_again(
    head: HeadNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)
    (tmp_path / "empty").mkdir()
    name, lines = name_of(tmp_path / "run"), list[str]()
    gate = tmp_path / "gate"
    given = {
        "address": head.address_http,
        "folder": tmp_path / "empty",
        "entrypoint": ["sh", "-c", f"echo begun; until [ -e {gate} ]; do sleep 0.2; done; exit 3"],
        "name": name,
        "metadata": metadata_of("mine", tmp_path / "run", ["ct-lung"]),
        "on_line": lines.append,
    }
    assert submit(**given, follow=False) == 0  # type: ignore[arg-type]
    (first,) = list_study_jobs(open_client(head.address_http), name)
    assert (first.job_id, first.study, first.run_dir) == (f"{name}-try1", "mine", str(tmp_path / "run"))
    assert not first.has_ended
    gate.touch()
    assert submit(**given) == 3  # type: ignore[arg-type]
    assert f"{name}-try1 runs this study already: attached to it." in lines
    assert "begun" in lines
    assert submit(**given) == 3  # type: ignore[arg-type]
    assert [job.job_id for job in list_study_jobs(open_client(head.address_http), name)] == [
        f"{name}-try2",
        f"{name}-try1",
    ]
