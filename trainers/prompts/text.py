"""From a stored sample to the words a model reads and the words it should answer."""

import re
from collections.abc import Sequence
from typing import Any

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Med-MAT's own closing line, so that figures stay comparable with published ones.
LETTER_INSTRUCTION = "Answer with the option's letter from the given choices directly."

# `(B)` or `B`; more text may follow only after a closing mark and a space.
_STRICT_LETTER = re.compile(r"(?:\(([A-Z])\)[.:]?(?=\s|$)|([A-Z])(?:[.:)](?=\s|$)|$))")


def render_prompt(question: str, options: Sequence[str]) -> str:
    """Return the user text: the question, one `A: option` line each, the closing instruction when there are options."""
    if not options:
        return question
    lines = [f"{letter}: {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([question, *lines, LETTER_INSTRUCTION])


def chat_messages(prompt: str, num_images: int) -> list[dict[str, Any]]:
    """Return one user turn: the images in order, then the text."""
    content: list[dict[str, str]] = [{"type": "image"} for _ in range(num_images)]
    content.append({"type": "text", "text": prompt})
    return [{"role": "user", "content": content}]


def parse_letter(text: str, num_options: int) -> int | None:
    """Return the option index that a generated text names, or None; never guesses.

    Accepts `B`, `(B)`, `B.`, `B: text`; anything else, or a letter beyond the options, is None.
    """
    match = _STRICT_LETTER.match(text.strip())
    if match is None:
        return None
    index = LETTERS.index(match.group(1) or match.group(2))
    return index if index < num_options else None
