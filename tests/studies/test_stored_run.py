"""A study directory of the version before (``stored_run``): it resumes, is reported, and its identities still hold.

It was written by that version's code: begun, killed by SIGKILL in the middle of its search, resumed to its end.
Adapters of what was trained after the kill are left out, because nothing here reads them.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from datasets_spec.phantom.write import write_phantom
from datasets_spec.store.manifest import read_manifest
from search.bench.phantom.fine_tunes import PhantomTrial
from search.cli.verbs import app
from search.ledger.ledger import Ledger
from search.study.spec import TransferSection
from tests.studies.tiny_study import finished_trials, recombine, trial_records
from trainers.backbone_spec import PHANTOM_DIR, BackboneSpec
from trainers.recipe import Recipe
from trainers.trial.spec import EvalRequest, TrialSpec

STORED = Path(__file__).parent / "stored_run"
STORE_FINGERPRINT = "82e406fb251740d6a3acadc5493f7c6d55edd5f6a0936af3c2a31d67261c674a"
ROLE = ["train_id", "stage", "arm", "eval_set", "split"]


@dataclass(frozen=True)
class Resumed:
    study: Path
    run_dir: Path
    killed: list[dict[str, Any]]
    finished_before: dict[str, tuple[float, float]]


def _write_corpus(folder: Path) -> None:
    """The stored study's data: phantom questions, and images of whole numbers, equal on every processor."""
    study = yaml.safe_load((STORED / "study.yaml").read_text())
    sources = [*study["space"]["composition"]["sources"], *study["control_sources"]]
    subsets = [*sources, *study["targets"], *study["abilities"]]
    write_phantom(folder, subsets=subsets, num_pool=50, num_test=10)
    for path in folder.rglob("*.png"):
        noise = random.Random(path.relative_to(folder).as_posix()).randbytes(16 * 16)
        Image.frombytes("L", (16, 16), noise).resize((48, 48), Image.Resampling.NEAREST).save(path)


