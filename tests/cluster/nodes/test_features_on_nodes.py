"""A head alone has no room for kept vision features: it is counted with the nodes that come for the slots."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.makers.ray_head import start_head
from tests.studies.tiny_study import recombine, trial_records, write_study

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(900)]

CHANGES = {
    "strategy": {"name": "random", "num_trials": 2},
    "confirm": {"enabled": False},
    "execution": {"num_workers": 1, "max_concurrent": 2, "pack": 1},
}
# Half of the head's store are 64 MiB, with one node's 114, with both nodes' 164 (`start_head`).
DRIVER = (
    "import sys; from search.engine import setup; setup._feature_bytes = lambda opened: 150.0 * 2**20\n"
    "from search.cli import main; main()"
)


def test_features_are_kept_where_the_nodes_that_come_have_room_for_them(tmp_path: Path) -> None:
    study, run_dir = write_study(tmp_path, **CHANGES), tmp_path / "run"
    # Before, so that no node has come for the data when features are decided upon.
    assert recombine("data", "prepare", study).returncode == 0
    with start_head(num_cpus=0, max_nodes=2) as head:
        arguments = ["run", study, "transfer.enabled=false", "--run-dir", run_dir, "--address", head.gcs_address]
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, *map(str, arguments)],
            env=head.env, capture_output=True, text=True, check=False, timeout=800, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 0, said
    assert "data: up to date" in said
    assert "have no room for them; those of the slots are asked for" in said
    assert "vision features: computed once a study (about 0.15 GiB; 0.16 GiB" in said, said
    assert {record["status"] for record in trial_records(run_dir)} == {"finished"}
