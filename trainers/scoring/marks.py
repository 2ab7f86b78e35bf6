"""How good an answer is that is not a letter: words by overlap, boxes by area. No judge model, nothing to download."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from datasets_spec.boxes import GRID, Box, overlap
from trainers.prompts.text import normalise_answer

if TYPE_CHECKING:
    from trainers.scoring.scorer import Outcome

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
    mine, wanted = normalise_answer(answer).split(), normalise_answer(gold).split()
    if mine == wanted:  # two empty texts included: "A." against "a" normalises to nothing on both sides
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


def summarise_marks(outcomes: Iterable[Outcome]) -> dict[str, dict[str, float]]:
    """Return the figures of the open and box questions of a set; empty for closed questions alone.

    Returns:
        ``open``: ``n``, ``correct`` (exact matches), ``token_f1``, ``rouge_l``, ``invalid``; ``box``: ``n``,
        ``correct`` (IoU of at least ``RIGHT_IOU``), ``iou`` (mean), ``ciou`` (summed intersections over summed unions,
        as in Med-MAT's section 6; here of shares of the image), ``invalid``. Nothing where there is no question.
    """
    by_kind: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.answer_kind != "closed":
            by_kind.setdefault(outcome.answer_kind, []).append(outcome)
    figures = {}
    for kind, members in sorted(by_kind.items()):
        own = _open_figures(members) if kind == "open" else _box_figures(members)
        counts = {name: sum(getattr(o, name) for o in members) for name in ("correct", "invalid")}
        figures[kind] = {"n": len(members), **counts, **own}
    return figures


def _open_figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    return {name: sum(getattr(o, name) for o in outcomes) / len(outcomes) for name in ("token_f1", "rouge_l")}


def _box_figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    common, union = (sum(getattr(o, name) for o in outcomes) for name in ("intersection", "union"))
    return {"iou": sum(o.iou or 0.0 for o in outcomes) / len(outcomes), "ciou": common / union}
