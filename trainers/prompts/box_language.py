"""How a backbone writes a box: in numbers, or, where its vocabulary has none, in the letters of a coarse grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from datasets_spec.boxes import BOX_INSTRUCTION, GRID, Box, box_of, parse_box
from trainers.prompts.text import LETTERS

# A to E are the lines at 0, 250 ... 1000: the edges of the phantom's cells.
NUM_COARSE_LINES: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxLanguage:
    """Writes and reads boxes.

    Attributes:
        num_lines: lines of a coarse grid that letters name; None: whole numbers on the grid of the store.
    """

    num_lines: int | None = None

    @property
    def instruction(self) -> str:
        """What a question is followed by; nothing where the vocabulary could not say it."""
        return BOX_INSTRUCTION if self.num_lines is None else ""

    def write(self, box: Box) -> str:
        """Return the words of a box; on a coarse grid of the smallest box that holds it."""
        if self.num_lines is None:
            return box.text
        cells = self.num_lines - 1
        low = [edge * cells // GRID for edge in (box.left, box.top)]
        high = [math.ceil(edge * cells / GRID) for edge in (box.right, box.bottom)]
        return " ".join(LETTERS[line] for line in (*low, *high))

    def read(self, text: str) -> Box | None:
        """Return the box that a text is, or None; never guesses."""
        if self.num_lines is None:
            return parse_box(text)
        words, known = text.split(), LETTERS[: self.num_lines]
        if len(words) != 4 or not all(len(word) == 1 and word in known for word in words):
            return None
        left, top, right, bottom = (known.index(word) * GRID // (self.num_lines - 1) for word in words)
        return box_of(left, top, right, bottom)


def box_language_of(tokenizer: Any) -> BoxLanguage:
    """Return how a backbone writes boxes, by what its tokenizer says about numbers.

    Args:
        tokenizer: of the backbone.
    """
    unknown = getattr(tokenizer, "unk_token_id", None)
    tokens = tokenizer(Box(0, 234, 567, 1000).text, add_special_tokens=False).input_ids
    return BoxLanguage(num_lines=NUM_COARSE_LINES if unknown is not None and unknown in tokens else None)
