"""What evaluation sets yield without their images: computed once from the store, shown beside every result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from datasets_spec.boxes import GRID, Box, parse_box
from datasets_spec.check.blind_rules import blind_baselines
from datasets_spec.check.words_alone import words_alone
from datasets_spec.store.store import Store
from search.statistics.ties import index_of_largest

if TYPE_CHECKING:
    from search.study.score import ScoreSection

# Always one answer: the best of the most frequent ones. More changed nothing on the phantom.
_NUM_CONSTANTS: Final = 20
_COLUMNS = ["options", "answer_index", "answer", "answer_kind"]


def blind_figures(
    store: Store, eval_sets: Sequence[str], score: ScoreSection, split: str = "confirm"
) -> dict[str, dict[str, Any]]:
    """Return, for every evaluation set, what rules reach on a split that look at no image.

    Args:
        store: The store.
        eval_sets: Targets and abilities.
        score: What words and boxes count for.
        split: Whose questions are answered.

    Returns:
        By set the fields of :class:`datasets_spec.check.blind_rules.BlindBaselines`, ``num_box``, ``words`` (those of
        :class:`datasets_spec.check.words_alone.TextOnly`; None without closed questions), and ``constant``: by kind
        (``open``, ``box``) the mean mark of one answer to all.
    """
    figures: dict[str, dict[str, Any]] = {}
    for name in eval_sets:
        table = store.read(name, split, columns=_COLUMNS)
        rows = table.to_pylist()
        words = words_alone(store, name, split)
        learned = store.read(name, "train", columns=_COLUMNS).to_pylist() or rows
        figures[name] = {
            **asdict(blind_baselines(table["options"].to_pylist(), table["answer_index"].to_pylist())),
            "num_box": sum(row["answer_kind"] == "box" for row in rows),
            "words": None if words is None else asdict(words),
            "constant": constant_marks(learned, rows, score),
        }
        figures[name]["num_open"] -= figures[name]["num_box"]
    return figures


def no_image_share(figure: Mapping[str, Any]) -> tuple[float, str] | None:
    """What the best rules reach on an evaluation set without looking at an image, and the rules' names.

    The best rule for each kind of question (closed, words, boxes), weighted by how many there are of each.

    Args:
        figure: one entry of what `blind_figures` returned.

    Returns:
        The share of what can be reached; None where no rule has been tried.
    """
    words = figure.get("words") or {}
    closed = {
        "constant letter": figure.get("constant_letter"),
        "longest option": figure.get("longest_option"),
        "shortest option": figure.get("shortest_option"),
        "words alone": words.get("accuracy"),
    }
    constant = figure.get("constant") or {}
    kinds = [
        (figure.get("num_closed"), closed),
        (figure.get("num_open"), {"one answer to all": constant.get("open")}),
        (figure.get("num_box"), {"one box to all": constant.get("box")}),
    ]
    total, reached, names = 0, 0.0, []
    for number, rules in kinds:
        known = {rule: float(share) for rule, share in rules.items() if share is not None}
        if known:
            best = list(known)[index_of_largest(list(known.values()))]
            total += number or 0
            reached += (number or 0) * known[best]
            names.append(best)
    return (reached / total, " and ".join(names)) if total else None


def no_image_shares(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The same by evaluation set, without the sets where no rule has been tried."""
    return {name: found[0] for name, figure in figures.items() if (found := no_image_share(figure)) is not None}


def constant_marks(
    learned: Sequence[dict[str, Any]], asked: Sequence[dict[str, Any]], score: ScoreSection
) -> dict[str, float]:
    """Return by kind the mean mark of always giving one answer: the one that does best on the rows learned from.

    Args:
        learned: rows with ``answer`` and ``answer_kind``; where none is of a kind, the asked ones are learned from,
            which flatters the rule.
        asked: rows that are answered.
        score: what counts.
    """
    marks = {}
    for kind in ("open", "box"):
        read, mark = _marker(kind, score)
        golds = [str(row["answer"]) for row in asked if row["answer_kind"] == kind]
        seen = [str(row["answer"]) for row in learned if row["answer_kind"] == kind] or golds
        if golds:
            words_or_boxes = [read(answer) for answer in seen]
            best = max(
                map(read, _candidates(kind, seen)), key=lambda one: sum(mark(one, other) for other in words_or_boxes)
            )
            marks[kind] = sum(mark(best, read(gold)) for gold in golds) / len(golds)
    return marks


def _candidates(kind: str, answers: Sequence[str]) -> list[str]:
    frequent = [answer for answer, _ in Counter(answers).most_common(_NUM_CONSTANTS)]
    boxes = [box for answer in answers if (box := parse_box(answer))] if kind == "box" else []
    if boxes:
        means = (round(sum(edges) / len(boxes)) for edges in zip(*boxes, strict=True))
        frequent += [Box(*means).text, Box(0, 0, GRID, GRID).text]
    return frequent


def _marker(kind: str, score: ScoreSection) -> tuple[Callable[[str], Any], Callable[[Any, Any], float]]:
    """How an answer is read, and what one so read counts for against the gold one."""
    from trainers.scoring.answer_words import answer_words
    from trainers.scoring.marks import mark_box, mark_words

    chosen = score.figure_of(kind)
    if kind == "open":
        name = "is_exact" if chosen == "correct" else chosen
        return answer_words, lambda answer, gold: float(getattr(mark_words(answer, gold), name))

    def mark(answer: Box | None, gold: Box | None) -> float:
        found = mark_box(answer, gold or Box(0, 0, GRID, GRID))
        return float(found.is_right if chosen == "correct" else found.iou)

    return parse_box, mark
