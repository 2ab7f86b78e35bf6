"""AdamW over stacked adapters: each has its own rate, clipping and weight decay, as if it were alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from trainers.recipe import Recipe
from trainers.training.packed_adapters import PackedAdapters, RankGroup

EPSILON = 1e-8  # torch.optim.AdamW's default
CLIP_EPSILON = 1e-6  # torch.nn.utils.clip_grad_norm_'s


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerState:
    """Where AdamW stands for one adapter: steps made, and both moments of its matrices in PEFT's order."""

    num_steps: int
    first: tuple[torch.Tensor, ...]
    second: tuple[torch.Tensor, ...]


class PackedAdamW:
    """The arithmetic of `torch.optim.AdamW` and `clip_grad_norm_`, in their order, on [adapters, ...] tensors.

    Args:
        adapters: whose parameters are trained.
        recipes: of each adapter.
        betas: decay of the two moments.
        states: where each adapter's optimizer stands; None at its beginning.
    """

    def __init__(
        self,
        adapters: PackedAdapters,
        recipes: Sequence[Recipe],
        betas: tuple[float, float],
        states: Sequence[OptimizerState | None],
    ) -> None:
        self._adapters = adapters
        self._recipes = list(recipes)
        self._betas = betas
        self._num_steps = [0 if state is None else state.num_steps for state in states]
        self._moments = [_moments(group, states) for group in adapters.groups]

    def state(self, adapter: int) -> OptimizerState:
        """Return where one adapter's optimizer stands."""
        ((group, moments),) = [
            (g, m) for g, m in zip(self._adapters.groups, self._moments, strict=True) if adapter in g.adapters
        ]
        place = adapter - group.adapters.start
        return OptimizerState(
            num_steps=self._num_steps[adapter],
            first=tuple(first[place].detach().clone() for first, _ in moments),
            second=tuple(second[place].detach().clone() for _, second in moments),
        )

    def clip(self) -> list[float]:
        """Scale each adapter's gradient down to its `max_grad_norm`; return the norms before."""
        norms: list[float] = []
        for group in self._adapters.groups:
            gradients = [gradient for p in group.parameters() if (gradient := p.grad) is not None]
            of_adapters = []
            for place in range(len(group.adapters)):
                parts = [torch.linalg.vector_norm(gradient[place]) for gradient in gradients]
                of_adapters.append(torch.linalg.vector_norm(torch.stack(parts)))
            stacked = torch.stack(of_adapters)
            limits = stacked.new_tensor([self._recipes[i].max_grad_norm for i in group.adapters])
            # `number / tensor` is a reciprocal and a product in torch: written out, for the same last digit.
            factors = ((stacked + CLIP_EPSILON).reciprocal() * limits).clamp(max=1.0).view(-1, 1, 1)
            for gradient in gradients:
                gradient.mul_(factors)
            norms += stacked.tolist()
        return norms

    @torch.no_grad()
    def step(self, rate_factors: Sequence[float]) -> None:
        """Make one step at `learning_rate * rate_factors[adapter]`, and forget the gradients."""
        beta1, beta2 = self._betas
        self._num_steps = [n + 1 for n in self._num_steps]
        for group, moments in zip(self._adapters.groups, self._moments, strict=True):
            like, steps = moments[0][0], [self._num_steps[i] for i in group.adapters]
            rates = [self._recipes[i].learning_rate * rate_factors[i] for i in group.adapters]
            decays = [1 - rate * self._recipes[i].weight_decay for rate, i in zip(rates, group.adapters, strict=True)]
            decay = _column(decays, like)
            sizes = _column([-(rate / (1 - beta1**n)) for rate, n in zip(rates, steps, strict=True)], like)
            corrections = _column([(1 - beta2**n) ** 0.5 for n in steps], like)
            for parameter, (first, second) in zip(group.parameters(), moments, strict=True):
                gradient = parameter.grad
                if gradient is None:
                    raise RuntimeError("a step without a gradient")
                parameter.mul_(decay)
                first.lerp_(gradient, 1 - beta1)
                second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
                parameter.add_(first * sizes / (second.sqrt() / corrections).add_(EPSILON))
                parameter.grad = None


def _moments(group: RankGroup, states: Sequence[OptimizerState | None]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in group.parameters()]
    for place, adapter in enumerate(group.adapters):
        state = states[adapter]
        if state is not None:
            for (first, second), old_first, old_second in zip(moments, state.first, state.second, strict=True):
                first[place].copy_(old_first)
                second[place].copy_(old_second)
    return moments


def _column(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1)
