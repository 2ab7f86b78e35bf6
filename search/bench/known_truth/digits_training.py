"""Trains many small networks at once, each on its own composition, and scores them on every target.

A network has 67 inputs, two hidden layers of 48 and 13 outputs. All start from one common network. A fine-tune is 150
Adam steps of 32 items; an item's source is drawn uniformly among the composition's, then the item uniformly from the
source, so that every composition costs the same and gives its sources equal shares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from search.bench.known_truth.digits import NUM_OUTPUTS, OPTION_GROUPS, DigitsCorpus, Items
from search.bench.known_truth.table import KnownTruthTable

if TYPE_CHECKING:
    import torch

    Weights = list[torch.Tensor]

NUM_HIDDEN: Final = 48
NUM_STEPS: Final = 150
BATCH: Final = 32
START_BATCH: Final = 64
LEARNING_RATE: Final = 2e-3
START_LEARNING_RATE: Final = 3e-3
BETAS: Final = (0.9, 0.99)
# Networks trained side by side: their weights and moments fit a core's cache (measured: 128 beats 32 and 512).
NUM_SIDE_BY_SIDE: Final = 128
EXPERT_SEED: Final = 1000  # the proxy's single-source networks are none of the table's


def digits_table(
    corpus: DigitsCorpus, name: str, *, num_seeds: int, on_event: Callable[[str], None] | None = None
) -> KnownTruthTable:
    """Fine-tune every composition of a corpus with every seed, score them, and score merges as the proxy.

    Args:
        corpus: sources and targets.
        name: of the table.
        num_seeds: seeds of the batch draws; the start is common.
        on_event: gets a line after every seed.
    """
    num_sources = len(corpus.sources)
    subsets = np.array([[c >> i & 1 for i in range(num_sources)] for c in range(1, 2**num_sources)], dtype=np.int8)
    start = start_network(corpus.start)
    val = np.empty((num_seeds, len(subsets), len(corpus.val)))
    test = np.empty_like(val)
    for seed in range(num_seeds):
        for first in range(0, len(subsets), NUM_SIDE_BY_SIDE):
            rows = slice(first, first + NUM_SIDE_BY_SIDE)
            weights = fine_tune(start, corpus.sources, subsets[rows], seed)
            val[seed, rows], test[seed, rows] = accuracies(weights, corpus.val), accuracies(weights, corpus.test)
        if on_event is not None:
            on_event(f"{name}: seed {seed + 1} of {num_seeds}, {len(subsets)} fine-tunes each")
    return KnownTruthTable(
        name=name,
        subsets=subsets,
        val=val,
        test=test,
        source_mat=corpus.source_mat,
        target_mat=corpus.target_mat,
        num_val=np.array([len(items) for items in corpus.val]),
        num_test=np.array([len(items) for items in corpus.test]),
        proxy=_merged_accuracies(start, corpus, subsets),
    )


def start_network(items: Items) -> Weights:
    """The common network that every fine-tune starts from; weights [1, ...] each."""
    import torch

    generator = torch.Generator().manual_seed(0)
    sizes = (items.inputs.shape[1], NUM_HIDDEN, NUM_HIDDEN, NUM_OUTPUTS)
    weights: Weights = []
    for fan_in, fan_out in pairwise(sizes):
        weights += [torch.randn(1, fan_in, fan_out, generator=generator) * (2 / fan_in) ** 0.5]
        weights += [torch.zeros(1, 1, fan_out)]
    drawn = np.random.default_rng(0).integers(len(items), size=(1, NUM_STEPS, START_BATCH))
    return _train(weights, items, drawn, START_LEARNING_RATE, decay=False)


def fine_tune(
    start: Weights,
    sources: Sequence[Items],
    subsets: NDArray[np.int8],
    seed: int,
    *,
    on_step: Callable[[int, Weights], None] | None = None,
) -> Weights:
    """Train one network a row of `subsets`.

    Args:
        start: the common network's weights, [1, ...] each.
        sources: items of the N sources.
        subsets: [B, N] 0/1.
        seed: of the batch draws.
        on_step: told after every step how many were made, and the weights, which it must leave as they are.

    Returns:
        Weights of B networks, [B, ...] each.
    """
    sizes = np.array([len(items) for items in sources])
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    pool = Items(
        inputs=np.concatenate([items.inputs for items in sources]),
        answers=np.concatenate([items.answers for items in sources]),
    )
    drawn = np.empty((len(subsets), NUM_STEPS, BATCH), dtype=np.int64)
    for row, subset in enumerate(subsets):
        members = np.flatnonzero(subset)
        uniform = np.random.default_rng([seed, *members.tolist()]).random((2, NUM_STEPS, BATCH))
        source = members[(uniform[0] * len(members)).astype(np.int64)]
        drawn[row] = offsets[source] + (uniform[1] * sizes[source]).astype(np.int64)
    weights = [tensor.expand(len(subsets), -1, -1).clone() for tensor in start]
    return _train(weights, pool, drawn, LEARNING_RATE, decay=True, on_step=on_step)


def _train(
    weights: Weights,
    pool: Items,
    drawn: NDArray[np.int64],
    learning_rate: float,
    *,
    decay: bool,
    on_step: Callable[[int, Weights], None] | None = None,
) -> Weights:
    """Adam over batches `drawn` [B, steps, batch] of the pool's items; the gradient is written out."""
    import torch

    inputs, answers = torch.from_numpy(pool.inputs), torch.from_numpy(pool.answers)
    allowed = _allowed()
    optimizer = torch.optim.Adam(weights, lr=learning_rate, betas=BETAS, fused=True)
    indices = torch.from_numpy(drawn)
    num_steps = drawn.shape[1]
    for step in range(num_steps):
        batch = indices[:, step]  # [B, batch]
        x, y = inputs[batch], answers[batch]
        for tensor, gradient in zip(weights, _gradients(weights, x, y, allowed), strict=True):
            tensor.grad = gradient
        if decay:
            optimizer.param_groups[0]["lr"] = learning_rate * (1 - step / num_steps)
        optimizer.step()
        if on_step is not None:
            on_step(step + 1, weights)
    return weights


