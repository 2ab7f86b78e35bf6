"""Trials of a slot until each has an end: what fails together is tried apart, what does not fit in smaller parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from trainers.backbone.memory import free_memory
from trainers.executors.packed_trials import PackRun, SlotContext
from trainers.training.loop import deterministic_algorithms, halved_micro_batch
from trainers.trial.failures import LeaseLostError, describe_error, failure_status
from trainers.trial.spec import TrialSpec


def run_packed_trials(context: SlotContext, specs: Sequence[TrialSpec], *, attempt: str) -> None:
    """Train, score and publish trials; when they fail together, each is tried again alone.

    A trial alone that runs out of memory is tried with half the micro-batch and half the questions at a time, down to
    one of each, then it is `oom`. Nothing of a failed attempt is kept when the next begins.

    Args:
        context: of the slot.
        specs: none of which has a finished folder, with equal `pack_shape`.
        attempt: name that no other attempt of these trials has.

    Raises:
        LeaseLostError: nothing further was published.
    """
    waiting = deque([list(specs)])
    while waiting:
        again = _run_once(context, waiting.popleft(), attempt)
        if again:
            # Here no exception is being handled: its traceback would hold the failed attempt's activations.
            free_memory(context.backbone.device)
        waiting.extendleft(reversed(again))


def with_less_memory(spec: TrialSpec) -> TrialSpec | None:
    """Return the same experiment in half the memory; None when it cannot be had."""
    recipe = halved_micro_batch(spec.recipe)
    if recipe is None and spec.eval_batch_size == 1:
        return None
    smaller = {"recipe": recipe or spec.recipe, "eval_batch_size": max(1, spec.eval_batch_size // 2)}
    return spec.model_copy(update=smaller)


def within_micro_batch(spec: TrialSpec, size: int | None) -> TrialSpec:
    """Return the same experiment in micro-batches of at most `size`; as it is when None."""
    if size is None or size >= (spec.recipe.micro_batch_size or spec.recipe.batch_size):
        return spec
    return spec.model_copy(update={"recipe": spec.recipe.model_copy(update={"micro_batch_size": size})})


def _run_once(context: SlotContext, specs: Sequence[TrialSpec], attempt: str) -> list[list[TrialSpec]]:
    """Run trials together; return what is to be tried again, and with whom."""
    run = PackRun(context, specs, attempt)
    try:
        with deterministic_algorithms(any(spec.deterministic for spec in specs)):
            run.run()
    except LeaseLostError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the data path or a model throws belongs to the trial
        status, words = failure_status(error), describe_error(error)
    left = run.unpublished
    if len(left) > 1:
        return [[spec] for spec in left]
    for spec in left:
        smaller = with_less_memory(spec) if status == "oom" else None
        if smaller is not None:
            return [[smaller]]
        run.fail(spec, status, words)
    return []
