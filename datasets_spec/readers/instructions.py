"""Closing lines of a question: what they ask for is the trainer's to say, so they are taken off."""

from __future__ import annotations

import re

# Questions of instruction data end in one or two of them; more were not seen.
MAX_CLOSING_LINES = 2
# Longer ones were not seen either; looking no further keeps a damaged record from costing minutes.
_MAX_CHARACTERS = 300
# Ends every single-choice question of Med-MAT and of LLaVA, with or without a line of its own.
_PUBLISHED = re.compile(r"\s*Answer with the option's letter from the given choices directly\.?\s*\Z", re.IGNORECASE)
_REST = r"[^\n?!.]{0,150}"
_ASKS = (
    r"(?:(?:please|kindly|now|only|just|directly|simply|you (?:must|should))[ ,]+)*"
    r"(?:answer|reply|respond|choose|select|pick|output|give|provide|return|write|indicate|state|use)\b"
)
_NAMES = rf"{_REST}\b(?:letters?|options?|choices?|alternatives?|answers?|[A-Z],? or [A-Z])\b{_REST}"
_FORBIDS = rf"(?:please )?(?:do not|don't|without|no)\b{_REST}\b(?:expla|reason|justif|text|word){_REST}"
_PROMPT = r"(?:(?:your|the|final|correct) )*answer(?: is)?\s*:?"
# On a line of its own, after a sentence that ends in a word, or (with a capital) after an option on the same line.
_CLOSING = re.compile(
    rf"(?:\n|(?<=[?!])\s|(?<=[\w)]{{2}}[.;])\s)\s*(?i:{_ASKS}{_NAMES}|{_FORBIDS}|{_PROMPT})[.!:]?\s*\Z"
    rf"|\s(?:Please|Answer|Choose|Select|Respond|Reply)\b(?:(?i:{_REST}\b(?:letter|options?|choices?)\b{_REST})"
    rf"|{_REST}\b[A-Z],? or [A-Z]\b)[.!:]?\s*\Z"
)
_ASKS_FOR_A_LETTER = re.compile(r"\b(?:letters?|options?|choices?)\b", re.IGNORECASE)


def without_instruction(text: str) -> str:
    """Removes the published closing request for a letter, which is unmistakable in any question.

    Args:
        text: Question as published.
    """
    return _PUBLISHED.sub("", text)


def without_closing_lines(text: str) -> tuple[str, bool]:
    """Removes up to two closing requests, in whatever words.

    Args:
        text: Question with its options, if it has any.

    Returns:
        The rest, and whether a request named letters or options: then the question is a closed one.
    """
    asks = False
    for _ in range(MAX_CLOSING_LINES):
        text = text.rstrip()
        match = _CLOSING.search(text, max(0, len(text) - _MAX_CHARACTERS))
        if match is None or not text[: match.start()].strip():
            break
        asks = asks or bool(_ASKS_FOR_A_LETTER.search(match[0]))
        text = text[: match.start()].rstrip()
    return text, asks
