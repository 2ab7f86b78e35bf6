"""Several LoRA adapters side by side on one frozen backbone: a batch holds their samples one adapter after the other.

Layers of the language model take as many rows of each adapter. A projector takes image tokens, of which samples have as
many as their images are large: their rows are given out by counts.

PEFT refuses batches of mixed adapters in training (0.21, `model.py`); this does them as stacked matrices. What one
adapter gets is what it would get alone: the backbone treats samples independently, and so do batched products.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from datasets_spec.errors import RecombineError
from trainers.backbone.adapters import add_adapter, image_layers, lora_layers
from trainers.backbone.backbone import Backbone
from trainers.recipe import Recipe
from trainers.training.dropout import MicroBatch, dropped


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterWeights:
    """One adapter's matrices by the name of the layer that they are added to, in PEFT's order.

    Attributes:
        down: LoRA's A, [rank, in].
        up: LoRA's B, [out, rank].
        scaling: what the product is multiplied with.
    """

    down: Mapping[str, torch.Tensor]
    up: Mapping[str, torch.Tensor]
    scaling: float

    @property
    def rank(self) -> int:
        """Rank of every layer."""
        return int(next(iter(self.down.values())).shape[0])


@contextmanager
def as_peft_model(backbone: Backbone, recipe: Recipe, weights: AdapterWeights) -> Iterator[Any]:
    """Put one adapter on the backbone as PEFT has it, to be saved; taken off at the end."""
    model = add_adapter(backbone, recipe, seed=0)
    try:
        with torch.no_grad():
            for name, layer in lora_layers(model):
                layer.lora_A["default"].weight.copy_(weights.down[name])
                layer.lora_B["default"].weight.copy_(weights.up[name])
        yield model
    finally:
        model.unload()


def fresh_weights(backbone: Backbone, recipe: Recipe, *, seed: int) -> AdapterWeights:
    """Return the first values of an adapter, the same as `add_adapter` gives."""
    model = add_adapter(backbone, recipe, seed=seed)
    try:
        layers = list(lora_layers(model))
        return AdapterWeights(
            down={name: layer.lora_A["default"].weight.detach().clone() for name, layer in layers},
            up={name: layer.lora_B["default"].weight.detach().clone() for name, layer in layers},
            scaling=float(layers[0][1].scaling["default"]),
        )
    finally:
        model.unload()


@dataclass(frozen=True, kw_only=True, slots=True)
class RankGroup:
    """Adapters of one rank, stacked. Ranks are not padded: a padded product is summed in another order.

    Attributes:
        adapters: their places in the pack.
        down: A of each layer, [adapters, rank, in].
        up: B of each layer, [adapters, out, rank].
    """

    adapters: range
    down: dict[str, nn.Parameter]
    up: dict[str, nn.Parameter]

    def parameters(self) -> list[nn.Parameter]:
        """Return the stacked matrices in PEFT's order: A and B of each layer."""
        return [p for name in self.down for p in (self.down[name], self.up[name])]


