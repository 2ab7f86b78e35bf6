"""The Slurm recipe, run by a real Slurm of three nodes on this host: cancelled once, and gone on with."""

from __future__ import annotations

import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.deploy.test_onprem import write_program
from tests.makers.slurm import Slurm, missing_programs, start_slurm
from tests.studies.tiny_study import finished_trials, trial_records, write_study
from trainers.training.checkpoints import checkpoint_file, load_checkpoint

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
# In place of a study one that goes on until it is asked to stop, and has ended when it is run again; and no Ray.
STUBS = {
    "ray": '[ "$1" = start ] && exec sleep 600',
    "python3": "exit 0",
    "recombine": """
        trap 'kill $!; exit 143' TERM
        [ "$1 $3" = "status --require-end" ] && exec cat "$HOME/end"
        [ -e "$HOME/again" ] && exit 0
        touch "$HOME/again"
        sleep 600 & wait
    """,
}
ENDS = ("FAILED", "COMPLETED", "TIMEOUT", "CANCELLED")


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


def submit(slurm: Slurm, study: Path, run_dir: Path, *options: str) -> str:
    output = f"--output={slurm.folder}/job-%j.out"
    return slurm.run("sbatch", "--parsable", "--nodes=2", output, *options, str(SCRIPT), str(study), str(run_dir))


def output_of(slurm: Slurm, job: str) -> str:
    return (slurm.folder / f"job-{job}.out").read_text(errors="replace")


def test_a_study_is_cancelled_and_goes_on_in_the_next_job(slurm: Slurm, tmp_path: Path) -> None:
    study, run_dir = study_of(tmp_path, num_steps=200, checkpoint_s=0.5), tmp_path / "run"
    first = submit(slurm, study, run_dir)
    wait_for_trials(slurm, first, run_dir, 1)
    for number in (0, 1):
        folder = Path(f"/tmp/recombine-{first}-{number}")
        assert ((folder / "r").is_dir(), stat.S_IMODE(folder.stat().st_mode)) == (True, 0o700)
    slurm.run("scancel", "--batch", "--signal=TERM", first)
    assert slurm.wait_for(first, ENDS, 120) == "FAILED 143:0", output_of(slurm, first)
    assert "The same command goes on from there" in output_of(slurm, first)
    assert not (run_dir / "report" / "index.html").exists()
    before = finished_trials(run_dir)

    second = submit(slurm, study, run_dir)
    assert slurm.wait_for(second, ENDS, LIMIT_S) == "COMPLETED 0:0", output_of(slurm, second)
    assert (run_dir / "report" / "index.html").exists()
    after = finished_trials(run_dir)
    assert {name: after[name] for name in before} == before
    assert len(trial_records(run_dir)) == 1 + 2  # the backbone, and the two of the search
    check_nothing_is_left(slurm, first, second)


def test_at_its_time_limit_a_job_saves_and_is_queued_again(slurm: Slurm, tmp_path: Path) -> None:
    """Slurm counts in minutes, and signals up to half of one earlier; the study is longer than any limit."""
    run_dir = tmp_path / "run"
    study = study_of(tmp_path, num_steps=10**6, checkpoint_s=3600.0)
    job = submit(slurm, study, run_dir, "--time=3", "--signal=B:USR1@60")
    slurm.wait_for(job, ("RUNNING",), 60)
    queued = slurm.wait_for(job, ("PENDING", *ENDS), 180)
    assert queued.startswith("PENDING"), queued + output_of(slurm, job)
    assert "the time limit is near; queued again" in output_of(slurm, job)
    saved = steps_saved(run_dir)
    assert saved, output_of(slurm, job)
    assert min(saved.values()) > 0
    check_nothing_is_left(slurm, job)

    study_of(tmp_path, num_steps=10**6, checkpoint_s=0.5)
    slurm.run("scontrol", "update", f"JobId={job}", "TimeLimit=60", "StartTime=now")  # Slurm itself waits two minutes
    ends_at = time.monotonic() + LIMIT_S
    while not any(step > saved.get(trial, step) for trial, step in steps_saved(run_dir).items()):
        assert slurm.state_of(job).startswith(("PENDING", "RUNNING")), output_of(slurm, job)
        assert time.monotonic() < ends_at, output_of(slurm, job)
        time.sleep(0.5)
    slurm.run("scancel", "--batch", "--signal=TERM", job)
    assert slurm.wait_for(job, ENDS, 120) == "FAILED 143:0", output_of(slurm, job)
    check_nothing_is_left(slurm, job)


