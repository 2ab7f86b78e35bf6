"""A study directory with everything a finished study leaves, made without a model: answers are drawn, results real."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from datasets_spec.canonical import content_hash
from search.ledger.ledger import Ledger
from search.results.write_results import write_results
from search.study.run_dir import RunDir, claim_run_dir
from search.study.study import Study
from tests.makers.study_fixture import open_study, write_store
from trainers.scoring.outcome import OUTCOME_SCHEMA
from trainers.trial.folder import write_outcomes

QUESTIONS = {"search": 24, "confirm": 30, "sealed": 30}
SELECTED = {"ct-lung": 8, "mr-brain": 8}
ADAPTER = {
    "peft_type": "LORA", "base_model_name_or_path": "phantom", "revision": None, "r": 8, "lora_alpha": 16.0,
    "target_modules": r"model\.language_model\..*(?:attn|attention)[^.]*\.(?:.*\.)?(k_proj|o_proj|q_proj|v_proj)",
}  # fmt: skip
# Stage, arm, what it trains on, seeds, splits, how often it is right.
TRIALS: tuple[tuple[str, str, dict[str, int], Sequence[int], Sequence[str], float], ...] = (
    ("baseline", "baseline", {}, (0,), ("search", "confirm"), 0.4),
    ("single", "single:ct-lung", {"ct-lung": 8}, (0, 11), ("search",), 0.7),
    ("single", "single:ct-brain", {"ct-brain": 8}, (0,), ("search",), 0.5),
    ("single", "single:mr-brain", {"mr-brain": 8}, (0,), ("search",), 0.6),
    ("control", "control:mr-lung", {"us-heart": 4, "xr-hand": 4}, (0,), ("search",), 0.4),
    ("search", "proposal-0", SELECTED, (0,), ("search",), 0.8),
    ("search", "proposal-1", {"ct-brain": 8, "ct-lung": 8}, (0,), ("search",), 0.6),
    ("confirm", "finalist-1", SELECTED, (101,), ("confirm",), 0.8),
    ("confirm", "control:mr-lung", {"us-heart": 8, "xr-hand": 8}, (101,), ("confirm",), 0.4),
    ("sealed", "finalist-1", SELECTED, (101,), ("sealed",), 0.8),
    ("sealed", "baseline", {}, (0,), ("sealed",), 0.4),
)


def grey_picture(grey: int) -> bytes:
    """A PNG of one grey."""
    out = io.BytesIO()
    Image.new("L", (32, 32), grey).save(out, "png")
    return out.getvalue()


def finished_study(folder: Path, changes: Mapping[str, Any] | None = None) -> tuple[Study, RunDir]:
    """Write study, store, ledger, answers and results; returns the study and its directory. Rows have two images."""
    study = open_study(folder, changes)
    numbers = {f"mr-lung/{split}": number for split, number in QUESTIONS.items()}
    store = write_store(study, numbers, images=(grey_picture(40), grey_picture(200)))
    run_dir = RunDir(folder / "runs" / "tiny")
    claim_run_dir(run_dir, study.spec, {"store": store.fingerprint, "backbone": "b"})
    with Ledger.open(run_dir / "ledger", writer=True) as ledger:
        for stage, arm, composition, seeds, splits, share in TRIALS:
            for seed in seeds:
                ledger.append(_trial(run_dir, stage, arm, composition, seed, splits, share))
            if stage == "confirm":
                ledger.append({"kind": "sealed_opened"})
        ledger.append({"kind": "ended", "ended_at": "2026-11-01T00:00:00+00:00", "wall_s": 60.0})
        write_results(study, run_dir, store, ledger)
    return study, run_dir


def _trial(
    run_dir: RunDir,
    stage: str,
    arm: str,
    composition: Mapping[str, int],
    seed: int,
    splits: Sequence[str],
    share: float,
) -> dict[str, Any]:
    train_id = content_hash([stage, arm, dict(composition), seed])
    folder = run_dir / f"trials/{arm.replace(':', '-')}-s{seed}-{train_id[:12]}"
    evaluations = []
    for split in splits:
        rows = [_answer(train_id, split, number, share) for number in range(QUESTIONS[split])]
        folder.mkdir(parents=True, exist_ok=True)
        write_outcomes(folder, split, pa.Table.from_pylist(rows, schema=OUTCOME_SCHEMA))
        correct = sum(row["correct"] for row in rows)
        evaluations.append(
            {
                "score_id": content_hash([train_id, split]), "eval_set": "mr-lung", "split": split, "n": len(rows),
                "exposure": "held_out", "correct": correct, "accuracy": correct / len(rows), "invalid": 0,
                "generation_correct": None, "generation_accuracy": None, "eval_s": 0.1,
            }
        )  # fmt: skip
    if composition:
        (folder / "adapter").mkdir(exist_ok=True)
        (folder / "adapter" / "adapter_model.safetensors").write_bytes(train_id.encode())
        (folder / "adapter" / "adapter_config.json").write_text(json.dumps(ADAPTER))
    return {
        "kind": "trial", "stage": stage, "status": "finished", "strategy": "random", "arm": arm, "reason": "",
        "composition": dict(composition), "recipe": {"num_steps": 4, "batch_size": 4}, "evaluations": evaluations,
        "train_id": train_id, "seed": seed, "rung": None, "error": None, "reused": False, "searched": {},
        "proposal_index": int(arm[-1]) if stage == "search" else None, "num_steps": 4 if composition else 0,
        "num_train_samples": sum(composition.values()), "train_s": 2.0, "startup_s": 1.0, "slot": None,
        "pack_size": 1, "started_at": None, "seconds": {}, "adapter_sha256": None,
        "trial_dir": folder.relative_to(run_dir.root).as_posix(), "finished_at": "2026-11-01T00:00:00+00:00",
    }  # fmt: skip


def _answer(train_id: str, split: str, number: int, share: float) -> dict[str, Any]:
    """An answer to the question `which ?`, whose first option is right; some are hard for everybody."""
    draw = int(content_hash([train_id, split, number])[:8], 16) / 2**32
    hard = int(content_hash([split, number])[:8], 16) / 2**32
    is_right = (draw + hard) / 2 < share**0.5 - 0.1
    probability = 0.9 - draw / 4 if is_right else 0.1 + draw / 4
    return {
        "sample_id": f"mr-lung/{split}#{number}", "eval_set": "mr-lung", "split": split,
        "predicted": 0 if is_right else 1, "correct": is_right, "invalid": False, "answer_kind": "closed",
        "log_probs": np.log([probability, 1 - probability]).tolist(), "generated": None,
    }  # fmt: skip