def _restore_killed(run_dir: Path) -> None:
    """Copy the stored directory as the kill left it: what the second writer added is not there yet."""
    shutil.copytree(STORED / "run" / "trials", run_dir / "trials")
    shutil.copy(STORED / "run" / "study.resolved.yaml", run_dir)
    frames = (STORED / "run" / "ledger" / "records.log").read_bytes().splitlines(keepends=True)
    second_writer = [number for number, frame in enumerate(frames) if b'"kind":"writer"' in frame][1]
    (run_dir / "ledger").mkdir()
    (run_dir / "ledger" / "records.log").write_bytes(b"".join(frames[:second_writer]))
    recorded = {record["trial_dir"]: record for record in trial_records(run_dir)}
    for folder in (run_dir / "trials").iterdir():
        record = recorded.get(f"trials/{folder.name}")
        if record is None:
            shutil.rmtree(folder)
            continue
        result = json.loads((folder / "trial.json").read_text())
        result["evaluations"] = record["evaluations"]
        (folder / "trial.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
        (folder / "outcomes-sealed.parquet").unlink(missing_ok=True)


def _records(run_dir: Path) -> list[dict[str, Any]]:
    with Ledger.open(run_dir / "ledger", writer=False) as ledger:
        return list(ledger.records())


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    """The killed study, resumed by today's code."""
    folder = tmp_path_factory.mktemp("stored")
    _write_corpus(folder / "phantom")
    study, run_dir = folder / "study.yaml", folder / "runs" / "stored"
    shutil.copy(STORED / "study.yaml", study)
    _restore_killed(run_dir)
    killed, finished = _records(run_dir), finished_trials(run_dir)
    shown = recombine("run", study, "execution.vision_features=false")  # how it runs may change; this starts sooner
    assert shown.returncode == 0, shown.stdout + shown.stderr
    return Resumed(study, run_dir, killed, finished)


@pytest.mark.ray
def test_nothing_recorded_runs_again(resumed: Resumed) -> None:
    assert Counter(record["kind"] for record in resumed.killed)["trial"] == len(resumed.finished_before) == 3
    records = _records(resumed.run_dir)
    assert records[: len(resumed.killed)] == resumed.killed
    assert [record["kind"] for record in records[-2:]] == ["ended", "results"]
    trained = Counter(
        r["train_id"] for r in trial_records(resumed.run_dir) if not r["reused"] and r["stage"] != "sealed"
    )
    assert max(trained.values()) == 1
    after = finished_trials(resumed.run_dir)
    assert {name: after[name] for name in resumed.finished_before} == resumed.finished_before


@pytest.mark.ray
def test_what_does_not_depend_on_figures_has_the_identity_it_had(resumed: Resumed) -> None:
    manifest = read_manifest(resumed.study.parent / "store")
    assert manifest is not None
    assert manifest.fingerprint == STORE_FINGERPRINT
    fixed = {"baseline", "single"}
    repeated = set(TransferSection().further_seeds)  # that version repeated no source; resumed, two are
    before, after = (
        {r["train_id"]: r["arm"] for r in trial_records(run_dir) if r["stage"] in fixed and r["seed"] not in repeated}
        for run_dir in (STORED / "run", resumed.run_dir)
    )
    assert len(before) == 4
    assert after == before


@pytest.mark.ray
def test_recorded_figures_stand_in_the_new_tables(resumed: Resumed) -> None:
    assert (resumed.run_dir / "report" / "index.html").is_file()
    assert (resumed.run_dir / "selection" / "selection.json").is_file()
    known = {record["train_id"] for record in resumed.killed if record["kind"] == "trial"}
    before, after = (
        pd.read_parquet(run_dir / "report" / "trials.parquet").set_index(ROLE).sort_index()
        for run_dir in (STORED / "run", resumed.run_dir)
    )
    mine = [role for role in before.index if role[0] in known and role[1] in ("baseline", "search")]
    assert len(mine) == 4 + 2 * 2  # the baseline is scored on two splits
    columns = [name for name in before.columns if name != "cg_gain"]  # controls were trained after the kill
    pd.testing.assert_frame_equal(after.loc[mine, columns], before.loc[mine, columns])


@pytest.mark.ray  # the data were prepared by the study that resumed
def test_a_finished_study_is_shown_and_reported(resumed: Resumed) -> None:
    finished = resumed.study.parent / "finished"
    shutil.copytree(STORED / "run", finished)
    shown = CliRunner().invoke(app, ["status", str(finished)])
    assert shown.exit_code == 0, shown.output
    assert "3 of 3 proposals" in shown.output
    for made in (finished / "report", finished / "selection"):
        shutil.rmtree(made)
    resolved = yaml.safe_load((finished / "study.resolved.yaml").read_text())
    resolved["identity"]["backbone"] = "of a version that looked at fewer files"  # it is refused when it resumes only
    (finished / "study.resolved.yaml").write_text(yaml.safe_dump(resolved))
    written = CliRunner().invoke(app, ["report", str(resumed.study), "--run-dir", str(finished)])
    assert written.exit_code == 0, written.output
    assert (finished / "report" / "index.html").is_file()
    verified = CliRunner().invoke(app, ["verify", str(finished)])
    assert verified.exit_code == 0, verified.output
    before, after = (pd.read_parquet(run / "report" / "trials.parquet") for run in (STORED / "run", finished))
    pd.testing.assert_frame_equal(after[before.columns], before)
    selections = [json.loads((run / "selection" / "selection.json").read_text()) for run in (STORED / "run", finished)]
    assert selections[0]["arm"] == selections[1]["arm"]
    assert selections[0]["composition"] == selections[1]["composition"]


def test_identities_are_those_of_the_version_before() -> None:
    """The literal values were computed by the code that wrote ``stored_run``."""
    request = EvalRequest(eval_set="t", split="search", fingerprint="f", exposure="held_out")
    spec = TrialSpec(
        backbone=BackboneSpec(device="cpu", dtype="float32"),
        backbone_fingerprint="weights",
        composition={"a": 4},
        rows_digest="rows",
        recipe=Recipe(),
        seed=0,
        evaluations=(request,),
    )
    assert spec.train_id == "f358517de6d176591ba024b774a08282e2de274f5844b5bdb09706868820987a"
    assert spec.score_id(request) == "a92184bc2730c834d6dae1b2db2b470c0cb5597ddccb7dea7460064a6e7bf71b"
    assert spec.score_id(request, 5) == "15bc165e26c4f21c11c7cf19dff4771106fd6b4f39de3004e752cc15e7d1876c"
    trial = PhantomTrial(
        arm="related",
        base=str(PHANTOM_DIR),
        sources=("ct-lung-staging", "xray-brain-staging"),
        num_samples=80,
        seed=1,
        targets=("xray-lung-staging",),
        num_questions=50,
    )
    assert trial.identity == "76ad347b3785f32850b80cbcc245a52a2b328cad45ea2afa65bded668513ddf8"
