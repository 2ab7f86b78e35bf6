"""The Slurm recipe, run by a real Slurm of three nodes on this host: cancelled once, and gone on with."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.makers.slurm import Slurm, missing_programs, start_slurm
from tests.studies.tiny_study import finished_trials, trial_records, write_study

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        bool(missing_programs()), reason=f"Slurm is not installed (Debian: slurm-wlm): {missing_programs()}"
    ),
]
REPOSITORY = Path(__file__).resolve().parents[3]
SCRIPT = REPOSITORY / "cluster" / "deploy" / "slurm" / "recombine.sbatch"
LIMIT_S = 900.0


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    folder = Path(tempfile.mkdtemp(prefix="sl-", dir="/tmp"))
    monkeypatch.setenv("RECOMBINE_BIN", str(Path(sys.executable).parent))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("HOME", str(folder))
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    with start_slurm(folder) as started:
        yield started
    shutil.rmtree(folder, ignore_errors=True)


def submit(slurm: Slurm, study: Path, run_dir: Path) -> str:
    output = f"--output={slurm.folder}/job-%j.out"
    return slurm.run("sbatch", "--parsable", "--nodes=2", output, str(SCRIPT), str(study), str(run_dir))


def output_of(slurm: Slurm, job: str) -> str:
    return (slurm.folder / f"job-{job}.out").read_text(errors="replace")


def test_a_study_is_cancelled_and_goes_on_in_the_next_job(slurm: Slurm, tmp_path: Path) -> None:
    study = write_study(
        tmp_path,
        strategy={"name": "random", "num_trials": 2},
        recipe={"num_steps": 200, "batch_size": 4},
        execution={"num_workers": 1, "max_concurrent": 2, "pack": 1, "checkpoint_s": 0.5},
        transfer={"enabled": False},
        confirm={"enabled": False},
    )
    run_dir = tmp_path / "run"
    first = submit(slurm, study, run_dir)
    wait_for_trials(slurm, first, run_dir, 1)
    slurm.run("scancel", "--batch", "--signal=TERM", first)
    assert slurm.wait_for(first, ("FAILED", "COMPLETED"), 120) == "FAILED 143:0", output_of(slurm, first)
    assert "The same command goes on from there" in output_of(slurm, first)
    assert not (run_dir / "report" / "index.html").exists()
    before = finished_trials(run_dir)

    second = submit(slurm, study, run_dir)
    assert slurm.wait_for(second, ("FAILED", "COMPLETED"), LIMIT_S) == "COMPLETED 0:0", output_of(slurm, second)
    assert (run_dir / "report" / "index.html").exists()
    after = finished_trials(run_dir)
    assert {name: after[name] for name in before} == before
    assert len(trial_records(run_dir)) == 1 + 2  # the backbone, and the two of the search
    for job in (first, second):
        assert not Path(f"/tmp/recombine-{job}").exists()
    assert not processes_of(slurm)


def test_a_study_that_cannot_begin_is_no_success(slurm: Slurm, tmp_path: Path) -> None:
    job = submit(slurm, tmp_path / "no-study.yaml", tmp_path / "run")
    state = slurm.wait_for(job, ("FAILED", "COMPLETED"), 300)
    assert state == "FAILED 2:0", output_of(slurm, job)
    assert "no-study.yaml" in output_of(slurm, job)


def wait_for_trials(slurm: Slurm, job: str, run_dir: Path, number: int) -> None:
    import time

    ends_at = time.monotonic() + LIMIT_S
    while len(trial_records(run_dir)) < number:
        assert slurm.state_of(job).startswith(("PENDING", "RUNNING", "CONFIGURING")), output_of(slurm, job)
        assert time.monotonic() < ends_at, output_of(slurm, job)
        time.sleep(0.5)


def processes_of(slurm: Slurm) -> list[str]:
    """Command lines of what its jobs have left behind: they inherited its folder as their home."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"HOME={slurm.folder}\0".encode() in (place / "environ").read_bytes():
                found.append((place / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return [line for line in found if not line.startswith(("slurmd", "slurmctld"))]
