"""Which folder the doctor looks at: here, or on the cluster."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from cluster import submit
from cluster.doctor import run_checks
from cluster.doctor.check import Check
from search.cli.verbs import app

ANSWERS = [Check(name="ray jobs", status="ok", detail="answers", fix="")]


def test_through_a_tunnel_the_cluster_looks_at_its_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = Mock(return_value=ANSWERS), Mock(return_value=2)
    monkeypatch.setattr(run_checks, "run_checks", here)
    monkeypatch.setattr(submit, "submit", there)
    address = "http://127.0.0.1:8265"
    done = CliRunner().invoke(app, ["doctor", "--address", address, "--dir", "/only/there"])
    assert done.exit_code == 2
    assert "The same on the cluster, in /only/there there" in done.output
    here.assert_called_once_with(address, directory=None)
    assert there.call_args.kwargs["folder"] == Path("/only/there")


def test_a_cluster_that_is_joined_is_asked_for_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Mock(return_value=[])
    monkeypatch.setattr(run_checks, "run_checks", here)
    assert CliRunner().invoke(app, ["doctor", "--address", "auto", "--dir", "/shared"]).exit_code == 0
    here.assert_called_once_with("auto", directory=Path("/shared"))