def _gradients(weights: Weights, x: torch.Tensor, y: torch.Tensor, allowed: torch.Tensor) -> Weights:
    """Gradients of the mean cross-entropy over a question's own options; x [B, batch, 67], y [B, batch]."""
    import torch

    w1, b1, w2, b2, w3, b3 = weights
    h1 = torch.baddbmm(b1, x, w1).relu_()
    h2 = torch.baddbmm(b2, h1, w2).relu_()
    logits = torch.baddbmm(b3, h2, w3).masked_fill_(~allowed[y], -1e9)
    d3 = logits.softmax(dim=2)
    d3.scatter_add_(2, y[..., None], torch.full_like(d3[..., :1], -1.0))
    d3 /= x.shape[1]
    d2 = torch.bmm(d3, w3.transpose(1, 2)).mul_(h2 > 0)
    d1 = torch.bmm(d2, w2.transpose(1, 2)).mul_(h1 > 0)
    return [
        torch.bmm(x.transpose(1, 2), d1),
        d1.sum(1, keepdim=True),
        torch.bmm(h1.transpose(1, 2), d2),
        d2.sum(1, keepdim=True),
        torch.bmm(h2.transpose(1, 2), d3),
        d3.sum(1, keepdim=True),
    ]


def _allowed() -> torch.Tensor:
    """[13, 13]: which outputs are options of a question with this answer."""
    import torch

    groups = torch.tensor(OPTION_GROUPS)
    return groups[:, None] == groups[None, :]


def accuracies(weights: Weights, targets: Sequence[Items]) -> NDArray[np.float64]:
    """Accuracy of B networks on every target: [B, targets]."""
    answered = right_answers(weights, targets)
    return np.stack([right.mean(axis=1) for right in answered], axis=1)


def right_answers(weights: Weights, targets: Sequence[Items]) -> list[NDArray[np.bool_]]:
    """Which questions B networks answer rightly, for every target: [B, items]."""
    import torch

    x = torch.from_numpy(np.concatenate([items.inputs for items in targets]))
    y = torch.from_numpy(np.concatenate([items.answers for items in targets]))
    w1, b1, w2, b2, w3, b3 = weights
    disallowed = torch.zeros(len(y), NUM_OUTPUTS).masked_fill_(~_allowed()[y], -1e9)
    bounds = np.cumsum([len(items) for items in targets])[:-1]
    rows = []
    for i in range(w1.shape[0]):
        hidden = torch.addmm(b1[i], x, w1[i]).relu_()
        hidden = torch.addmm(b2[i], hidden, w2[i]).relu_()
        rows.append((torch.addmm(b3[i], hidden, w3[i]).add_(disallowed).argmax(1) == y).numpy())
    return np.split(np.stack(rows), bounds, axis=1)


def _merged_accuracies(start: Weights, corpus: DigitsCorpus, subsets: NDArray[np.int8]) -> NDArray[np.float64]:
    """The proxy: accuracy on `val` of the mean of the members' single-source weights, [C, targets]."""
    import torch

    singles = np.eye(len(corpus.sources), dtype=np.int8)
    experts = fine_tune(start, corpus.sources, singles, EXPERT_SEED)
    merged = []
    for first in range(0, len(subsets), NUM_SIDE_BY_SIDE):
        rows = torch.from_numpy(subsets[first : first + NUM_SIDE_BY_SIDE].astype(np.float32))
        shares = rows / rows.sum(1, keepdim=True)
        weights = [torch.einsum("bn,nij->bij", shares, expert) for expert in experts]
        merged.append(accuracies(weights, corpus.val))
    return np.concatenate(merged)
