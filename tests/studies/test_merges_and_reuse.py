"""Merges and reuse in real studies: adapters are merged, scored, followed; a second study trains nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search.ledger.ledger import Ledger
from search.phases.merges import proxy_of
from search.space.composition import Composition
from tests.studies.tiny_study import ABILITY, SOURCES, STUDY, TARGET, recombine, trial_records, write_study

pytestmark = [pytest.mark.ray, pytest.mark.slow]
CHANGES: dict[str, Any] = {
    "abilities": [],
    "objective": "cg",
    "space": {"composition": {"sources": list(SOURCES), "num_samples": [16], "budget": 32}},
    "strategy": {"name": "merge-then-confirm", "num_trials": 2, "num_merges": 3},
    "confirm": {"enabled": False},
    "execution": STUDY["execution"] | {"keep_adapters": "all"},  # merges are looked into, and trials taken over
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study that follows merges, nested; then one with a further target that takes its trials over, pooled."""
    folder = tmp_path_factory.mktemp("merges")
    study = write_study(folder, **CHANGES)
    first = recombine("run", study, "--run-dir", folder / "first")
    assert first.returncode == 0, first.stdout + first.stderr
    changes = CHANGES | {
        "name": "wider",
        "abilities": [ABILITY],
        "objective": "pareto",
        "reuse": ["first"],
        "strategy": {"name": "recombine", "num_trials": 2},
        "execution": STUDY["execution"] | {"executor": "pooled", "num_workers": 1},
    }
    second = recombine("run", write_study(folder, **changes), "--run-dir", folder / "second")
    assert second.returncode == 0, second.stdout + second.stderr
    return folder / "first", folder / "second"


def records(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    with Ledger.open(run_dir / "ledger", writer=False) as ledger:
        return [dict(record) for record in ledger.records(kind)]


def test_merges_are_scored_before_the_search_and_followed(runs: tuple[Path, Path]) -> None:
    first, _ = runs
    proxies = records(first, "proxy")
    assert len(proxies) == 3  # all pairs of three sources
    assert {p["status"] for p in proxies} == {"finished"}
    assert all(p["num_steps"] == 0 and p["train_s"] == 0 for p in proxies)
    assert all((first / p["trial_dir"] / "outcomes-search.parquet").is_file() for p in proxies)
    assert {r["stage"] for r in trial_records(first)} == {"baseline", "single", "control", "search"}
    proxy = proxy_of(proxies)
    assert proxy is not None
    searched = [r for r in trial_records(first) if r["stage"] == "search"]
    followed = sorted((proxy(Composition(p["composition"]))[TARGET] for p in proxies), reverse=True)  # type: ignore[index]
    scores = [proxy(Composition(r["composition"]))[TARGET] for r in searched]  # type: ignore[index]
    assert scores == followed[:2]
    assert all("without training" in r["reason"] for r in searched)


def test_a_merge_is_an_adapter_of_all_ranks(runs: tuple[Path, Path]) -> None:
    first, _ = runs
    ranks = []
    for record in records(first, "proxy"):
        config = json.loads((first / record["trial_dir"] / "adapter" / "adapter_config.json").read_text())
        ranks.append(config["r"])
    single = next(r for r in trial_records(first) if r["stage"] == "single")
    one = json.loads((first / single["trial_dir"] / "adapter" / "adapter_config.json").read_text())["r"]
    assert ranks == [2 * one] * 3


def test_a_study_with_a_new_target_trains_nothing_that_is_there(runs: tuple[Path, Path]) -> None:
    first, second = runs
    there = {r["train_id"]: r for r in trial_records(first) if set(r["composition"]) <= set(SOURCES)}
    trained_there = {t for t, r in there.items() if r["composition"]}
    taken = {r["train_id"]: r for r in trial_records(second) if r["stage"] == "reused"}
    assert set(taken) == trained_there
    for train_id, record in taken.items():
        scored = {e["eval_set"]: e for e in record["evaluations"]}
        assert set(scored) == {TARGET, ABILITY}  # the new one was scored without training
        assert record["train_s"] == there[train_id]["train_s"]
        (old,) = [e for e in there[train_id]["evaluations"] if e["split"] == "search"]
        assert scored[TARGET] == old
    # Six compositions, five of them known: the sixth is what the strategy asks for.
    first_proposal = next(r for r in trial_records(second) if r["stage"] == "search" and r["proposal_index"] == 0)
    assert first_proposal["train_id"] not in trained_there
    folders = [path.name for path in (second / "trials").iterdir()]
    assert len(folders) == len(set(folders))
