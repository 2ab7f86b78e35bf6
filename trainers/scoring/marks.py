"""How good an answer is that is not a letter: words by overlap, boxes by area. No judge model, nothing to download."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from datasets_spec.boxes import GRID, Box, overlap
from trainers.scoring.answer_words import answer_words

# From where on a box is right: the usual threshold of visual grounding (Kazemzadeh et al., EMNLP 2014).
RIGHT_IOU: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class TextMark:
    """An open answer against the gold one, after normalisation.

    Attributes:
        is_exact: whether they are equal.
        token_f1: harmonic mean of precision and recall over words, as in SQuAD (arXiv:1606.05250).
        rouge_l: the same over the longest common subsequence of words (ROUGE-L; Lin, 2004), without stemming.
    """

    is_exact: bool
    token_f1: float
    rouge_l: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxMark:
    """A box against the gold one, as shares of the image's area.

    Attributes:
        iou: intersection over union.
        intersection: area of both.
        union: area of either.
    """

    iou: float
    intersection: float
    union: float

    @property
    def is_right(self) -> bool:
        """Whether it counts as right."""
        return self.iou >= RIGHT_IOU


def mark_text(answer: str, gold: str) -> TextMark:
    """Mark an open answer."""
    return mark_words(answer_words(answer), answer_words(gold))


def mark_words(mine: Sequence[str], wanted: Sequence[str]) -> TextMark:
    """Mark the words of an open answer (`answer_words`) against those of the gold one."""
    if mine == wanted:
        return TextMark(is_exact=True, token_f1=1.0, rouge_l=1.0)
    common = sum((Counter(mine) & Counter(wanted)).values())
    total = len(mine) + len(wanted)
    return TextMark(is_exact=False, token_f1=2 * common / total, rouge_l=2 * _longest_common(mine, wanted) / total)


def mark_box(box: Box | None, gold: Box) -> BoxMark:
    """Mark a box; none at all is as wrong as one elsewhere, and adds nothing but the gold box to the union."""
    common, union = (0, gold.area) if box is None else overlap(box, gold)
    squares = GRID * GRID
    return BoxMark(iou=common / union, intersection=common / squares, union=union / squares)


def _longest_common(one: Sequence[str], two: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    lengths = [0] * (len(two) + 1)
    for word in one:
        before = 0
        for place, other in enumerate(two, start=1):
            kept = lengths[place]
            lengths[place] = before + 1 if word == other else max(kept, lengths[place - 1])
            before = kept
    return lengths[-1]
