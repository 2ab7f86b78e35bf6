"""A study that has ended is not submitted again; one that was stopped says how it goes on."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from cluster.jobs_client import open_client
from cluster.study_jobs import metadata_of
from search.cli import run
from search.cli.jobs import has_ended, stop_study
from search.cli.verbs import app
from search.designs.backbones import backbone_studies
from search.evidence.explain.wanted_trials import write_wanted
from search.ledger.ledger import Ledger
from search.space.composition import Composition
from search.study.load_study import load_study
from search.study.run_dir import RunDir, RunFile, claim_run_dir
from search.study.source_rows import with_rows
from search.study.study import Study
from tests.makers.ray_head import HeadNode
from tests.makers.study_fixture import open_study, write_study

SEVERAL = {"design": {"kind": "disruption", "backbones": [{"model": "a/small"}, {"model": "b/large"}]}}


def begin(study: Study, run_dir: RunDir) -> None:
    claim_run_dir(run_dir, study.spec, {"store": "s"})
    (run_dir / RunFile.page).parent.mkdir()
    (run_dir / RunFile.page).touch()


def end(run_dir: RunDir) -> None:
    with Ledger.open(run_dir / RunFile.ledger, writer=True) as ledger:
        ledger.append({"kind": "ended"})


def test_a_study_with_a_small_source_is_known_to_have_ended(tmp_path: Path) -> None:
    written, run_dir = open_study(tmp_path), RunDir(tmp_path / "run")
    study = with_rows(written, lambda name, split: 7 if name == "ct-lung" else 99)
    assert study.spec != written.spec
    begin(study, run_dir)
    Ledger.open(run_dir / RunFile.ledger, writer=True).close()
    assert not has_ended(run_dir, written)
    end(run_dir)
    assert has_ended(run_dir, written)
    assert not has_ended(run_dir, open_study(tmp_path / "other", {"seed": 7}))


def test_a_study_whose_confirmation_failed_is_submitted_again(tmp_path: Path) -> None:
    study, run_dir = open_study(tmp_path), RunDir(tmp_path / "run")
    begin(study, run_dir)
    role = {"kind": "trial", "stage": "confirm", "arm": "finalist-1", "proposal_index": None}
    with Ledger.open(run_dir / RunFile.ledger, writer=True) as ledger:
        ledger.append(role | {"train_id": "x", "status": "oom", "num_steps": 0, "evaluations": []})
    end(run_dir)
    assert not has_ended(run_dir, study)
    with Ledger.open(run_dir / RunFile.ledger, writer=True) as ledger:
        ledger.append(role | {"train_id": "x", "status": "finished", "num_steps": 2, "evaluations": []})
    end(run_dir)
    assert has_ended(run_dir, study)


def test_a_study_on_several_backbones_has_ended_when_all_have(tmp_path: Path) -> None:
    study, run_dir = open_study(tmp_path, SEVERAL), RunDir(tmp_path / "run")
    several = backbone_studies(study)
    assert len(several) == 2
    for name, each in several.items():
        assert not has_ended(run_dir, study)
        begin(each, run_dir.of_backbone(name))
        end(run_dir.of_backbone(name))
    (run_dir / RunFile.backbones_markdown).touch()
    assert has_ended(run_dir, study)
    added = {"design": {**SEVERAL["design"], "backbones": [*SEVERAL["design"]["backbones"], {"model": "c/new"}]}}
    assert not has_ended(run_dir, open_study(tmp_path / "other", added))


def test_the_sign_that_all_backbones_have_ended_goes_when_the_study_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, run_dir = write_study(tmp_path, SEVERAL), RunDir(tmp_path / "run")
    run_dir.root.mkdir()
    (run_dir / RunFile.backbones_markdown).touch()
    monkeypatch.setattr(run, "require_backbones", lambda study: None)
    monkeypatch.setattr(run, "_run", Mock(side_effect=KeyboardInterrupt))
    assert run.run_command(path, [], run_dir.root, None) == 130
    assert not (run_dir / RunFile.backbones_markdown).exists()


def test_a_top_up_of_a_study_that_has_ended_is_submitted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path, run_dir, submitted = write_study(tmp_path), RunDir(tmp_path / "run"), Mock(return_value=0)
    monkeypatch.setattr("cluster.submit.submit", submitted)
    begin(load_study(path), run_dir)
    end(run_dir)
    command = ["submit", str(path), "--run-dir", str(run_dir.root), "--address", "http://x:8265"]
    assert CliRunner().invoke(app, command).exit_code == 0
    refused = CliRunner().invoke(app, [*command, "--topup"])
    assert "no explanation has asked for trials" in str(refused.exception)
    submitted.assert_not_called()
    write_wanted(run_dir, "ct-lung", [Composition({"ct-lung": 4})])
    assert CliRunner().invoke(app, [*command, "--topup", "--accept-loss"]).exit_code == 0
    assert submitted.call_args.kwargs["entrypoint"][-2:] == ["--accept-loss", "--topup"]


@pytest.mark.ray
@pytest.mark.parametrize(
    ("job_id", "advice"),
    [
        ("recombine-chest-ct-try1", "recombine submit {study} --address {address}"),
        ("recombine-chest-ct-x7k2p", "kubectl delete rayjob recombine-chest-ct, then kubectl apply -f its file"),
        ("recombine-by-hand", "kubectl delete rayjob NAME, then kubectl apply -f its file. Where no RayJob"),
    ],
)
def test_a_stopped_study_is_not_sent_to_a_cluster_that_kuberay_ends(
    head: HeadNode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    job_id: str,
    advice: str,
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)
    study, run_dir, address = write_study(tmp_path), tmp_path / "run", head.address_http
    told = metadata_of("mine", run_dir, ["ct-lung"])
    open_client(address).submit_job(submission_id=job_id, entrypoint="exec sleep 60", metadata=told)
    stop_study(study, [], run_dir, address)
    said = " ".join(capsys.readouterr().out.split())
    assert advice.format(study=f"{study} --run-dir {run_dir}", address=address) in said
    assert ("recombine submit" in said) == (job_id != "recombine-chest-ct-x7k2p")
