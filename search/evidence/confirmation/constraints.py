"""Whether a selection keeps what its study asks of it, said on questions that had no part in finding it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from search.evidence.confirmation.comparisons import MEAN, SplitEvidence
from search.evidence.confirmation.training_cost import ROUNDING
from search.statistics.verdicts import ALPHA
from search.study.sections.constraints import ConstraintsSection


class Kept(StrEnum):
    """What is known of a constraint."""

    kept = "kept"
    broken = "broken"
    not_shown = "not shown"


def compute_constraints(
    section: ConstraintsSection | None,
    *,
    splits: Sequence[SplitEvidence],
    chosen: str,
    losses: Sequence[Mapping[str, Any]],
    no_image: Mapping[str, Mapping[str, float]],
    num_choices: int = 1,
    alpha: float = ALPHA,
) -> list[dict[str, Any]]:
    """Every constraint with what is known of it; the floors together, and the losses, with probability 1 - alpha.

    Args:
        section: what is asked; None for nothing.
        splits: evidence of all evaluation sets, the strongest split first.
        chosen: arm of the selection.
        losses: what `compute_retained` found for the sets on which only so much may be lost.
        no_image: by split, what is reached on its questions of an evaluation set without their images, as a share. A
            split without any is passed over.
        num_choices: among how many finalists it was chosen on `confirm`.
        alpha: chance of one false word or more among either.
    """
    if section is None:
        return []
    found: list[dict[str, Any]] = []
    if section.no_image_floor:
        told = (split for split in splits if no_image.get(split.split) and split.arms(chosen))
        evidence = next(told, splits[-1])
        least_shares = no_image.get(evidence.split) or {}
        together = max(1, len(evidence.arms(chosen))) * (num_choices if evidence.split == "confirm" else 1)
        confidence = 1 - alpha / together
        for entry in evidence.estimates(chosen, confidence=confidence):
            name = entry["eval_set"]
            if name == MEAN or name not in least_shares:
                continue
            interval = (entry["ci_low"], entry["ci_high"]) if entry["seeds"] > 1 else None
            found.append(_entry(name, evidence.split, "accuracy", entry["accuracy"], least_shares[name], interval))
    if section.most_lost is not None:
        for loss in losses:
            low, high = loss["simultaneous_low"], loss["simultaneous_high"]
            interval = None if low is None else (low, high)
            least = -section.most_lost / 100
            found.append(_entry(loss["eval_set"], "confirm", "difference", loss["difference"], least, interval))
    return found


def _entry(
    name: str, split: str, figure: str, value: float, least: float, interval: tuple[float, float] | None
) -> dict[str, Any]:
    if interval is None:
        state = Kept.not_shown
    else:
        asked = least - ROUNDING
        state = Kept.kept if interval[0] >= asked else Kept.broken if interval[1] < asked else Kept.not_shown
    low, high = interval or (None, None)
    return {
        "eval_set": name,
        "split": split,
        "figure": figure,
        "value": value,
        "least": least,
        "low": low,
        "high": high,
        "state": state.value,
    }


def constraints_sentence(entries: Iterable[Mapping[str, Any]]) -> str:
    """What became of the constraints, in words; "" where there are none."""
    listed = list(entries)
    if not listed:
        return ""
    by_state = {state: [entry for entry in listed if entry["state"] == state] for state in Kept}
    said = []
    if by_state[Kept.broken]:
        said.append(f"broken: {_named(by_state[Kept.broken])}")
    if by_state[Kept.not_shown]:
        said.append(f"not shown to be kept, nor broken: {_named(by_state[Kept.not_shown])}")
    if by_state[Kept.kept]:
        said.append(f"kept: {', '.join(entry['eval_set'] for entry in by_state[Kept.kept])}")
    number = len(listed)
    return f"Of the study's {number} constraint{'s' if number > 1 else ''} {'; '.join(said)}."


def _named(entries: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{entry['eval_set']} ({100 * entry['value']:.1f} %, {100 * entry['least']:.1f} % asked)"
        if entry["figure"] == "accuracy"
        else f"{entry['eval_set']} ({100 * entry['value']:+.1f} points, {100 * entry['least']:+.1f} allowed)"
        for entry in entries
    )
