"""The phantom's table: every composition of its eight sources, really fine-tuned, from the evidence's result file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.errors import UserError
from search.bench.known_truth.table import KnownTruthTable

TABLE_ARM: Final = "table"
HINT: Final = "`recombine phantom evidence DIR --num-table-seeds 3` makes DIR/table.jsonl"
MERGES_HINT: Final = "`recombine bench phantom-merges MERGES.jsonl` makes and scores them"


def phantom_table(file: Path, name: str, merges: Path | None = None) -> KnownTruthTable:
    """Read finished fine-tunes; every second question guides a search, the others give regret.

    Args:
        file: JSON lines as `recombine phantom evidence` writes them to ``table.jsonl``.
        name: of the table.
        merges: JSON lines of `recombine bench phantom-merges`: scores of merges on the questions that guide a search.

    Raises:
        UserError: there is no such file, fewer than two seeds are complete, or a composition is missing.
    """
    from search.bench.phantom.fine_tune_pool import read_results

    if not file.is_file():
        raise UserError(f"{file}: there is no such file", hint=HINT)
    found = {
        (tuple(sorted(result["sources"])), int(result["seed"])): result["correct"]
        for result in read_results(file).values()
        if result["sources"] and result["arm"] == TABLE_ARM
    }
    compositions = sorted({sources for sources, _ in found}, key=lambda sources: (len(sources), sources))
    seeds = _complete_seeds(file, found, compositions)
    targets = list(found[compositions[0], seeds[0]])
    names = sorted({source for sources in compositions for source in sources})
    correct = [[[found[c, seed][t] for t in targets] for c in compositions] for seed in seeds]
    outcomes = np.array(correct, dtype=np.float64)  # [seeds, C, targets, questions]
    num_questions = outcomes.shape[3]
    return KnownTruthTable(
        name=name,
        subsets=np.array([[source in c for source in names] for c in compositions], dtype=np.int8),
        val=outcomes[..., 0::2].mean(3),
        test=outcomes[..., 1::2].mean(3),
        source_mat=tuple(_key(source) for source in names),
        target_mat=tuple(_key(target) for target in targets),
        num_val=np.full(len(targets), (num_questions + 1) // 2),
        num_test=np.full(len(targets), num_questions // 2),
        proxy=None if merges is None else _proxy(merges, compositions, targets),
    )


def _proxy(file: Path, compositions: Sequence[tuple[str, ...]], targets: Sequence[str]) -> NDArray[np.float64]:
    """[C, targets] accuracy of merges; that of one source is the source's own fine-tune."""
    from search.bench.phantom.fine_tune_pool import read_results

    found = {tuple(sorted(result["sources"])): result["correct"] for result in read_results(file).values()}
    missing = [composition for composition in compositions if composition not in found]
    if missing:
        raise UserError(
            f"{file}: {len(missing)} merges are missing, the first is {'+'.join(missing[0])}", hint=MERGES_HINT
        )
    correct = np.array([[found[c][t] for t in targets] for c in compositions], dtype=np.float64)
    scores: NDArray[np.float64] = correct[..., 0::2].mean(2)
    return scores


def _complete_seeds(
    file: Path, found: Mapping[tuple[tuple[str, ...], int], Any], compositions: Sequence[tuple[str, ...]]
) -> list[int]:
    """The seeds for which every composition has finished."""
    num_sources = len({source for sources in compositions for source in sources})
    if len(compositions) != 2**num_sources - 1 or not compositions:
        raise UserError(f"{file}: {len(compositions)} compositions of {num_sources} sources have finished", hint=HINT)
    seeds = sorted({seed for _, seed in found})
    complete = [seed for seed in seeds if all((c, seed) in found for c in compositions)]
    if len(complete) < 2:
        raise UserError(f"{file}: {len(complete)} seed is complete; a table needs two at least", hint=HINT)
    return complete


def _key(name: str) -> tuple[str, ...]:
    modality, area, task, *ability = name.split("-")
    return modality, area, task, ability[0] if ability else "none"
