"""Writes a small, realistic study directory: the files that the report reads, in their agreed form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from statsmodels.stats.proportion import proportion_confint

from search.evidence.finding.finding import finding_of
from search.evidence.finding.prospects import Prospects
from search.statistics.power import Noise
from tests.search.report.fixture_parts import reliability, standing, trial_classes

NUM_QUESTIONS = 200
SUBSETS: dict[str, tuple[str, str, str, str]] = {
    "mri-brain-presence": ("MRI", "brain", "presence", "none"),
    "mri-lung-size": ("MRI", "lung", "size", "none"),
    "ct-brain-size": ("CT", "brain", "size", "none"),
    "ct-lung-presence": ("CT", "lung", "presence", "none"),
    "xray-lung-size": ("X-ray", "lung", "size", "none"),
    "us-liver-location": ("US", "liver", "location", "none"),
    "oct-retina-kind": ("OCT", "retina", "kind", "none"),
    "xray-lung-pairs": ("X-ray", "lung", "change", "comparison"),
}
TARGETS: dict[str, tuple[str, str, str, str]] = {
    "mri-brain-size": ("MRI", "brain", "size", "none"),
    "ct-lung-size": ("CT", "lung", "size", "none"),
    "ct-brain-temporal": ("CT", "brain", "change", "temporal"),
}
SELECTED = {"ct-brain-size": 240, "mri-brain-presence": 240}
RECIPE = {"batch_size": 32, "learning_rate": 0.005, "lora_rank": 8, "num_steps": 80}
ELEMENTS = ("modality", "area", "task")


class _Builder:
    """Simulates trials: an element shared with a target helps, and each answer is a coin."""

    def __init__(self, rename: Mapping[str, str]) -> None:
        self.rng = np.random.default_rng(20)
        self.rename = rename
        self.rows: list[dict[str, Any]] = []
        self.reference: dict[tuple[str, str], float] = {}

    def name(self, subset: str) -> str:
        return self.rename.get(subset, subset)

    def add(
        self,
        stage: str,
        arm: str,
        composition: Mapping[str, int],
        splits: tuple[str, ...],
        *,
        seed: int = 0,
        status: str = "finished",
        proposal_index: int | None = None,
    ) -> None:
        named = {self.name(subset): size for subset, size in composition.items()}
        identity = json.dumps([stage, arm, named, seed, proposal_index])
        train_id = hashlib.sha256(identity.encode()).hexdigest()
        head = {
            "train_id": train_id,
            "rung": None,
            "stage": stage,
            "arm": arm,
            "strategy": "optuna-tpe" if stage == "search" else "none",
            "composition": json.dumps(named, sort_keys=True),
            "recipe": json.dumps(RECIPE if composition else {}),
            "seed": seed,
            "num_train_samples": sum(composition.values()),
            "num_steps": 80 if composition else 0,
            "train_s": 0.0 if not composition else 2.0 + sum(composition.values()) / 110 + self.rng.normal(0, 0.2),
            "startup_s": 0.3,
            "status": status,
            "proposal_index": proposal_index,
        }
        if status != "finished":
            self.rows.append({**head, "score_id": None, "eval_set": None, "split": None})
            return
        for split in splits:
            for target, key in TARGETS.items():
                self.rows.append({**head, **self._scored(composition, split, target, key, train_id)})

    def _scored(
        self, composition: Mapping[str, int], split: str, target: str, key: tuple[str, ...], train_id: str
    ) -> dict[str, Any]:
        shared = {
            position for subset in composition for position in range(3) if SUBSETS[subset][position] == key[position]
        }
        chance = 0.42 + (0.05 if composition else 0) + 0.11 * len(shared) - 0.01 * len(composition)
        correct = int(self.rng.binomial(NUM_QUESTIONS, chance))
        low, high = proportion_confint(correct, NUM_QUESTIONS, method="wilson")
        accuracy = correct / NUM_QUESTIONS
        if not composition:
            self.reference[target, split] = accuracy
        base = self.reference.get((target, split), 0.42)
        return {
            "score_id": hashlib.sha256(f"{train_id}{target}{split}".encode()).hexdigest(),
            "eval_set": self.name(target),
            **dict(zip((*ELEMENTS, "ability"), key, strict=True)),
            "exposure": "held_out",
            "split": split,
            "n": NUM_QUESTIONS,
            "correct": correct,
            "accuracy": accuracy,
            "generation_accuracy": accuracy - 0.01 if split != "search" else None,
            "invalid": 0,
            "ci_low": low,
            "ci_high": high,
            "gain": accuracy - base,
            "cg_gain": accuracy - base - 0.05 if composition else None,
            "eval_s": 0.4,
        }


def write_run(
    run_dir: Path, *, rename: Mapping[str, str] | None = None, reasons: Mapping[str, int] | None = None
) -> Path:
    """A finished study of 8 sources and 3 targets.

    Args:
        run_dir: Where to write; made when missing.
        rename: Other names for subsets or targets, e.g. hostile ones.
        reasons: Other quarantine counts for the first subset.

    Returns:
        `run_dir`.
    """
    builder = _Builder(rename or {})
    builder.add("baseline", "baseline", {}, ("search", "confirm", "sealed"))
    for subset in SUBSETS:
        builder.add("single", f"single:{builder.name(subset)}", {subset: 240}, ("search",))
    unrelated = {"us-liver-location": 240, "oct-retina-kind": 240}
    for target in TARGETS:
        builder.add("control", f"control:{builder.name(target)}", unrelated, ("search",))
    _add_search(builder)
    for seed in (1, 2, 3):
        _add_confirmation(builder, unrelated, seed)
    (run_dir / "report").mkdir(parents=True, exist_ok=True)
    (run_dir / "selection").mkdir(exist_ok=True)
    trials = pd.DataFrame(builder.rows)
    trials.to_parquet(run_dir / "report" / "trials.parquet")
    trial_classes(trials).to_parquet(run_dir / "report" / "trial_classes.parquet")
    _transfer(builder).to_csv(run_dir / "report" / "transfer.csv", index=False)
    _write_json(run_dir / "selection" / "selection.json", _selection(builder))
    _write_json(run_dir / "report" / "findings.json", _findings(builder))
    _write_json(run_dir / "report" / "explanation.json", _explanation(builder))
    _write_json(run_dir / "run.json", _run(builder, reasons))
    study = {
        "name": "phantom-ct-mri",
        "catalog": "catalog.yaml",
        "tracking": {"api_token": "do-not-print-me", "server": "https://me:hidden@tracker.invalid/x"},
        "targets": [builder.name(target) for target in TARGETS],
    }
    (run_dir / "study.resolved.yaml").write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
    return run_dir


def _add_search(builder: _Builder) -> None:
    names = list(SUBSETS)
    for proposal in range(14):
        chosen = builder.rng.choice(len(names), size=2 + proposal % 2, replace=False)
        sizes = builder.rng.choice([120, 240, 480], size=len(chosen))
        composition = {names[place]: int(size) for place, size in zip(chosen, sizes, strict=True)}
        status = {5: "oom", 9: "diverged"}.get(proposal, "finished")
        composition = SELECTED if proposal == 11 else composition
        builder.add("search", f"search-{proposal}", composition, ("search",), status=status, proposal_index=proposal)


def _add_confirmation(builder: _Builder, unrelated: Mapping[str, int], seed: int) -> None:
    arms: dict[str, Mapping[str, int]] = {
        "finalist-1": SELECTED,
        "finalist-2": {"ct-brain-size": 240, "mri-lung-size": 240},
        **{f"control:{builder.name(target)}": unrelated for target in TARGETS},
        "all-data": dict.fromkeys(SUBSETS, 60),
        "best-single": {"ct-brain-size": 480},
        "random-same-size": {"xray-lung-size": 240, "oct-retina-kind": 240},
    }
    for arm, composition in arms.items():
        builder.add("confirm", arm, composition, ("confirm",), seed=seed)
        if arm != "finalist-2":
            builder.add("sealed", arm, composition, ("sealed",), seed=seed + 10)


def _transfer(builder: _Builder) -> pd.DataFrame:
    baseline = {row["eval_set"]: row for row in builder.rows if row["stage"] == "baseline" and row["split"] == "search"}
    rows = []
    for subset, source_key in SUBSETS.items():
        trial = [row for row in builder.rows if row["arm"] == f"single:{builder.name(subset)}"]
        for (target, key), row in zip(TARGETS.items(), trial, strict=True):
            shared = [name for name, a, b in zip(ELEMENTS, source_key, key, strict=False) if a == b]
            gain = row["accuracy"] - baseline[builder.name(target)]["accuracy"]
            half = 2.6 * (2 * row["accuracy"] * (1 - row["accuracy"]) / NUM_QUESTIONS) ** 0.5 * 0.8
            rows.append(
                {
                    "source": builder.name(subset),
                    "target": builder.name(target),
                    "shared_elements": "+".join(shared),
                    "gain": gain,
                    "cg_gain": gain - 0.05,
                    "ci_low": gain - 0.05 - half,
                    "ci_high": gain - 0.05 + half,
                    "n": NUM_QUESTIONS,
                    "seeds": 1,
                    "split": "search",
                    "estimator": "single",
                    "verdict": _verdict(gain - 0.05, half),
                    "gain_verdict": _verdict(gain, half),
                    "confidence": 0.99,
                    "training_noise": 0.02,
                    "training_noise_freedom": 6.0,
                    **standing(row["accuracy"], gain, list(SUBSETS).index(subset)),
                }
            )
    return pd.DataFrame(rows)


def _verdict(difference: float, half: float) -> str:
    if abs(difference) <= half:
        return "no difference detected"
    return "better" if difference > 0 else "worse"


def _selection(builder: _Builder) -> dict[str, Any]:
    estimates: dict[str, list[dict[str, Any]]] = {}
    comparisons = []
    for split, centre in (("confirm", 0.69), ("sealed", 0.675)):
        sets = ["mean", *(builder.name(target) for target in TARGETS)]
        estimates[split] = [
            {
                "eval_set": eval_set,
                "accuracy": centre + 0.02 * place,
                "ci_low": centre + 0.02 * place - (0.03 if place == 0 else 0.06),
                "ci_high": centre + 0.02 * place + (0.03 if place == 0 else 0.06),
                "n": NUM_QUESTIONS * (3 if place == 0 else 1),
                "seeds": 3,
            }
            for place, eval_set in enumerate(sets)
        ]
        for comparator, difference in _differences().items():
            for place, eval_set in enumerate(sets):
                comparisons.append(_comparison(comparator, eval_set, split, difference + 0.01 * place, place))
    selection: dict[str, Any] = {
        "composition": {builder.name(subset): size for subset, size in SELECTED.items()},
        "recipe": RECIPE,
        "objective": "mean_accuracy",
        "estimates": estimates,
        "comparisons": comparisons,
        "verdict": "Better than the control and the untrained backbone; not told apart from all data.",
        "num_compared": 12,
        "estimand": "The accuracy on the mean over 3 targets, expected over training seeds and questions.",
        "optimism": {
            "search": {"observed": 0.74, "expected": 0.70, "optimism": 0.04, "num_trials": 12, "has_seed_noise": True},
            "confirm": {"observed": 0.69, "expected": 0.684, "optimism": 0.006, "num_finalists": 2},
        },
        "retained": [
            {
                "eval_set": builder.name("xray-lung-size"), "before": 0.9, "after": 0.8, "difference": -0.1,
                "ci_low": -0.15, "ci_high": -0.05, "simultaneous_low": -0.16, "simultaneous_high": -0.04,
                "p_adjusted": 0.001, "verdict": "worse",
                "minimum_detectable": 0.07, "n": NUM_QUESTIONS,
            }
        ],
    }  # fmt: skip
    return with_finding(selection)


def with_finding(selection: Mapping[str, Any]) -> dict[str, Any]:
    """The selection with what it comes to, as this version writes it."""
    prospects = Prospects(
        noise=Noise(shift_sd=0.02, pairing=0.3, num_arms=9),
        worth_sd=0.04,
        num_trials=12,
        num_search_questions=NUM_QUESTIONS,
        num_targets=len(TARGETS),
        num_seeds=3,
        num_questions=NUM_QUESTIONS,
        num_comparisons=5,
    )
    return {**selection, "finding": finding_of(selection, no_image={}, prospects=prospects).as_dict()}


def _findings(builder: _Builder) -> dict[str, Any]:
    target = builder.name(next(iter(TARGETS)))
    classes = [
        {
            "arm": arm, "eval_set": target, "split": "sealed", "label": label, "sensitivity": 0.8,
            "sensitivity_low": 0.7, "sensitivity_high": 0.87, "specificity": 0.6, "specificity_low": 0.5,
            "specificity_high": 0.7, "auroc": 0.812, "calibration": 0.05, "num_positive": 90, "num_negative": 110,
            "num_seeds": 3,
        }
        for arm in ("selected", "baseline")
        for label in ("yes", "no")
    ]  # fmt: skip
    strata = [
        {
            "arm": "selected", "eval_set": target, "split": "sealed", "column": "site", "stratum": site,
            "accuracy": 0.7, "ci_low": 0.6, "ci_high": 0.8, "n": 100, "num_seeds": 3,
        }
        for site in ("north", "south")
    ]  # fmt: skip
    calibration = [{"arm": "selected", "eval_set": target, "error": 0.043}]
    return {
        "split": "sealed",
        "classes": classes,
        "rare_classes": [{"eval_set": target, "num_classes": 2, "num_questions": 7}],
        "calibration": calibration,
        "reliability": reliability(target),
        "strata": strata,
    }


def _explanation(builder: _Builder) -> dict[str, Any]:
    effects = [
        {
            "kind": kind, "subject": builder.name(subset), "target": "mean", "value": 0.05 - 0.02 * place,
            "ci_low": 0.01 - 0.02 * place, "ci_high": 0.09 - 0.02 * place, "is_clear": place in (0, 5, 6, 7),
        }
        for kind in ("banzhaf", "adding")
        for place, subset in enumerate(SUBSETS)
    ]  # fmt: skip
    return {"effects": effects, "num_trials": 12, "estimator": "random", "has_pairs": True}


def _differences() -> dict[str, float]:
    return {"control": 0.19, "baseline": 0.25, "all-data": 0.012, "best-single": 0.055, "random-same-size": 0.11}


def _comparison(comparator: str, eval_set: str, split: str, difference: float, place: int) -> dict[str, Any]:
    half = 0.04 if place == 0 else 0.07
    is_clear = difference - half > 0
    return {
        "comparator": comparator,
        "eval_set": eval_set,
        "split": split,
        "difference": difference,
        "ci_low": difference - 0.8 * half,
        "ci_high": difference + 0.8 * half,
        "simultaneous_low": difference - half,
        "simultaneous_high": difference + half,
        "p_value": 0.0001 if is_clear else 0.3,
        "p_adjusted": 0.004 if is_clear else 0.9,
        "verdict": "better" if is_clear else "no difference detected",
        "minimum_detectable": 0.041 if place == 0 else 0.072,
        "n": NUM_QUESTIONS * (3 if place == 0 else 1),
        "seeds": [3, 1] if comparator == "baseline" else [3, 3],
        "note": None,
    }


def _run(builder: _Builder, reasons: Mapping[str, int] | None) -> dict[str, Any]:
    keyed = {**SUBSETS, **TARGETS}
    first = builder.name(next(iter(SUBSETS)))
    return {
        "study": "phantom-ct-mri",
        "recombine_version": "0.1.0",
        "versions": {"ray": "2.60.0", "torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"},
        "seed": 0,
        "started_at": "2026-11-23T08:00:00+00:00",
        "finished_at": "2026-11-23T08:21:40+00:00",
        "wall_s": 1300.0,
        "hardware": {"cpus": 2, "gpus": 0, "memory_gib": 7.6, "device": "cpu"},
        "backbone": {"name": "phantom", "revision": "3f1c2a", "num_parameters": 331520},
        "store_fingerprint": "9f" * 32,
        "quarantine": {
            first: dict(reasons or {"image_truncated": 3, "answer_not_in_options": 1}),
            builder.name("xray-lung-size"): {"missing_image": 7},
        },
        "subsets": {
            builder.name(subset): {
                **dict(zip((*ELEMENTS, "ability"), key, strict=True)),
                "train_rows": 0 if subset in TARGETS else 600,
                "rows": {"train": 0 if subset in TARGETS else 600, "search": 200, "confirm": 200, "sealed": 200},
                "groups_known": subset in TARGETS,
            }
            for subset, key in keyed.items()
        },
        "targets": [builder.name(target) for target in TARGETS],
        "abilities": [builder.name("ct-brain-temporal")],
        "leaked": {builder.name("ct-brain-size"): 5},
        "duplicates": {},
        "task_map": "identity 1",
        "num_runs": 2,
        "sealed_openings": 1,
        "decisions": [
            "executor: pooled, because every trial fits one slot (2 cores, no GPU)",
            "micro_batch_size: 32, because the first batch took 0.4 GiB",
        ],
    }


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