def test_a_driver_that_ends_at_once_when_asked_is_queued_again(slurm: Slurm, tmp_path: Path) -> None:
    """The shell's `wait` returned the signal's number then, which was taken for the study's exit code."""
    (slurm.folder / "end").write_text("ended\n")
    job = submit_stub(slurm, tmp_path)
    ends_at = time.monotonic() + 60
    while not (slurm.folder / "again").exists() and time.monotonic() < ends_at:
        time.sleep(0.2)
    slurm.run("scancel", "--batch", "--signal=USR1", job)
    assert slurm.wait_for(job, ("PENDING", *ENDS), 60).startswith("PENDING"), output_of(slurm, job)
    slurm.run("scontrol", "update", f"JobId={job}", "StartTime=now")
    assert slurm.wait_for(job, ENDS, 60) == "COMPLETED 0:0", output_of(slurm, job)
    check_nothing_is_left(slurm, job)


def test_a_driver_that_says_0_without_an_end_on_record_is_no_success(slurm: Slurm, tmp_path: Path) -> None:
    """Where its page lies says nothing: one of several backbones is elsewhere, and one may be of a run before."""
    (slurm.folder / "again").touch()
    (tmp_path / "run" / "report").mkdir(parents=True)
    (tmp_path / "run" / "report" / "index.html").write_text("an older page")
    job = submit_stub(slurm, tmp_path)
    assert slurm.wait_for(job, ENDS, 60) == "FAILED 1:0", output_of(slurm, job)


def submit_stub(slurm: Slurm, folder: Path) -> str:
    """Submit what stands in for Ray and for a study, whose end is on record if there is a file `end`."""
    for name, script in STUBS.items():
        write_program(slurm.folder / "bin" / name, script)
    return submit(slurm, folder / "study.yaml", folder / "run", f"--export=ALL,RECOMBINE_BIN={slurm.folder}/bin")


def steps_saved(run_dir: Path) -> dict[str, int]:
    """Trials that are under way, and the step from which each goes on."""
    files = checkpoint_file(run_dir, "any").parent.glob("*.safetensors")
    states = {file.stem: load_checkpoint(file, file.stem) for file in files}
    return {trial: state.optimizer.num_steps for trial, state in states.items() if state is not None}


def study_of(folder: Path, *, num_steps: int, checkpoint_s: float) -> Path:
    return write_study(
        folder,
        strategy={"name": "random", "num_trials": 2},
        recipe={"num_steps": num_steps, "batch_size": 4},
        execution={"num_workers": 1, "max_concurrent": 2, "pack": 1, "checkpoint_s": checkpoint_s},
        transfer={"enabled": False},
        confirm={"enabled": False},
    )


def check_nothing_is_left(slurm: Slurm, *jobs: str) -> None:
    for job in jobs:
        assert not list(Path("/tmp").glob(f"recombine-{job}-*"))
    ends_at = time.monotonic() + 15  # helpers of Python's own see that their parent has gone
    while (left := processes_of(slurm)) and time.monotonic() < ends_at:
        time.sleep(0.2)
    assert not left


def test_a_study_that_cannot_begin_is_no_success(slurm: Slurm, tmp_path: Path) -> None:
    job = submit(slurm, tmp_path / "no-study.yaml", tmp_path / "run")
    state = slurm.wait_for(job, ENDS, 300)
    assert state == "FAILED 2:0", output_of(slurm, job)
    assert "no-study.yaml" in output_of(slurm, job)


def wait_for_trials(slurm: Slurm, job: str, run_dir: Path, number: int) -> None:
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
