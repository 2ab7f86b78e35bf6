"""The guard is guarded by real searches: a worthless source with copies of evaluation items wins only without it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from datasets_spec.phantom.write import write_phantom
from datasets_spec.splits.leak_levels import LEVELS
from datasets_spec.store.store import open_store
from tests.studies.tiny_study import recombine, trial_records

pytestmark = [pytest.mark.ray, pytest.mark.slow]
TARGET, TRAP = "xray-lung-staging", "oct-kidney-histology"
# One shares modality and task with the target, one area and task: together they teach all three of its rules, and with
# drawn lots in place of one of them two rules are the most that can be learned (67.5 %, docs/phantom.md).
HONEST = ("xray-brain-staging", "ultrasound-lung-staging")
NUM_POOL, NUM_TEST, NUM_SAMPLES = 480, 80, 200
STUDY: dict[str, Any] = {
    "name": "trap",
    "catalog": "phantom/catalog.yaml",
    "targets": [TARGET],
    "space": {
        "composition": {"sources": [*HONEST, TRAP], "num_samples": [NUM_SAMPLES], "min_size": 2, "max_size": 2,
                        "budget": 2 * NUM_SAMPLES},
    },
    "recipe": {"num_steps": 140, "batch_size": 32},
    "strategy": {"name": "exhaustive", "num_trials": 3},
    "transfer": {"enabled": False},
    "confirm": {"enabled": False},
    "execution": {"max_concurrent": 1},
}  # fmt: skip


def write_trap(folder: Path, *, guard: bool) -> Path:
    """Spoil a source: answers by lot, and a copy of every item of the target, saved again, with its right answer."""
    corpus = folder / "phantom"
    catalog_file = write_phantom(corpus, subsets=[*HONEST, TRAP, TARGET], num_pool=NUM_POOL, num_test=NUM_TEST)
    catalog = yaml.safe_load(catalog_file.read_text())
    entries = {entry["name"]: entry for entry in catalog["subsets"]}
    records = json.loads((corpus / entries[TRAP]["pool"][0]).read_text())
    lots = random.Random(0)
    for record in records:
        answer = lots.choice("AB")
        text = dict(line.split(": ") for line in record["Question-choice"].splitlines()[1:3])[answer]
        record |= {"Answer-choice": answer, "Answer": text, "caption": text}
    (corpus / "images" / "again").mkdir()
    for file in (*entries[TARGET]["pool"], *entries[TARGET]["test"]):
        for record in json.loads((corpus / file).read_text()):
            path = f"images/again/{len(records)}.jpg"
            Image.open(corpus / record["image"]).save(corpus / path, "JPEG", quality=92)
            records.append(record | {"id": len(records) + 1, "image": path})
    (corpus / entries[TRAP]["pool"][0]).write_text(json.dumps(records))
    entries[TRAP]["shares"] = {"train": 1.0, "search": 0.0, "confirm": 0.0, "sealed": 0.0}
    # Every row of the target is evaluated: a copy of a row to train on would teach the target without being a leak.
    entries[TARGET]["shares"] = {"train": 0.0, "search": 0.5, "confirm": 0.5, "sealed": 0.0}
    if not guard:
        catalog["leakage"] = dict.fromkeys(LEVELS, "warn")
    catalog_file.write_text(yaml.safe_dump(catalog, sort_keys=False))
    study = folder / "study.yaml"
    study.write_text(yaml.safe_dump(STUDY))
    return study


def searched(folder: Path, *, guard: bool) -> dict[frozenset[str], float]:
    """Accuracy on the target's search questions by composition, of a whole search."""
    study = write_trap(folder, guard=guard)
    done = recombine("run", study, "--run-dir", folder / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for record in trial_records(folder / "run"):
        if record["stage"] == "search":
            (evaluation,) = [e for e in record["evaluations"] if e["split"] == "search"]
            found[frozenset(record["composition"])] = evaluation["accuracy"]
    assert len(found) == 3
    return found


@pytest.mark.parametrize("guard", [True, False])
def test_the_trap_wins_the_search_only_without_the_guard(guard: bool, tmp_path: Path) -> None:
    found = searched(tmp_path, guard=guard)
    best = max(found, key=lambda sources: found[sources])
    num_trained = open_store(tmp_path / "store").count(TRAP, "train")
    if guard:
        # Copies went where their originals are, or out; of mild copies 95 % are promised (docs/leakage.md).
        assert num_trained <= NUM_POOL + 0.05 * (NUM_POOL + NUM_TEST)
        assert best == frozenset(HONEST), found
    else:
        assert num_trained == 2 * NUM_POOL + NUM_TEST
        assert TRAP in best, found
