"""A study that is real in every part and as small as it gets: phantom subsets, two steps a trial."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from datasets_spec.phantom.write import write_phantom
from search.ledger.ledger import Ledger, LedgerError

SOURCES = ("ct-lung-grading", "mri-brain-staging", "xray-brain-grading")
CONTROL_SOURCES = ("oct-kidney-staging", "mri-bone-staging")
TARGET, ABILITY = "xray-lung-grading", "ct-brain-grading-temporal"
KILL_AFTER = 9  # trials in the ledger: the matrix has 7 with the baseline, so in the middle of the search
MEASURED_TIMES = ("train_s", "eval_s", "startup_s", "queue_s", "data_s", "score_s", "checkpoint_s", "slot", "pack_size")

STUDY: dict[str, Any] = {
    "name": "tiny",
    "catalog": "phantom/catalog.yaml",
    "targets": [TARGET],
    "abilities": [ABILITY],
    "control_sources": list(CONTROL_SOURCES),
    "objective": "pareto",
    "space": {
        "composition": {"sources": list(SOURCES), "num_samples": [8, 16], "budget": 24, "max_size": 2},
        "recipe": {"learning_rate": {"kind": "log_uniform", "low": 0.001, "high": 0.02}},
    },
    "recipe": {"num_steps": 2, "batch_size": 4},
    "strategy": {"name": "optuna-tpe", "num_trials": 4},
    "transfer": {"repeats": 1, "repeat_seeds": [11]},
    "confirm": {"num_finalists": 1, "seeds": [101]},
    "execution": {"num_workers": 0, "max_concurrent": 2},
    "deterministic": True,
}


@dataclass(frozen=True)
class Runs:
    """Two whole studies of one file: the fixture `runs` makes them once for all that look at them."""

    study: Path
    calm: Path
    killed: Path
    output: str
    finished_before_kill: dict[str, tuple[float, float]]


def write_study(folder: Path, **changes: Any) -> Path:
    """Write corpus and study file; returns the study file."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "phantom").exists():
        write_phantom(
            folder / "phantom",
            subsets=[*SOURCES, *CONTROL_SOURCES, TARGET, ABILITY],
            num_pool=60,
            num_test=12,
        )
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes), encoding="utf-8")
    return path


def spoil_images(folder: Path) -> None:
    """Cut one image of a source and remove another, as real folders have it."""
    images = sorted((folder / "phantom" / "images" / SOURCES[0]).rglob("*.png"))
    images[0].write_bytes(images[0].read_bytes()[:60])
    images[1].unlink()


def environment() -> dict[str, str]:
    """The environment of a command line that knows nothing of other tests' clusters."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return env | {"OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}


def command(*arguments: str | Path) -> list[str]:
    """The installed console script, as a user calls it."""
    script = shutil.which("recombine", path=str(Path(sys.executable).parent))
    assert script is not None, "recombine is not installed in this environment"
    return [script, *map(str, arguments)]


def recombine(*arguments: str | Path, timeout_s: float = 400) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end."""
    return subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, timeout=timeout_s, check=False
    )


def trial_records(run_dir: Path) -> list[dict[str, Any]]:
    """The trial records of a study; none before there is a ledger."""
    try:
        with Ledger.open(run_dir / "ledger", writer=False) as ledger:
            return [record for record in ledger.records() if record["kind"] == "trial"]
    except LedgerError:
        return []


def finished_trials(run_dir: Path) -> dict[str, tuple[float, float]]:
    """Measured training and start-up time of every finished trial folder: a witness that is no ledger.

    A trial that ran again has other times; one that was only scored on further questions keeps them.
    """
    results = {f.parent.name: json.loads(f.read_text()) for f in run_dir.glob("trials/[!.]*/trial.json")}
    return {name: (result["train_s"], result["startup_s"]) for name, result in results.items()}


def first_trials(run_dir: Path) -> dict[str, float]:
    """When the first of the trials that each slot has finished left the queue, in seconds since 1970."""
    firsts: dict[str, float] = {}
    for result in (json.loads(path.read_text()) for path in run_dir.glob("trials/[!.]*/trial.json")):
        began = min(span["started_at"] for span in result["spans"] if span["phase"] != "queue")
        firsts[result["slot"]] = min(began, firsts.get(result["slot"], began))
    return firsts


def comparable_trials(run_dir: Path) -> pd.DataFrame:
    """trials.parquet without the columns that hold measured times."""
    return pd.read_parquet(run_dir / "report" / "trials.parquet").drop(columns=list(MEASURED_TIMES))
