"""The search that a user of Hugging Face would take: `Trainer.hyperparameter_search(backend="ray")`.

The Trainer is pickled into every trial, which builds the model, encodes its rows and scores as ours do; the composition
is a searched number. One process a trial, two at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments

from tests.benchmarks.trials.workload import BACKBONE, table_of, trial_spec
from trainers.backbone.adapters import add_adapter
from trainers.backbone.backbone import load_backbone
from trainers.prompts.encoder import example_from_row
from trainers.recipe import Recipe
from trainers.rows.feeds import DirectFeed
from trainers.scoring.scorer import score_rows


class CompositionTrainer(Trainer):  # type: ignore[misc]
    """A Trainer whose training rows are those of a numbered composition."""

    def _hp_search_setup(self, trial: Any) -> None:
        number = int(trial["number"])
        super()._hp_search_setup({key: value for key, value in trial.items() if key != "number"})
        spec = trial_spec(number)
        rows = [
            row for s, n in sorted(spec.composition.items()) for row in table_of(s, "train").slice(0, n).to_pylist()
        ]
        self.train_dataset = rows
        self._spec = spec

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Score the trial's targets as ours are scored."""
        torch.set_num_threads(1)
        backbone = load_backbone(BACKBONE)
        correct = total = 0
        for request in self._spec.evaluations:
            outcomes = score_rows(
                self.model, backbone.encoder, DirectFeed(backbone.encoder, table_of(request.eval_set, "search")),
                eval_set=request.eval_set, split="search", batch_size=64, generate=False,
            )  # fmt: skip
            correct += sum(outcome.correct for outcome in outcomes)
            total += len(outcomes)
        return {"eval_accuracy": correct / total}


def make_model(trial: Any = None) -> Any:
    """A fresh adapter on the backbone."""
    torch.set_num_threads(1)
    return add_adapter(load_backbone(BACKBONE), Recipe(), seed=0)


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch of rows with answers and labels."""
    encoded: dict[str, torch.Tensor] = _encoder().encode_training([example_from_row(row) for row in rows])
    return encoded


def _encoder() -> Any:
    if "encoder" not in _KEPT:
        _KEPT["encoder"] = load_backbone(BACKBONE).encoder
    return _KEPT["encoder"]


_KEPT: dict[str, Any] = {}


def run_hf_search(numbers: list[int], folder: Path) -> None:
    """Run one trial a number."""
    from ray import tune

    recipe = Recipe()
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=recipe.num_steps, per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate, lr_scheduler_type="cosine", warmup_steps=8, weight_decay=0.01,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True,
        remove_unused_columns=False, dataloader_pin_memory=False, adam_beta2=0.98,
    )  # fmt: skip
    trainer = CompositionTrainer(
        model_init=make_model, args=arguments, data_collator=collate, train_dataset=[{}], eval_dataset=[{}]
    )
    trainer.hyperparameter_search(
        hp_space=lambda trial: {"number": tune.grid_search(numbers)},
        compute_objective=lambda metrics: metrics["eval_accuracy"],
        direction="maximize",
        backend="ray",
        n_trials=1,
        resources_per_trial={"cpu": 1},
        storage_path=str(folder),
        verbose=0,
    )
