"""The loop of one fine-tune: seeded batches, loss on the answer only, LoRA weights only."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from trainers.backbone.chosen_logits import logits_at
from trainers.prompts.encoder import IGNORED
from trainers.recipe import Recipe
from trainers.rows.feeds import Feed
from trainers.rows.lookahead import Lookahead
from trainers.training.dropout import BatchHolder, micro_batch_of, place_dropout
from trainers.trial.failures import DivergedError, TrialTimeoutError

ADAM_BETAS = (0.9, 0.98)  # as in the phantom feasibility study; short runs want a faster second moment


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerShare:
    """Which part of every batch this worker trains on."""

    rank: int = 0
    num_workers: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneResult:
    """What a fine-tune reports besides the adapter."""

    num_steps: int
    train_s: float
    final_loss: float | None
    num_tokens: int | None = None  # trained on; None: not counted


def batch_indices(num_rows: int, *, batch_size: int, num_steps: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the row indices of each step: seeded permutations one after the other, epoch boundaries ignored.

    The order depends on (seed, number of rows) only, never on workers or micro-batches.
    """
    epoch, pool = 0, np.empty(0, dtype=np.int64)
    for _ in range(num_steps):
        while len(pool) < batch_size:
            pool = np.concatenate([pool, np.random.default_rng([seed, epoch]).permutation(num_rows)])
            epoch += 1
        yield pool[:batch_size]
        pool = pool[batch_size:]


def finetune(
    model: Any,
    feed: Feed,
    recipe: Recipe,
    *,
    seed: int,
    share: WorkerShare | None = None,
    deadline_s: float | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> FinetuneResult:
    """Train the adapter of `model` in place.

    Args:
        model: PEFT model, or its DistributedDataParallel wrapper when there are several workers.
        feed: the composition's training samples in their order, for the same backbone.
        recipe: steps, rates and sizes.
        seed: of batch order and dropout.
        share: this worker's rank and the number of workers.
        deadline_s: value of `time.monotonic()` after which the trial stops.
        on_step: called with (steps done, loss of this worker's share).

    Raises:
        DivergedError: the loss is not finite.
        TrialTimeoutError: the deadline has passed.
        ValueError: workers would get unequal parts of a batch, and wait for each other for ever.
    """
    share = share or WorkerShare()
    if recipe.batch_size % share.num_workers:
        raise ValueError(f"{share.num_workers} workers cannot share batches of {recipe.batch_size} evenly")
    started = time.monotonic()
    if recipe.num_steps == 0 or len(feed) == 0:
        return FinetuneResult(num_steps=0, train_s=0.0, final_loss=None)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer, schedule = _optimizer(trainable, recipe)
    dropout = place_dropout(model, rate=recipe.lora_dropout, seed=seed)
    model.train()
    loss, num_tokens = math.nan, 0
    samples = _samples(feed, recipe, seed, share)
    for step in range(1, recipe.num_steps + 1):
        is_late = deadline_s is not None and time.monotonic() > deadline_s
        if _any_worker(is_late, share):
            raise TrialTimeoutError(f"stopped after {step - 1} of {recipe.num_steps} steps: the trial's time is over")
        loss, of_step = _backward(model, feed, samples, recipe, share, dropout, step=step - 1)
        num_tokens += of_step
        norm = float(torch.nn.utils.clip_grad_norm_(trainable, recipe.max_grad_norm))
        if _any_worker(not (math.isfinite(loss) and math.isfinite(norm)), share):
            raise DivergedError(f"the loss is {loss} and its gradient's norm {norm} at step {step}")
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if on_step is not None:
            on_step(step, loss)
    model.eval()
    return FinetuneResult(
        num_steps=recipe.num_steps,
        train_s=time.monotonic() - started,
        final_loss=loss,
        num_tokens=num_tokens if share.num_workers == 1 else None,
    )


def _optimizer(trainable: list[Any], recipe: Recipe) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    optimizer = torch.optim.AdamW(
        trainable,
        lr=recipe.learning_rate,
        betas=ADAM_BETAS,
        weight_decay=recipe.weight_decay,
        fused=trainable[0].is_cuda,  # one kernel instead of one an operation and parameter
    )
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, recipe))


def _samples(feed: Feed, recipe: Recipe, seed: int, share: WorkerShare) -> Lookahead:
    """Return the samples of this worker's share of every batch, batch after batch, read ahead."""
    batches = batch_indices(len(feed), batch_size=recipe.batch_size, num_steps=recipe.num_steps, seed=seed)
    mine = (int(index) for indices in batches for index in indices[share.rank :: share.num_workers])
    return Lookahead(feed, mine, num_threads=torch.get_num_threads())


