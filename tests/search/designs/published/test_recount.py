"""The published table, counted again: the facts' figures come out."""

from __future__ import annotations

import json
from collections import Counter
from importlib import resources
from statistics import mean, stdev

import pytest
import yaml
from typer.testing import CliRunner

from search.cli.verbs import app
from search.designs.published.recount import as_json, in_words, load_controlled_rows, recount

ROWS = load_controlled_rows()
# A claim of the paper's section 5 rests on rows that gain this much over baseline and control, in points.
CLEAR_GAIN = 10.0


def test_the_table_has_the_rows_and_directions_of_the_paper() -> None:
    directions = Counter(row.direction for row in ROWS)
    assert directions == {"fixed_modality": 14, "fixed_area": 4, "fixed_task": 12, "modality_area_pair": 13}
    assert [row.row for row in ROWS if not row.is_marked] == [4, 18, 22, 27, 38, 39]
    assert round(mean(row.trained for row in ROWS), 1) == 50.5
    assert round(mean(row.control for row in ROWS), 1) == 40.0


def test_the_papers_marks_are_its_rule() -> None:
    assert [row.row for row in ROWS if row.is_marked] == [row.row for row in ROWS if row.follows_rule]
    found = recount()
    assert (found.num_marked, found.num_rule, len(found.rows)) == (37, 37, 43)
    assert found.small_gains == {3: 10, 5: 14, 10: 24}


def test_seven_of_twenty_two_pass_alone_and_five_together() -> None:
    found = recount()
    assert len(found.judged) == 22
    assert found.significant() == (15, 16, 17, 24, 25, 26, 30)
    assert found.significant_together() == (15, 16, 17, 25, 26)
    assert found.discovered() == (15, 16, 17, 24, 25, 26)
    assert len(recount(factor=2).significant()) == 8


def test_fifteen_rows_are_clear_enough_for_the_papers_next_section() -> None:
    clear = [row.row for row in ROWS if row.trained - row.best_other >= CLEAR_GAIN]
    assert len(clear) == 15
    assert Counter(ROWS[row - 1].direction for row in clear) == {
        "fixed_modality": 1, "fixed_area": 3, "fixed_task": 8, "modality_area_pair": 3,
    }  # fmt: skip


def test_the_words_say_what_was_counted() -> None:
    text = " ".join(in_words(recount()))
    for part in ("37 of 43", "7 of them pass", "5 remain", "15 cannot be checked"):
        assert part in text


def test_repeats_have_the_printed_mean_and_deviation() -> None:
    tables = yaml.safe_load((resources.files("search.designs.published") / "med_mat_tables.yaml").read_text())
    assert len(tables["repeats"]) == 8
    for row in tables["repeats"]:
        assert mean(row["runs"]) == pytest.approx(row["mean"], abs=0.011)
        assert stdev(row["runs"]) == pytest.approx(row["sd"], abs=0.011)


def test_the_command_prints_table_words_and_json() -> None:
    plain = CliRunner().invoke(app, ["design", "published"])
    assert plain.exit_code == 0
    assert "CT Cancer + X-ray COVID -> CT COVID" in plain.output
    assert "7 of them pass" in plain.output.replace("\n", " ")
    found = CliRunner().invoke(app, ["design", "published", "--json"])
    assert json.loads(found.output) == as_json(recount())
