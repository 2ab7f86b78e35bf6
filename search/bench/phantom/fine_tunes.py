"""One fine-tune on the phantom corpus without a study: the trainers' own loop and scorer over rows made in memory.

The corpus's evidence (`recombine phantom evidence`) needs hundreds of short fine-tunes on one machine and no search.
Each is a pure function of its spec.
"""

from __future__ import annotations

import functools
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from datasets_spec.canonical import content_hash
from datasets_spec.phantom.free_answers import NAMING
from datasets_spec.phantom.world import WORLD_VERSION
from search.bench.phantom.rows import key_of, make_rows
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe
from trainers.trial.spec import scorer_version

SCORING_BATCH = 100
QUESTIONS_SEED = 0  # questions are the same for every trial; their split is no trial's training split


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomTrial:
    """One fine-tune and what it is scored on.

    Attributes:
        arm: what the composition is, for the reader.
        base: folder of the backbone.
        sources: names of the subsets trained on; none is the untrained backbone.
        num_samples: rows of each source.
        seed: of the training rows, the adapter's first values and the batch order.
        targets: names of the subsets scored.
        num_questions: of each target.
        question_split: which questions; different names have none in common, nor with any training rows.
    """

    arm: str
    base: str
    sources: tuple[str, ...]
    num_samples: int
    seed: int
    targets: tuple[str, ...]
    num_questions: int
    question_split: str = "evidence"

    @property
    def identity(self) -> str:
        """Hash of all that decides the result: spec, backbone, recipe, corpus, scorer; not what the arm is called."""
        spec = asdict(self)
        del spec["arm"]
        return content_hash(
            {
                **spec,
                "base": _fingerprint(self.base),
                "recipe": Recipe().identity(),
                "world": WORLD_VERSION,
                "scorer": scorer_version(has_words=any(key_of(target).task == NAMING for target in self.targets)),
            }
        )


def run_phantom_trial(trial: PhantomTrial) -> dict[str, Any]:
    """Fine-tune and score.

    Returns:
        The spec's fields, its identity, ``correct`` (target -> list of 0 and 1, one a question) and CPU seconds.
    """
    backbone = phantom_backbone(trial.base)
    clock = time.process_time()
    if not trial.sources:
        correct = score_phantom(trial, backbone.model)
        return _result(trial, correct, {"rows": 0.0, "train": 0.0, "score": time.process_time() - clock})
    rows = training_rows(trial)
    rows_s, clock = time.process_time() - clock, time.process_time()
    model = train_phantom(trial, rows)
    train_s, clock = time.process_time() - clock, time.process_time()
    try:
        correct = score_phantom(trial, model)
    finally:
        model.unload()  # leaves the backbone as it was, for the next trial of this process
    return _result(trial, correct, {"rows": rows_s, "train": train_s, "score": time.process_time() - clock})


def training_rows(trial: PhantomTrial) -> pa.Table:
    """Return the rows of all sources of a trial."""
    return pa.concat_tables(make_rows(s, seed=trial.seed, split="train", num=trial.num_samples) for s in trial.sources)


def train_phantom(trial: PhantomTrial, rows: pa.Table) -> Any:
    """Return the backbone with the adapter of a trial, trained; `unload` takes it off again."""
    from trainers.backbone.adapters import add_adapter
    from trainers.rows.feeds import DirectFeed
    from trainers.training.loop import finetune

    backbone = phantom_backbone(trial.base)
    model = add_adapter(backbone, Recipe(), seed=trial.seed)
    try:
        finetune(model, DirectFeed(backbone.encoder, rows), Recipe(), seed=trial.seed)
    except BaseException:
        model.unload()
        raise
    return model


def score_phantom(trial: PhantomTrial, model: Any) -> dict[str, list[int]]:
    """Which questions of each target a model gets right."""
    from trainers.rows.feeds import DirectFeed
    from trainers.scoring.scorer import score_rows

    backbone, correct = phantom_backbone(trial.base), {}
    for target in trial.targets:
        outcomes = score_rows(
            model,
            backbone.encoder,
            DirectFeed(backbone.encoder, _questions(target, trial.question_split, trial.num_questions)),
            eval_set=target,
            split=trial.question_split,
            batch_size=SCORING_BATCH,
            generate=False,
        )
        correct[target] = [int(outcome.correct) for outcome in outcomes]
    return correct


def _result(trial: PhantomTrial, correct: dict[str, list[int]], cpu_s: dict[str, float]) -> dict[str, Any]:
    seconds = {part: round(value, 3) for part, value in cpu_s.items()}
    return {**asdict(trial), "identity": trial.identity, "correct": correct, "cpu_s": seconds}


@functools.cache
def _fingerprint(folder: str) -> str:
    from trainers.backbone.backbone import phantom_fingerprint

    return phantom_fingerprint(Path(folder))


@functools.lru_cache(maxsize=4)
def phantom_backbone(folder: str) -> Any:
    """Return a base, loaded once a process."""
    import torch

    from trainers.backbone.backbone import load_backbone

    torch.set_num_threads(1)
    return load_backbone(BackboneSpec(model=folder, device="cpu", dtype="float32"))


@functools.lru_cache(maxsize=128)
def _questions(target: str, split: str, num: int) -> pa.Table:
    return make_rows(target, seed=QUESTIONS_SEED, split=split, num=num)
