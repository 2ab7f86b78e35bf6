"""Merges of the phantom's single-source fine-tunes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from search.bench.phantom import merges
from search.bench.phantom.fine_tunes import PhantomTrial, run_phantom_trial, train_phantom
from search.bench.phantom.merges import merge_identity, run_phantom_merges
from trainers.backbone_spec import PHANTOM_DIR

PAIR = PhantomTrial(
    arm="table", base=str(PHANTOM_DIR), sources=("ct-lung-staging", "mri-bone-grading"), num_samples=32, seed=1,
    targets=("ct-bone-staging",), num_questions=20,
)  # fmt: skip
ALONE = replace(PAIR, sources=("ct-lung-staging",))


def test_a_merge_of_one_is_its_own_fine_tune_and_nothing_is_scored_twice(
    tmp_path: Path, short_training: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    trained: list[tuple[str, ...]] = []

    def train(trial: PhantomTrial, rows: pa.Table) -> Any:
        trained.append(trial.sources)
        return train_phantom(trial, rows)

    monkeypatch.setattr(merges, "train_phantom", train)
    alone, pair = run_phantom_merges([ALONE, PAIR], tmp_path / "merges.jsonl", on_event=said.append)
    assert alone["correct"] == run_phantom_trial(ALONE)["correct"]
    assert alone["correct"] != run_phantom_trial(replace(ALONE, sources=()))["correct"], "nothing was learned"
    assert pair["sources"] == list(PAIR.sources)
    assert trained == [ALONE.sources, PAIR.sources[1:]], "each source alone, and once"
    monkeypatch.setattr(merges, "train_phantom", None)  # training again would raise
    again = run_phantom_merges([PAIR, ALONE], tmp_path / "merges.jsonl", on_event=said.append)
    assert again == [pair, alone]
    assert said[-1] == "0 merges to score, 2 are there already"


def test_a_merge_is_known_by_its_parts_not_their_order() -> None:
    turned = replace(PAIR, sources=PAIR.sources[::-1])
    assert merge_identity(turned) == merge_identity(PAIR)
    others = [replace(PAIR, seed=2), replace(PAIR, num_samples=33), replace(PAIR, targets=("mri-lung-staging",)), ALONE]
    assert len({merge_identity(trial) for trial in (PAIR, *others)}) == 5
