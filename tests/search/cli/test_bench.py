"""`recombine bench` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from search.bench.known_truth.table import save_table
from tests.makers.made_table import made_table

ROOT = Path(__file__).parents[3]
FIELDS = {
    "table", "strategy", "trials", "regret_mean", "regret_ci_low", "regret_ci_high", "p_within_1",
    "full_information_regret", "interval_coverage", "coverage", "suggestion_s",
}  # fmt: skip


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "search.cli", "bench", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_table(made_table(num_sources=5, num_targets=3), tmp_path_factory.mktemp("tables") / "unseen.npz")


def test_json_is_one_object_a_line_and_the_same_on_two_processes(table: Path) -> None:
    arguments = (
        "search", "--table", table, "--strategies", "random,recombine", "--repetitions", "1", "--json",
        "--trials", "12,26,99", "--every-target", "3",
    )  # fmt: skip
    told = []
    for workers in ("1", "2"):
        done = bench(*arguments, "--num-workers", workers)
        assert done.returncode == 0, done.stderr
        told.append([json.loads(line) for line in done.stdout.splitlines()])
    assert all(set(line) == FIELDS for line in told[0])
    assert [(line["strategy"], line["trials"]) for line in told[0]] == [
        (name, trials) for name in ("random", "recombine") for trials in (12, 26)
    ]  # the table has 31 compositions, so there is nothing after 99
    for line in (*told[0], *told[1]):
        assert line["suggestion_s"] >= 0
        del line["suggestion_s"]
    assert told[0] == told[1]
    assert {line["interval_coverage"] is None for line in told[0] if line["strategy"] == "random"} == {True}
    assert [set(line["coverage"]) >= {"finalists", "shown"} for line in told[0]] == [False, False, False, True]


def test_a_person_gets_a_table_and_a_contrast(table: Path) -> None:
    done = bench(
        "search", "--table", table, "--strategies", "recombine,optuna-tpe", "--repetitions", "1", "--trials", "12",
        "--every-target", "3",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "regret in points" in done.stdout
    assert "optuna-tpe" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--strategies", "recombin"), "did you mean 'recombine'"),
        (("--trials", "ten"), "is no list of numbers"),
        (("--size", "9"), "no composition of 9 sources"),
        (("--table", "missing.npz"), "no such file"),
    ],
)
def test_mistakes_are_answered(table: Path, arguments: tuple[str, str], message: str) -> None:
    done = bench("search", "--table", table, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
