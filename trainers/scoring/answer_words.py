"""The words of an open answer that are compared: spelling that means nothing is folded, numbers and signs stay.

Letters are compared as Unicode's compatibility caseless match has it (The Unicode Standard 15.0, section 3.13, D146).
Punctuation and articles go, as in SQuAD (arXiv:1606.05250); unlike there, what changes a finding stays: decimal points
(as in VQA's evaluation, arXiv:1505.00468), fractions, comparators, and the signs in "-5", "HER2-" and "3+".
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Final

_ARTICLES: Final = frozenset({"a", "an", "the"})
_COMPARATORS: Final = "<>≤≥±≠"
_SPELT_OTHERWISE: Final = str.maketrans(
    {
        "™": " ", "℠": " ",  # NFKC would hang letters on a name
        "⁄": "/", "∕": "/",  # fraction slash (of "½" by NFKC), division slash
        "−": "-",  # minus sign; dashes go by their category
        "⩽": "≤", "≦": "≤", "⩾": "≥", "≧": "≥",
        "ʼ": "'",  # an apostrophe that Unicode calls a letter
    }
)  # fmt: skip
# Invisible, and yet no format characters (Cf): the grapheme joiner and variation selectors.
_INVISIBLE: Final = frozenset("\u034f") | {chr(code) for code in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))}
# "5²" is no 52 and "1½" no 11/2: decompositions of these kinds are set apart from digits beside them.
_RAISED: Final = ("<super>", "<sub>", "<fraction>")
_TYPED: Final = (
    (re.compile(r"-{1,2}>"), " "),  # an arrow
    (re.compile(r">="), "≥"),
    (re.compile(r"<="), "≤"),
    (re.compile(r"\+/-"), "±"),
    (re.compile(r"(?<=\d)\s*/\s*(?=\d)"), "/"),
    (re.compile(r"(?<![\w.])\.(?=\d)"), "0."),
    # A sign that stands apart belongs to the word before it: "HER2 (-)", "ER +, PR -".
    (re.compile(r"(?<=\w)\s*\(\s*([+-]+)\s*\)"), r"\1 "),
    (re.compile(r"(?<=\w)\s+([+-]+)(?=\s*(?:[,;.)]|$))"), r"\1"),
    # A dash inside of anything ("3-5", "5%-10%", "L4-5") is no minus.
    (re.compile(rf"(?<=[^\s(\[{{,;:=^{_COMPARATORS}])-(?=\d)"), " "),
)
_WORD: Final = rf"[^\s+\-./{_COMPARATORS}]"  # once other punctuation is gone
_SIGNED: Final = rf"(?:[+-]+(?=[\s./{_COMPARATORS}]|$))?"
_ASCII_REST: Final = re.compile(r"[^0-9a-z+\-./<>]")
_TOKEN: Final = re.compile(
    rf"(?:(?<!{_WORD})-(?=\d))?"
    rf"(?:(?<!{_WORD})\d+(?:\.\d+)?(?:/\d+(?:\.\d+)?)+{_WORD}*|{_WORD}+(?:(?<=\d)\.(?=\d){_WORD}+)*){_SIGNED}"
    rf"|[{_COMPARATORS}]"
)


def answer_words(text: str) -> list[str]:
    """Return the words of an open answer, such that what says the same has the same ones.

    An article before a word goes ("hepatitis A" keeps its letter). An answer of nothing but punctuation is itself, so
    that "+" and "-" differ, and no answer equals only no answer. Returned words, joined by spaces, have themselves.
    """
    folded = _folded(text)
    typed = folded
    if any(mark in folded for mark in "+-./=<>"):
        for pattern, instead in _TYPED:
            typed = pattern.sub(instead, typed)
    words = _TOKEN.findall(_without_punctuation(typed))
    if not words:
        return folded.split()
    return [word for word in words[:-1] if word not in _ARTICLES] + words[-1:]


def _folded(text: str) -> str:
    """The text without case, compatibility forms and invisible characters, dashes and slashes of one kind each."""
    if text.isascii():
        return text.casefold()
    shown = "".join(c for c in text if unicodedata.category(c) != "Cf" and c not in _INVISIBLE)
    apart = _apart_from_digits(unicodedata.normalize("NFD", shown).translate(_SPELT_OTHERWISE))
    for _ in range(2):  # D146: the first folding can leave what decomposes into capitals
        apart = unicodedata.normalize("NFKC", apart.casefold())
    plain = "".join("-" if unicodedata.category(c) == "Pd" else c for c in apart)
    return plain.translate(_SPELT_OTHERWISE)


def _apart_from_digits(text: str) -> str:
    is_raised = [unicodedata.decomposition(c).startswith(_RAISED) for c in text]
    parts = list(text[:1])
    for (left, left_raised), (right, right_raised) in pairwise(zip(text, is_raised, strict=True)):
        is_border = (left.isdecimal() and right_raised) or (left_raised and right.isdecimal())
        parts.append(f" {right}" if is_border else right)
    return "".join(parts)


def _without_punctuation(text: str) -> str:
    """Letters, digits, marks on them, and what `_TOKEN` looks at; a space for each of the rest."""
    if text.isascii():
        return _ASCII_REST.sub(" ", text)
    kept, is_in_word = [], False
    for c in text:
        is_in_word = c.isalnum() or (is_in_word and unicodedata.category(c).startswith("M"))
        kept.append(c if is_in_word or c in f"+-./{_COMPARATORS}" else " ")
    return "".join(kept)
