"""A study directory of the size of Med-MAT: 53 sources alone on 53 targets, searched and confirmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from search.evidence.matrix.transfer_matrix import TRANSFER_COLUMNS
from search.evidence.trials_table import TRIAL_COLUMNS
from tests.search.report.fixture_parts import reliability
from tests.search.report.fixture_run import with_finding

NUM = 53
NUM_QUESTIONS = 300
ELEMENTS = (
    ["CT", "MRI", "X-ray", "ultrasound", "OCT", "dermoscopy", "fundus", "histology"],
    ["brain", "lung", "breast", "bone", "retina", "liver", "skin"],
    ["classification", "grading", "staging", "counting", "location"],
)
SPLITS = {"baseline": ("search", "confirm", "sealed"), "confirm": ("confirm", "sealed")}


def key(number: int) -> tuple[str, str, str]:
    modality, area, task = ELEMENTS
    return modality[number % 8], area[number % 7], task[number % 5]


def name(number: int, kind: str) -> str:
    return f"{'-'.join(key(number)).lower()}-{kind}-{number:02d}"


SOURCES = [name(number, "source") for number in range(NUM)]
TARGETS = [name(number, "target") for number in range(NUM)]


def write_large_run(run_dir: Path) -> Path:
    """Write what a report reads; every figure is drawn by chance, with all its digits."""
    rng = np.random.default_rng(5)
    trials = _trials(rng)
    report = run_dir / "report"
    report.mkdir(parents=True)
    (run_dir / "selection").mkdir()
    trials.to_parquet(report / "trials.parquet")
    _classes(trials, rng).to_parquet(report / "trial_classes.parquet")
    _transfer(rng).to_csv(report / "transfer.csv", index=False)
    write_json(run_dir / "selection" / "selection.json", _selection(rng))
    write_json(report / "findings.json", _findings(rng))
    keys = {
        n: dict(zip(("modality", "area", "task"), key(k % NUM), strict=True)) for k, n in enumerate(SOURCES + TARGETS)
    }
    run = {
        "study": "fifty-three", "targets": TARGETS,
        "subsets": {n: {**k, "rows": {"train": 600}} for n, k in keys.items()},
        "finished_at": "2026-11-23T08:21:40+00:00", "seed": 0, "versions": {}, "decisions": [],
    }  # fmt: skip
    write_json(run_dir / "run.json", run)
    (run_dir / "study.resolved.yaml").write_text(yaml.safe_dump({"name": "fifty-three", "targets": TARGETS}))
    return run_dir


def _trials(rng: np.random.Generator) -> pd.DataFrame:
    arms: list[tuple[str, str, list[str], int]] = [("baseline", "baseline", [], 0)]
    arms += [("single", f"single:{source}", [source], 0) for source in SOURCES]
    arms += [("control", f"control:{target}", SOURCES[k : k + 2], 0) for k, target in enumerate(TARGETS)]
    arms += [
        ("search", f"proposal-{k}", sorted(rng.choice(SOURCES, size=4, replace=False).tolist()), 0) for k in range(100)
    ]
    confirmed = ("finalist-1", "finalist-2", "all-data", "best-single", "random-same-size")
    arms += [("confirm", arm, SOURCES[k : k + 3], seed) for k, arm in enumerate(confirmed) for seed in (101, 102, 103)]
    rows = []
    for stage, arm, composition, seed in arms:
        head = {
            "train_id": rng.bytes(32).hex(), "stage": stage, "arm": arm, "strategy": "recombine", "seed": seed,
            "composition": json.dumps(dict.fromkeys(composition, 480)), "num_train_samples": 480 * len(composition),
            "recipe": json.dumps({"learning_rate": float(rng.uniform(1e-4, 1e-2)), "num_steps": 80, "lora_rank": 8}),
            "num_steps": 80, "train_s": float(rng.uniform(60, 90)), "status": "finished", "slot": "slot-0",
            "proposal_index": int(arm.split("-")[1]) if stage == "search" else None, "startup_s": 0.1,
        }  # fmt: skip
        for split in SPLITS.get(stage, ("search",)):
            rows += [head | _score(rng, split, number) for number in range(NUM)]
    return pd.DataFrame(rows, columns=list(TRIAL_COLUMNS))


def _score(rng: np.random.Generator, split: str, number: int) -> dict[str, Any]:
    correct = int(rng.binomial(NUM_QUESTIONS, 0.6))
    share = correct / NUM_QUESTIONS
    return {
        **dict(zip(("modality", "area", "task"), key(number), strict=True)),
        "score_id": rng.bytes(32).hex(), "eval_set": TARGETS[number], "ability": "none", "exposure": "held_out",
        "split": split, "n": NUM_QUESTIONS, "correct": correct, "accuracy": share, "score": share,
        "ci_low": share - 0.056, "ci_high": share + 0.054, "gain": share - 0.45, "cg_gain": share - 0.5,
        "eval_s": float(rng.uniform(1, 2)), "invalid": 0, "free_answers": "{}",
    }  # fmt: skip


def _classes(trials: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    places = trials[["train_id", "eval_set", "split"]].drop_duplicates()
    parts = [
        places.assign(label=f"finding of kind {letter}", correct=rng.integers(20, 100, len(places)), n=100)
        for letter in "abc"
    ]
    return pd.concat(parts, ignore_index=True)


def _transfer(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for j, target in enumerate(TARGETS):
        best = int(rng.integers(NUM))
        for i, source in enumerate(SOURCES):
            shared = [n for n, a, b in zip(("modality", "area", "task"), key(i), key(j), strict=True) if a == b]
            gain = float(rng.normal(0.03 * len(shared), 0.05))
            clear = abs(gain) > 0.1
            word = "no difference detected" if not clear else "better" if gain > 0 else "worse"
            rows.append(
                {
                    "source": source, "target": target, "shared_elements": "+".join(shared), "gain": gain + 0.05,
                    "cg_gain": gain, "ci_low": gain - 0.1, "ci_high": gain + 0.1, "gain_ci_low": gain - 0.05,
                    "gain_ci_high": gain + 0.15, "n": NUM_QUESTIONS, "seeds": 1, "split": "search",
                    "estimator": "single", "exposure": "held_out", "p_value": float(rng.uniform()),
                    "q_value": float(rng.uniform()),
                    "gain_q_value": float(rng.uniform()), "verdict": word, "gain_verdict": word, "confidence": 0.99,
                    "gain_confidence": 0.99, "training_noise": 0.02, "training_noise_freedom": 6.0,
                    "accuracy": 0.5 + gain, "normalised_gain": (gain + 0.05) / 0.55, "normalised_cg_gain": gain / 0.5,
                    "standing": "best" if i == best else "tied with the best" if clear else "behind the best",
                    "behind_best": abs(gain), "behind_best_p_value": float(rng.uniform()),
                }
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(TRANSFER_COLUMNS))


def _selection(rng: np.random.Generator) -> dict[str, Any]:
    sets = ["mean", *TARGETS]
    estimates = {
        split: [
            {"eval_set": s, "accuracy": 0.6, "ci_low": 0.55, "ci_high": 0.65, "n": NUM_QUESTIONS, "seeds": 3}
            for s in sets
        ]
        for split in ("confirm", "sealed")
    }
    comparisons = [
        {
            "comparator": comparator, "eval_set": eval_set, "split": split, "difference": float(rng.normal(0.05, 0.05)),
            "simultaneous_low": -0.02, "simultaneous_high": 0.12, "ci_low": 0.0, "ci_high": 0.1, "p_value": 0.04,
            "p_adjusted": 0.2, "verdict": "no difference detected", "minimum_detectable": 0.07, "n": NUM_QUESTIONS,
            "seeds": [3, 3], "note": None,
        }
        for comparator in ("control", "baseline", "all-data", "best-single", "random-same-size")
        for split in ("confirm", "sealed")
        for eval_set in sets
    ]  # fmt: skip
    recipe = {"learning_rate": 0.002, "num_steps": 80, "lora_rank": 8}
    return with_finding(
        {
            "composition": dict.fromkeys(SOURCES[:3], 480), "recipe": recipe, "objective": "cg", "estimates": estimates,
            "comparisons": comparisons, "verdict": "Not told apart from anything.", "num_compared": 100,
        }
    )  # fmt: skip


def _findings(rng: np.random.Generator) -> dict[str, Any]:
    classes = [
        {
            "arm": arm, "eval_set": target, "split": "sealed", "label": f"finding of kind {letter}", "auroc": 0.8,
            "sensitivity": float(rng.uniform(0.5, 0.8)), "sensitivity_low": 0.4, "sensitivity_high": 0.9,
            "specificity": 0.6, "specificity_low": 0.5, "specificity_high": 0.7, "calibration": 0.05,
            "num_positive": 100, "num_negative": 200, "num_seeds": 3, "num_groups": 61,
        }
        for arm in ("selected", "baseline")
        for target in TARGETS
        for letter in "abc"
    ]  # fmt: skip
    bins = [entry for target in TARGETS for entry in reliability(target) if entry["eval_set"] != "all"]
    bins += [entry for entry in reliability("all") if entry["eval_set"] == "all"]
    return {"split": "sealed", "classes": classes, "calibration": [], "reliability": bins, "strata": []}


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
