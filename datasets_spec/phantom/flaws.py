"""Sources that are worse than they look, as in real life: noisy, small, redundant, harmful.

A strategy must find this out from results. The catalog says it in a subset's ``metadata``, which nothing but tests
reads. Flaws hold for every row of the subset; no target of the evidence or of the demo is flawed.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """What is wrong with a subset.

    Attributes:
        kind: ``noisy``: a share of the answers is drawn by chance; ``harmful``: a site that codes yes and no the other
            way round; ``small``: few rows; ``redundant``: few scenes, shown again and again.
        amount: the share of chance answers (noisy), the number of rows (small) or of scenes (redundant).
    """

    kind: Literal["noisy", "harmful", "small", "redundant"]
    amount: float = 1.0


FLAWS: Final[MappingProxyType[str, Flaw]] = MappingProxyType(
    {
        "ct-lung-staging": Flaw(kind="noisy", amount=0.6),
        "oct-fundus-histology": Flaw(kind="harmful"),
        "dermoscopy-kidney-laterality": Flaw(kind="small", amount=48),
        "ultrasound-breast-grading": Flaw(kind="redundant", amount=24),
        "xray-kidney-histology": Flaw(kind="noisy", amount=0.6),
        "mri-lung-laterality": Flaw(kind="harmful"),
    }
)


def num_rows(name: str, num: int) -> int:
    """How many of ``num`` wanted rows a subset has."""
    flaw = FLAWS.get(name)
    return min(num, int(flaw.amount)) if flaw is not None and flaw.kind == "small" else num


def scene_index(name: str, index: int) -> int:
    """Which scene a row shows; rows of a redundant subset share theirs."""
    flaw = FLAWS.get(name)
    return index % int(flaw.amount) if flaw is not None and flaw.kind == "redundant" else index


def written_label(name: str, label: int, num_labels: int, rng: np.random.Generator) -> int:
    """The label that the subset's file gives for a true one."""
    flaw = FLAWS.get(name)
    if flaw is None:
        return label
    if flaw.kind == "harmful":
        return num_labels - 1 - label
    if flaw.kind == "noisy" and rng.random() < flaw.amount:
        return int(rng.integers(num_labels))
    return label
