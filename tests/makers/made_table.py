"""Tables whose truth is a formula: instant, for tests and for trying a strategy out."""

from __future__ import annotations

import numpy as np

from search.bench.known_truth.table import KnownTruthTable

NUM_ELEMENTS = (4, 3, 3)


def made_table(
    name: str = "made",
    *,
    num_sources: int = 6,
    num_targets: int = 4,
    num_seeds: int = 4,
    num_items: int = 400,
    seed_noise: float = 0.01,
    proxy_noise: float | None = 0.05,
    poisoned: int | None = None,
    is_null: bool = False,
    seed: int = 0,
) -> KnownTruthTable:
    """All compositions of a few sources; a source helps a target the more, the more elements they share.

    Args:
        name: of the table.
        num_sources: N; the table has 2^N - 1 compositions.
        num_targets: how many.
        num_seeds: training seeds.
        num_items: questions of a target in `val` and in `test`.
        seed_noise: standard deviation of training noise.
        proxy_noise: standard deviation of the proxy's own error; None leaves the proxy out.
        poisoned: a source that harms every target.
        is_null: all sources are the same, so that no composition is better than another.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    codes = np.arange(1, 2**num_sources)
    subsets = (codes[:, None] >> np.arange(num_sources) & 1).astype(np.int8)
    sources, targets = _elements(rng, num_sources), _elements(rng, num_targets)
    shared = (sources[:, None, :] == targets[None, :, :]).sum(2)  # [N, targets]
    worth = 0.08 * shared + rng.normal(0, 0.04, shared.shape)
    if poisoned is not None:
        worth[poisoned] = -0.4
    if is_null:
        worth = np.zeros_like(worth)
    shares = subsets / subsets.sum(1, keepdims=True)
    variety = 0.03 * np.log2(subsets.sum(1))[:, None] * (not is_null)
    truth = np.clip(0.5 + shares @ worth + variety, 0.05, 0.95)  # [C, targets]
    trained = np.clip(truth + rng.normal(0, seed_noise, (num_seeds, *truth.shape)), 0.0, 1.0)
    # The same questions are asked of every composition: how hard they are is common to all.
    luck = rng.normal(0, np.sqrt(0.25 / num_items), (2, num_targets))
    val, test = (np.clip(trained + part, 0, 1) for part in luck)
    return KnownTruthTable(
        name=name,
        subsets=subsets,
        val=np.round(val * num_items) / num_items,
        test=np.round(test * num_items) / num_items,
        source_mat=_named(sources),
        target_mat=_named(targets),
        num_val=np.full(num_targets, num_items),
        num_test=np.full(num_targets, num_items),
        proxy=None if proxy_noise is None else truth + rng.normal(0, proxy_noise, truth.shape),
    )


def _elements(rng: np.random.Generator, num: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.stack([rng.integers(count, size=num) for count in NUM_ELEMENTS], axis=1)


def _named(elements: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> tuple[tuple[str, ...], ...]:
    return tuple((f"modality {m}", f"area {a}", f"task {t}") for m, a, t in elements.tolist())
