"""The phantom's table is made of finished fine-tunes, all of them."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

from datasets_spec.errors import UserError
from search.bench.known_truth.phantom_table import phantom_table

SOURCES = ("ct-lung-grading", "mri-bone-staging")
CORRECT = {"ct-bone-grading": [1, 0, 1, 0], "ct-bone-grading-temporal": [1, 1, 0, 1]}


def write(file: Path, seeds: tuple[int, ...], *, leave_out: int = 0) -> Path:
    lines = [{"identity": "base", "arm": "baseline", "sources": [], "seed": 0, "correct": CORRECT}]
    for seed in seeds:
        for size in (1, 2):
            for sources in combinations(SOURCES, size):
                identity = f"{seed}/{sources}"
                lines.append(
                    {"identity": identity, "arm": "table", "sources": sources, "seed": seed, "correct": CORRECT}
                )
    file.write_text("".join(json.dumps(line) + "\n" for line in lines[: len(lines) - leave_out]))
    return file


def test_questions_are_divided_and_keys_keep_their_ability(tmp_path: Path) -> None:
    table = phantom_table(write(tmp_path / "table.jsonl", (0, 1)), "phantom")
    assert table.subsets.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert table.val.shape == (2, 3, 2)
    assert table.val[0, 0].tolist() == [1.0, 0.5]
    assert table.test[0, 0].tolist() == [0.0, 1.0]
    assert table.target_mat[1] == ("ct", "bone", "grading", "temporal")
    assert table.num_val.tolist() == table.num_test.tolist() == [2, 2]


def test_a_table_needs_two_complete_seeds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 seed is complete"):
        phantom_table(write(tmp_path / "table.jsonl", (0, 1), leave_out=1), "phantom")
    with pytest.raises(UserError, match="no such file"):
        phantom_table(tmp_path / "nothing.jsonl", "phantom")
