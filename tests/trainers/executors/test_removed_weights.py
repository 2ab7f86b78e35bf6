"""Weights that were removed are trained again where further scores are asked for; scores that are there stay."""

from __future__ import annotations

from pathlib import Path

from tests.makers.families import tiny_backbone
from tests.trainers.executors.test_one_trial import make_spec, request, run
from trainers.trial.folder import finished_result, read_outcomes, remove_adapter


def test_weights_that_were_removed_are_trained_again_for_further_scores(tmp_path: Path) -> None:
    backbone = tiny_backbone("llava")
    first = run(tmp_path, backbone)
    folder = tmp_path / make_spec().folder_name
    remove_adapter(folder)
    further = make_spec(evaluations=(request("t"), request("u", "confirm")))
    result = run(tmp_path, backbone, further)
    assert result.status == "finished"
    found = finished_result(folder, further.train_id)
    assert found is not None
    assert found.adapter_sha256 == first.adapter_sha256  # the same weights, bit for bit
    assert {e.score_id for e in found.evaluations} == {further.score_id(r) for r in further.evaluations}
    assert set(read_outcomes(folder)["split"].to_pylist()) == {"search", "confirm"}
