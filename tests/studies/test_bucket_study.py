"""A study whose store is in a bucket: prepared, killed on the way, resumed, looked at, trained on, exported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from datasets_spec.sample import SPLITS
from datasets_spec.storage.files import files_in, sizes_below
from datasets_spec.storage.place import S3Place
from datasets_spec.store.generations import GENERATIONS
from datasets_spec.store.store import Store, open_store
from tests.makers.s3_server import S3Server
from tests.studies.tiny_study import environment, write_study
from trainers.rows.stored_rows import StoredRows

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1500)]

REPOSITORY = Path(__file__).resolve().parents[2]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "search.cli", *map(str, arguments)]


def told(*arguments: str | Path) -> str:
    """What a command that succeeds says."""
    done = subprocess.run(
        command(*arguments),
        env=environment(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def trainers_rows(store: Store) -> list[dict[str, Any]]:
    """All rows, as trials read them."""
    rows = StoredRows(store=store)
    found = [
        dict(rows.with_images(row))
        for subset in store.subsets
        for split in SPLITS
        for row in rows.read(subset, split).to_pylist()
    ]
    # Where an image lies in packs is no part of a row.
    return sorted(({**row, "places": None} for row in found), key=lambda row: row["sample_id"])


def kill_when_images_are_opened(study: Path, root: S3Place, log: Path) -> None:
    """Begins to prepare and kills it as soon as what was learned of the first images is in the bucket."""
    with log.open("wb") as file:
        process = subprocess.Popen(command("data", "prepare", study), env=environment(), cwd=REPOSITORY, stdout=file)
        deadline = time.monotonic() + 300
        while not any(name.endswith(".arrow") for name in files_in(root / "packs")):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def test_a_study_on_a_store_in_a_bucket(tmp_path: Path, s3: S3Server) -> None:
    root = S3Place(s3.bucket, uuid.uuid4().hex)
    study = write_study(tmp_path, store=str(root))
    written = yaml.safe_load(study.read_text(encoding="utf-8"))
    local = tmp_path / "local.yaml"
    local.write_text(yaml.safe_dump(written | {"store": "store"}), encoding="utf-8")

    kill_when_images_are_opened(study, root, tmp_path / "killed.log")
    assert not sizes_below(root / "manifests")
    resumed = told("data", "prepare", study)
    assert "is in use by process" in resumed
    assert " images are known from before; opening " in resumed
    assert not [path for path in sizes_below(root / GENERATIONS) if "/staging/" in path]
    told("data", "prepare", local)

    with open_store(tmp_path / "store") as disk, open_store(root) as bucket:
        assert bucket.fingerprint == disk.fingerprint
        rows = [trainers_rows(store) for store in (bucket, disk)]
        assert rows[0] == rows[1]
        assert len(rows[0]) > 300

    assert "up to date, nothing done" in told("data", "prepare", study)
    assert "rows to load: " in told("plan", study)
    assert "files are as they were written" in told("data", "verify", study)
    assert "0 generations removed" in told("data", "gc", study)
    assert "Rows that show the same" in told("data", "leaks", study)
    told("run", study, "--run-dir", tmp_path / "run")
    trials = pd.read_parquet(tmp_path / "run" / "report" / "trials.parquet")
    assert (trials["status"] == "finished").all()
    assert len(files_in(root / "sealed_openings")) == 1
    assert "wrote " in told("data", "export", study, tmp_path / "out", "--run-dir", tmp_path / "run")
    assert not sizes_below(root / "leases")