class PackedAdapters:
    """Adapters stacked on the layers of a backbone.

    Args:
        backbone: frozen, without an adapter.
        weights: of each adapter, sorted by rank; all on the same layers.
        dropouts: probability of each adapter's input dropout.
        seeds: of each adapter's dropout.

    Raises:
        ValueError: the adapters are not sorted by rank.
    """

    def __init__(
        self,
        backbone: Backbone,
        weights: Sequence[AdapterWeights],
        *,
        dropouts: Sequence[float],
        seeds: Sequence[int],
    ) -> None:
        ranks = [w.rank for w in weights]
        if ranks != sorted(ranks):
            raise ValueError("adapters of a pack are sorted by rank")
        self.num_adapters = len(weights)
        layers = list(weights[0].down)
        self.groups = [_group(weights, rank, layers, backbone.device) for rank in sorted(set(ranks))]
        self._scalings = [w.scaling for w in weights]
        self._scaling = torch.tensor(self._scalings, device=backbone.device).view(-1, 1, 1)
        self._dropouts = list(dropouts)
        self._seeds = list(seeds)
        self._backbone = backbone
        modules = dict(backbone.model.named_modules())
        self._modules = {name: modules[name] for name in layers}
        self._of_images = image_layers(backbone.model, layers)
        self._numbers = {name: number for number, name in enumerate(layers)}
        self._micro_batches: Sequence[MicroBatch] | None = None

    def weights(self, adapter: int) -> AdapterWeights:
        """Return one adapter's matrices on the CPU."""
        (group,) = [g for g in self.groups if adapter in g.adapters]
        place = adapter - group.adapters.start
        return AdapterWeights(
            down={n: p[place].detach().cpu().clone() for n, p in group.down.items()},
            up={n: p[place].detach().cpu().clone() for n, p in group.up.items()},
            scaling=self._scalings[adapter],
        )

    @contextmanager
    def applied(self, micro_batches: Sequence[MicroBatch] | None = None) -> Iterator[Any]:
        """Let the backbone's own forward pass go through the adapters; yields the model.

        Args:
            micro_batches: of each adapter, to train on. None: all adapters answer the same questions.
        """
        self._micro_batches = micro_batches
        model = self._backbone.model.train(micro_batches is not None)
        handles = [module.register_forward_hook(self._hook(name)) for name, module in self._modules.items()]
        try:
            yield model
        finally:
            for handle in handles:
                handle.remove()
            model.eval()

    def _hook(self, name: str) -> Any:
        is_of_images = name in self._of_images

        def add_product(module: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
            flat = args[0].reshape(-1, args[0].shape[-1])  # [adapters' rows one after the other, in]
            sizes = self._rows_of_adapters(name, len(flat)) if is_of_images else None
            if sizes is None or len(set(sizes)) == 1:
                product = self._product_of_equal(name, flat.view(self.num_adapters, -1, flat.shape[-1]))
            else:
                product = self._product_of_unequal(name, flat.split(sizes))
            return (output + product.reshape(output.shape)).to(output.dtype)

        return add_product

    def _rows_of_adapters(self, name: str, num_rows: int) -> list[int] | None:
        """How many rows of an image layer's input are each adapter's; None: as many each.

        Raises:
            RecombineError: the layer does not take one row an image token, so that rows have no owner.
        """
        if self._micro_batches is None or self.num_adapters == 1:
            return None
        sizes = [sum(micro_batch.image_tokens) for micro_batch in self._micro_batches]
        if sum(sizes) != num_rows:
            raise RecombineError(
                f"'{name}' takes {num_rows} rows for {sum(sizes)} image tokens: such projectors are "
                "trained one fine-tune at a time"
            )
        return sizes

    def _product_of_equal(self, name: str, flat: torch.Tensor) -> torch.Tensor:
        """[adapters, rows, in] -> [adapters, rows, out]."""
        if self._micro_batches is not None and any(self._dropouts):
            flat = torch.stack(self._dropped(name, flat.unbind(), self._micro_batches))
        parts = [
            _linear(_linear(flat[g.adapters.start : g.adapters.stop], g.down[name]), g.up[name]) for g in self.groups
        ]
        product = parts[0] if len(parts) == 1 else torch.cat(parts)
        if len(set(self._scalings)) == 1:
            return product * self._scalings[0]
        return (product.float() * self._scaling).to(product.dtype)  # as a product with a plain number is rounded

    def _product_of_unequal(self, name: str, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        """Rows [rows of the adapter, in] of each adapter -> [rows of all, out]."""
        if self._micro_batches is not None and any(self._dropouts):
            rows = self._dropped(name, rows, self._micro_batches)
        parts = []
        for group in self.groups:
            for place, adapter in enumerate(group.adapters):
                down, up = (matrices[name][place : place + 1] for matrices in (group.down, group.up))
                parts.append(_linear(_linear(rows[adapter][None], down), up)[0] * self._scalings[adapter])
        return torch.cat(parts)

    def _dropped(
        self, name: str, rows: Sequence[torch.Tensor], micro_batches: Sequence[MicroBatch]
    ) -> list[torch.Tensor]:
        """Each adapter's rows with what it would drop alone."""
        number, is_of_images = self._numbers[name], name in self._of_images
        return [
            dropped(part, micro_batch, rate=rate, seed=seed, layer=number, is_of_images=is_of_images) if rate else part
            for part, micro_batch, rate, seed in zip(rows, micro_batches, self._dropouts, self._seeds, strict=True)
        ]


def scoring_adapters(backbone: Backbone, weights: Sequence[AdapterWeights]) -> PackedAdapters:
    """Return adapters that are only answered with, not trained."""
    return PackedAdapters(backbone, weights, dropouts=[0.0] * len(weights), seeds=[0] * len(weights))


def _group(weights: Sequence[AdapterWeights], rank: int, layers: Sequence[str], device: torch.device) -> RankGroup:
    places = [i for i, w in enumerate(weights) if w.rank == rank]
    return RankGroup(
        adapters=range(places[0], places[-1] + 1),
        down={n: nn.Parameter(torch.stack([weights[i].down[n] for i in places]).to(device)) for n in layers},
        up={n: nn.Parameter(torch.stack([weights[i].up[n] for i in places]).to(device)) for n in layers},
    )


class _BatchedLinear(torch.autograd.Function):
    """`torch.nn.functional.linear` for each adapter: the same products in forward and backward.

    The gradient that `bmm` has by itself multiplies the other way round and sums in another order: the weights
    then differ from those of an adapter alone in the last digits, and after 20 steps by 1e-3 (measured).
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """[adapters, rows, in] and [adapters, out, in] -> [adapters, rows, out]."""
        ctx.save_for_backward(x, weight)
        return torch.bmm(x, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Gradients of both, in `linear`'s own order of multiplication."""
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        for_x = torch.bmm(gradient, weight) if ctx.needs_input_grad[0] else None
        return for_x, torch.bmm(gradient.transpose(1, 2), x)


def _linear(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Multiply in the type of the input; weights and their gradients stay in float32 (`adapters.MasterLinear`)."""
    product: torch.Tensor = _BatchedLinear.apply(x, weight.to(x.dtype))  # type: ignore[no-untyped-call]
    return product
