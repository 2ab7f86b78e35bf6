"""How far rules get that look at no image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from datasets_spec.sample import option_groups


@dataclass(frozen=True, kw_only=True, slots=True)
class BlindBaselines:
    """Accuracies, in 0..1, that need no image; over the closed questions of one subset and split.

    Options with equal text are one option, here as in scoring. Shortcuts are real: the longest-option rule
    reaches 71 % on Med-MIM's RAD questions, where chance is 33 %.

    Args:
        num_closed: Closed questions; the accuracies are None without any.
        num_open: Open questions, which no blind rule answers.
        chance: A random option.
        constant_letter: The best letter, always.
        letter: That letter.
        longest_option: Always the longest option; ties count in part.
        shortest_option: Always the shortest option; ties count in part.
    """

    num_closed: int
    num_open: int
    chance: float | None = None
    constant_letter: float | None = None
    letter: str | None = None
    longest_option: float | None = None
    shortest_option: float | None = None


def blind_baselines(options: Sequence[Sequence[str]], answers: Sequence[int]) -> BlindBaselines:
    """Computes what blind rules reach.

    Args:
        options: Option texts of every question in display order; empty for an open question.
        answers: Index of the gold option of every question.
    """
    closed = [(list(texts), gold) for texts, gold in zip(options, answers, strict=True) if texts]
    num_open = len(options) - len(closed)
    if not closed:
        return BlindBaselines(num_closed=0, num_open=num_open)
    letters: Counter[int] = Counter()
    chance = longest = shortest = 0.0
    for texts, gold in closed:
        groups = option_groups(texts)
        letters.update(index for index, group in enumerate(groups) if group == groups[gold])
        chance += 1 / len(set(groups))
        lengths = {group: len(texts[group]) for group in groups}
        longest += _share(lengths, groups[gold], max(lengths.values()))
        shortest += _share(lengths, groups[gold], min(lengths.values()))
    # Ties go to the earlier letter, so that the report does not depend on the order of rows.
    best = min(letters, key=lambda index: (-letters[index], index))
    return BlindBaselines(
        num_closed=len(closed),
        num_open=num_open,
        chance=chance / len(closed),
        constant_letter=letters[best] / len(closed),
        letter=chr(ord("A") + best),
        longest_option=longest / len(closed),
        shortest_option=shortest / len(closed),
    )


def _share(lengths: dict[int, int], gold: int, extreme: int) -> float:
    if lengths[gold] != extreme:
        return 0.0
    return 1 / sum(length == extreme for length in lengths.values())
