"""What a check says of a subset, and how thirty lines of one kind become one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# More lines of a kind are one line: one screen shows some forty lines.
MOST_OF_A_KIND = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """A sentence about a subset.

    Args:
        subset: The subset.
        text: The sentence, without the subset's name.
        kind: What remarks have in common that differ in names and numbers only; the text where it holds none.
    """

    subset: str
    text: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.subset}: {self.text}"


def folded(remarks: Iterable[Remark]) -> list[str]:
    """Returns remarks as lines, more than ``MOST_OF_A_KIND`` of one kind as a single line with their number.

    Args:
        remarks: In the order to show; the first of a kind stands for the others.
    """
    by_kind: dict[str, list[Remark]] = {}
    for remark in remarks:
        by_kind.setdefault(remark.kind or remark.text, []).append(remark)
    lines: list[str] = []
    for alike in by_kind.values():
        if len(alike) <= MOST_OF_A_KIND:
            lines += map(str, alike)
            continue
        names = list(dict.fromkeys(remark.subset for remark in alike[1:]))
        listed = ", ".join(names[:MOST_OF_A_KIND]) + (", ..." if len(names) > MOST_OF_A_KIND else "")
        lines.append(f"{alike[0]} ({len(alike)} such lines; the others: {listed})")
    return lines
