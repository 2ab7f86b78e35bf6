"""The loop of several fine-tunes at once on one backbone; each goes exactly as it would go alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from trainers.backbone.backbone import Backbone
from trainers.recipe import Recipe
from trainers.rows.feeds import Feed
from trainers.rows.lookahead import Lookahead
from trainers.training.dropout import MicroBatch
from trainers.training.loop import ADAM_BETAS, batch_indices, batch_losses, micro_batches, rate_factor
from trainers.training.packed_adapters import AdapterWeights, PackedAdapters, fresh_weights, scoring_adapters
from trainers.training.packed_optimizer import OptimizerState, PackedAdamW


@dataclass(kw_only=True, eq=False)
class Member:
    """One fine-tune of a pack.

    Attributes:
        recipe: its own; what `pack_shape` names must be equal in a pack.
        feed: its training samples.
        seed: of its adapter, batch order and dropout.
        train_s: seconds of the pack's steps, shared out evenly over their members.
        loss: of the last step.
        diverged: why it was taken out, if it was.
        num_tokens: tokens of the samples that it was trained on in `train_s`.
        data_s: the part of `train_s` in which the pack waited for its samples or joined them.
    """

    recipe: Recipe
    feed: Feed
    seed: int
    train_s: float = 0.0
    num_tokens: int = 0
    data_s: float = 0.0
    loss: float = math.nan
    num_steps: int = 0
    diverged: str | None = None
    _order: Iterator[np.ndarray] = field(init=False)
    _samples: Lookahead | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._order = batch_indices(
            len(self.feed), batch_size=self.recipe.batch_size, num_steps=self.recipe.num_steps, seed=self.seed
        )

    def go_on_from(self, state: MemberState) -> None:
        """Skip the batches of steps that were made before; what they took counts."""
        while self.num_steps < state.optimizer.num_steps:
            next(self._order)
            self.num_steps += 1
        self.train_s, self.num_tokens, self.data_s = state.train_s, state.num_tokens, state.data_s

    def take(self, num_samples: int) -> list[Any]:
        """Return the next samples of its batches; those that follow are prepared meanwhile."""
        if self._samples is None:
            places = (int(index) for indices in self._order for index in indices)
            self._samples = Lookahead(self.feed, places, num_threads=torch.get_num_threads())
        taken = self._samples.take(num_samples)
        self.num_tokens += sum(sample.num_tokens for sample in taken)
        return taken

    def leave(self) -> None:
        """Prepare no more samples."""
        if self._samples is not None:
            self._samples.close()


def pack_shape(recipe: Recipe) -> tuple[object, ...]:
    """Return what members of one pack must have in common; all else may differ."""
    return (recipe.lora_modules, recipe.batch_size, recipe.micro_batch_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberState:
    """A fine-tune between two steps: enough to go on as if nothing had happened.

    Attributes:
        weights: the adapter.
        optimizer: steps made and moments.
        train_s: what these steps took, as `num_tokens` and `data_s` of a `Member`.
    """

    weights: AdapterWeights
    optimizer: OptimizerState
    train_s: float = 0.0
    num_tokens: int = 0
    data_s: float = 0.0


class Pack:
    """Fine-tunes that share forward and backward passes.

    Args:
        backbone: frozen, without an adapter.
        members: with equal `pack_shape`.
        states: where each member goes on; None begins.

    Raises:
        ValueError: the members' shapes differ.
    """

    def __init__(
        self, backbone: Backbone, members: Sequence[Member], *, states: Sequence[MemberState | None] | None = None
    ) -> None:
        if len({pack_shape(member.recipe) for member in members}) != 1:
            raise ValueError("members of a pack need the same modules, batch and micro-batch")
        self.backbone = backbone
        self.members: list[Member] = []
        self._stack(dict(zip(members, states or [None] * len(members), strict=True)))

    def weights(self, member: Member) -> AdapterWeights:
        """Return a member's adapter as it is now."""
        return self._adapters.weights(self.members.index(member))

    def state(self, member: Member) -> MemberState:
        """Return where a member is now."""
        place = self.members.index(member)
        return MemberState(
            weights=self._adapters.weights(place),
            optimizer=self._optimizer.state(place),
            train_s=member.train_s,
            num_tokens=member.num_tokens,
            data_s=member.data_s,
        )

    def scoring(self, members: Sequence[Member]) -> AbstractContextManager[Any]:
        """Return a context that yields the model with some members' adapters, in the order of `self.members`."""
        if set(members) == set(self.members):
            return self._adapters.applied()
        chosen = [self.weights(member) for member in self.members if member in members]
        return scoring_adapters(self.backbone, chosen).applied()

    def remove(self, leaving: Sequence[Member]) -> None:
        """Take members out; the others go on where they are."""
        for member in leaving:
            member.leave()
        if any(member in leaving for member in self.members):
            self._stack({member: self.state(member) for member in self.members if member not in leaving})

    def advance(self, num_steps: int, *, on_micro_batch: Callable[[], None] = lambda: None) -> list[Member]:
        """Make steps with all members; none may have fewer steps left.

        Args:
            num_steps: how many.
            on_micro_batch: called after every backward pass; may raise, and then the pack is of no further use.

        Returns:
            Members that were taken out because their loss is not finite.
        """
        lost: list[Member] = []
        for _ in range(num_steps):
            started, trained = time.monotonic(), list(self.members)
            if not trained:
                break
            lost += self._one_step(on_micro_batch)
            for member in trained:
                member.train_s += (time.monotonic() - started) / len(trained)
        return lost

    def _one_step(self, on_micro_batch: Callable[[], None]) -> list[Member]:
        losses = self._backward(on_micro_batch)
        norms = self._optimizer.clip()
        lost: list[Member] = []
        for member, loss, norm in zip(self.members, losses, norms, strict=True):
            member.loss = loss
            if math.isfinite(loss) and math.isfinite(norm):
                member.num_steps += 1
            else:
                member.diverged = f"the loss is {loss} and its gradient's norm {norm} at step {member.num_steps + 1}"
                lost.append(member)
        # A member that is lost does not touch the others: samples and stacked matrices are independent.
        made = [member.num_steps - (member not in lost) for member in self.members]
        self._optimizer.step([rate_factor(n, m.recipe) for n, m in zip(made, self.members, strict=True)])
        self.remove(lost)
        return lost

    def _backward(self, on_micro_batch: Callable[[], None]) -> list[float]:
        """Accumulate every member's gradient over its next batch; return the mean losses."""
        recipe = self.members[0].recipe
        totals = torch.zeros(len(self.members))
        data_s = 0.0
        for part in micro_batches(recipe.batch_size, recipe.micro_batch_size):
            started = time.monotonic()
            samples = [sample for member in self.members for sample in member.take(len(part))]
            inputs = self.members[0].feed.training_inputs(samples)
            data_s += time.monotonic() - started
            with self._adapters.applied(self._micro_batches(inputs, part)) as model:
                losses = batch_losses(model, inputs).view(len(self.members), -1).sum(dim=1)  # [adapters]
                (losses * (1 / recipe.batch_size)).sum().backward()  # type: ignore[no-untyped-call]
            totals += losses.detach().cpu()
            on_micro_batch()
        for member in self.members:
            member.data_s += data_s / len(self.members)
        losses_of: list[float] = (totals / recipe.batch_size).tolist()
        return losses_of

    def _micro_batches(self, inputs: Mapping[str, Any], places: Sequence[int]) -> list[MicroBatch]:
        """Say at which places of its batch each member's samples stand."""
        is_image = inputs["input_ids"] == self.backbone.encoder.image_token_id  # [samples of all members, tokens]
        counts: list[list[int]] = is_image.sum(dim=1).view(len(self.members), -1).tolist()
        return [
            MicroBatch(
                step=member.num_steps,
                samples=places,
                num_tokens=is_image.shape[1],
                image_tokens=own,
            )
            for member, own in zip(self.members, counts, strict=True)
        ]

    def _stack(self, states: Mapping[Member, MemberState | None]) -> None:
        self.members = sorted(states, key=lambda member: member.recipe.lora_rank)
        if not self.members:
            return
        known = [states[member] for member in self.members]
        weights = []
        for member, state in zip(self.members, known, strict=True):
            if state is None:
                weights.append(fresh_weights(self.backbone, member.recipe, seed=member.seed))
            else:
                weights.append(state.weights)
                member.go_on_from(state)
        self._adapters = PackedAdapters(
            self.backbone,
            weights,
            dropouts=[member.recipe.lora_dropout for member in self.members],
            seeds=[member.seed for member in self.members],
        )
        recipes = [member.recipe for member in self.members]
        optimizers = [None if state is None else state.optimizer for state in known]
        self._optimizer = PackedAdamW(self._adapters, recipes, ADAM_BETAS, optimizers)
