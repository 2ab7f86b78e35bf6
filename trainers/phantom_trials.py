"""One fine-tune on the phantom corpus without a study: the trainers' own loop and scorer over rows made in memory.

The corpus's evidence (`recombine phantom evidence`) needs hundreds of short fine-tunes on one machine and no search.
Each is a pure function of its spec.
"""

from __future__ import annotations

import functools
import time
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from datasets_spec.canonical import content_hash
from datasets_spec.phantom.rows import make_rows
from datasets_spec.phantom.world import WORLD_VERSION
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe
from trainers.trial import SCORER_VERSION

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
                "scorer": SCORER_VERSION,
            }
        )


def run_phantom_trial(trial: PhantomTrial) -> dict[str, Any]:
    """Fine-tune and score.

    Returns:
        The spec's fields, its identity, ``correct`` (target -> list of 0 and 1, one a question) and CPU seconds.
    """
    from trainers.backbone import add_adapter
    from trainers.feeds import DirectFeed
    from trainers.finetune import finetune

    backbone = _backbone(trial.base)
    if not trial.sources:
        correct, score_s = _score(trial, backbone, backbone.model)
        return _result(trial, correct, {"rows": 0.0, "train": 0.0, "score": score_s})
    clock = time.process_time()
    rows = pa.concat_tables(make_rows(s, seed=trial.seed, split="train", num=trial.num_samples) for s in trial.sources)
    rows_s, clock = time.process_time() - clock, time.process_time()
    model = add_adapter(backbone, Recipe(), seed=trial.seed)
    try:
        finetune(model, DirectFeed(backbone.encoder, rows), Recipe(), seed=trial.seed)
        train_s = time.process_time() - clock
        correct, score_s = _score(trial, backbone, model)
    finally:
        model.unload()  # leaves the backbone as it was, for the next trial of this process
    return _result(trial, correct, {"rows": rows_s, "train": train_s, "score": score_s})


def _score(trial: PhantomTrial, backbone: Any, model: Any) -> tuple[dict[str, list[int]], float]:
    """Which questions of each target are right, and the CPU seconds it took."""
    from trainers.feeds import DirectFeed
    from trainers.scoring import score_rows

    clock, correct = time.process_time(), {}
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
    return correct, time.process_time() - clock


def _result(trial: PhantomTrial, correct: dict[str, list[int]], cpu_s: dict[str, float]) -> dict[str, Any]:
    seconds = {part: round(value, 3) for part, value in cpu_s.items()}
    return {**asdict(trial), "identity": trial.identity, "correct": correct, "cpu_s": seconds}


@functools.cache
def _fingerprint(folder: str) -> str:
    from trainers.backbone import backbone_fingerprint

    return backbone_fingerprint(BackboneSpec(model=folder))


@functools.lru_cache(maxsize=4)
def _backbone(folder: str) -> Any:
    import torch

    from trainers.backbone import load_backbone

    torch.set_num_threads(1)
    return load_backbone(BackboneSpec(model=folder, device="cpu", dtype="float32"))


@functools.lru_cache(maxsize=128)
def _questions(target: str, split: str, num: int) -> pa.Table:
    return make_rows(target, seed=QUESTIONS_SEED, split=split, num=num)