def rate_factor(step: int, recipe: Recipe) -> float:
    """Return the learning rate's share of its peak: linear warm-up, then cosine decay to zero."""
    warmup = max(1, round(recipe.warmup_fraction * recipe.num_steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, recipe.num_steps - warmup)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def batch_losses(model: Any, inputs: dict[str, Any], *, only_answers: bool | None = None) -> torch.Tensor:
    """Return each sample's loss: [batch].

    Args:
        model: backbone with adapter.
        inputs: of a forward pass, with `labels` [batch, tokens], which are taken out.
        only_answers: let only the positions that predict an answer reach the vocabulary: of a long prompt the others
            would take most of the memory and be thrown away. None: on a GPU. A CPU multiplies few rows in another
            order than many, so packed and alone would differ in the last digit.
    """
    labels = inputs.pop("labels")
    targets = functional.pad(labels[:, 1:], (0, 1), value=IGNORED)  # what each position predicts: [batch, tokens]
    wanted = targets != IGNORED
    if labels.is_cuda if only_answers is None else only_answers:
        logits = logits_at(model, inputs, wanted)
    else:
        logits = model(**inputs, use_cache=False).logits[wanted]
    return answer_losses(logits, targets)


def answer_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return each sample's mean cross-entropy of its answer tokens: [batch].

    Args:
        logits: [answer tokens of all samples, vocabulary], sample after sample.
        targets: [batch, positions], the token that each position predicts; `IGNORED` outside the answer.
    """
    wanted = targets != IGNORED
    losses = functional.cross_entropy(logits.float(), targets[wanted], reduction="none")
    counts = wanted.sum(dim=1)  # answer tokens of each sample: [batch]
    sample = torch.arange(len(counts), device=targets.device).repeat_interleave(counts)
    return losses.new_zeros(len(counts)).index_add(0, sample, losses / counts.repeat_interleave(counts))


def _any_worker(flag: bool, share: WorkerShare) -> bool:
    """Whether any worker raises the flag: all must leave the loop together, or the others wait for ever."""
    if share.num_workers == 1 or not torch.distributed.is_initialized():
        return flag
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    raised = torch.tensor([float(flag)], device=device)
    torch.distributed.all_reduce(raised, op=torch.distributed.ReduceOp.MAX)
    return bool(raised.item())


def _backward(
    model: Any, feed: Feed, samples: Lookahead, recipe: Recipe, share: WorkerShare, dropout: BatchHolder, *, step: int
) -> tuple[float, int]:
    """Accumulate the gradient of this worker's share of a batch; return its mean loss, and how many tokens it had.

    Every sample weighs 1 / batch_size in the whole batch, however it is cut into workers and micro-batches;
    DistributedDataParallel averages over workers, hence the factor, and does so once a step: with the last micro-batch.
    """
    weight = share.num_workers / recipe.batch_size
    num_mine = recipe.batch_size // share.num_workers
    total, num_tokens = 0.0, 0
    for part in micro_batches(num_mine, recipe.micro_batch_size):
        taken = samples.take(len(part))
        num_tokens += sum(sample.num_tokens for sample in taken)
        inputs = feed.training_inputs(taken)
        if recipe.lora_dropout:
            places = [share.rank + share.num_workers * i for i in part]
            dropout.micro_batch = micro_batch_of(model, inputs, places, step=step)
        with _averaging_over_workers(model, part.stop == num_mine):
            loss = batch_losses(model, inputs).sum()
            (loss * weight).backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    return total / num_mine, num_tokens


def _averaging_over_workers(model: Any, wanted: bool) -> AbstractContextManager[None]:
    """Have DistributedDataParallel average gradients in this backward pass, or only add to them."""
    is_shared = isinstance(model, DistributedDataParallel)
    return model.no_sync() if is_shared and not wanted else contextlib.nullcontext()


def micro_batches(num_samples: int, size: int | None) -> Iterator[range]:
    """Yield the places of a batch's samples in micro-batches of at most `size`; all at once when None."""
    size = size or num_samples
    for start in range(0, num_samples, size):
        yield range(start, min(start + size, num_samples))


def halved_micro_batch(recipe: Recipe) -> Recipe | None:
    """Return the same experiment in half the memory; None where a micro-batch is one sample already."""
    size = min(recipe.micro_batch_size or recipe.batch_size, recipe.batch_size)
    return None if size == 1 else recipe.model_copy(update={"micro_batch_size": size // 2})


@contextlib.contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Ask torch for deterministic algorithms; the order of a sum may otherwise change the last digit."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted or before, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
