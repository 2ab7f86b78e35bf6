"""The words of an open answer that are compared: spelling that means nothing is folded, numbers and signs stay.

Letters are compared as Unicode's compatibility caseless match has it (The Unicode Standard 15.0, section 3.13, D146).
Punctuation and articles go, as in SQuAD (arXiv:1606.05250); unlike there, what changes a finding stays: decimal points
(as in VQA's evaluation, arXiv:1505.00468), fractions, comparators, and the signs in "-5", "HER2-" and "3+". A dash that
hangs behind a word is told from a minus by where it stands: "no -", "pre- and post-contrast" (docs/decisions.md, 143).
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Final

_ARTICLES: Final = frozenset({"a", "an", "the"})
_COMPARATORS: Final = "<>≤≥±≠"
_MINUS: Final = "\u02d7"  # the sign behind a word, as no dash is written: thus words have themselves
_SPELT_OTHERWISE: Final = str.maketrans(
    {
        "™": " ", "℠": " ",  # NFKC would hang letters on a name
        "⁄": "/", "∕": "/",  # fraction slash (of "½" by NFKC), division slash
        "−": "-",  # minus sign; dashes go by their category
        "—": " - ", "―": " - ",  # never a minus: a pause
        "∗": "*",
        "⩽": "≤", "≦": "≤", "⩾": "≥", "≧": "≥",
        "ʼ": "'",  # an apostrophe that Unicode calls a letter
    }
)  # fmt: skip
# Invisible, and yet no format characters (Cf): the grapheme joiner and variation selectors.
_INVISIBLE: Final = frozenset("\u034f") | {chr(code) for code in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))}
# "5²" is no 52 and "1½" no 11/2: decompositions of these kinds are set apart from digits beside them.
_RAISED: Final = ("<super>", "<sub>", "<fraction>")
# What can be positive or negative has a letter: "ER", "HER2", "TTF-1"; "no" cannot.
_NAME: Final = r"(?<![^\W_])(?!(?:no|yes)(?![^\W_]))\d*[^\W\d_][^\W_]*(?:-\d+)?"
_MARKER: Final = r"(?<![^\W_])[^\W\d_]{2,}\d[^\W_]*"  # "HER2", "CD20"; neither sequence ("T1") nor vertebra ("L4")
# Names without digits that are reported as positive or negative: receptors, blood and stain, viruses, genes.
_REPORTED: Final = r"(?<![^\W_])(?:er|pr|ar|rh|gram|hpv|hiv|ebv|alk|egfr)"
_PLUS: Final = r"-*\+[+-]*"
_END: Final = r"(?=[\s.]*$)"
_TYPED: Final = (  # where the mark is in a text, the pattern is looked for
    ("*", re.compile(r"(?<![*\w])([rt]2)\*(?!\*)"), r"\1 star "),  # T2*, R2*; "**T2**" is but bold
    (">", re.compile(r"-{1,2}>"), " "),  # an arrow
    ("=", re.compile(r">="), "≥"),
    ("=", re.compile(r"<="), "≤"),
    ("/", re.compile(r"\+/-"), "±"),
    ("/", re.compile(r"(?<=\d)\s*/\s*(?=\d)"), "/"),
    (".", re.compile(r"(?<![\w.])\.(?=\d)"), "0."),
    # A sign that stands apart belongs to the word before it: "HER2 (-)", "ER +, PR -".
    ("+", re.compile(rf"(?<=\w)\s*\(\s*({_PLUS})\s*\)"), r"\1 "),
    ("+", re.compile(rf"(?<=\w)\s+({_PLUS})(?=\s*(?:[,;.)]|$))"), r"\1"),
    ("-", re.compile(r"(?<=\w)\s*\(\s*-+\s*\)"), f"{_MINUS} "),
    ("-", re.compile(rf"({_NAME})(?:\s*-+(?=\s*[,;)])|-+(?=[.:\]/]|\s*$))"), rf"\1{_MINUS}"),
    # Where it may be a hyphen ("T1- and T2-weighted") or a pause ("no -"), a dash is a minus behind such names alone,
    ("-", re.compile(rf"({_MARKER})-+(?=\s)"), rf"\1{_MINUS}"),
    ("-", re.compile(rf"({_MARKER}|{_REPORTED})\s+-+{_END}"), rf"\1{_MINUS}"),
    # or at the end of a list of signs.
    ("-", re.compile(rf"(?<=[+{_MINUS}])([,;]\s*(?:and\s+)?{_NAME})\s+-+{_END}"), rf"\1{_MINUS}"),
    # A dash inside of anything ("3-5", "5%-10%", "L4-5") is no minus.
    ("-", re.compile(rf"(?<=[^\s(\[{{,;:=^{_COMPARATORS}])-(?=\d)"), " "),
)
_WORD: Final = rf"[^\s+\-./{_COMPARATORS}{_MINUS}]"  # once other punctuation is gone
_SIGNED: Final = rf"(?:{_PLUS}(?=[\s./{_COMPARATORS}]|$)|{_MINUS})?"
_ASCII_REST: Final = re.compile(r"[^0-9a-z+\-./<>]")
_TOKEN: Final = re.compile(
    rf"(?:(?<!{_WORD})-(?=\d))?"
    rf"(?:(?<!{_WORD})\d+(?:\.\d+)?(?:/\d+(?:\.\d+)?)+{_WORD}*|{_WORD}+(?:(?<=\d)\.(?=\d){_WORD}+)*){_SIGNED}"
    rf"|[{_COMPARATORS}]"
)


def answer_words(text: str) -> list[str]:
    """Return the words of an open answer, such that what says the same has the same ones.

    Articles go, but for a last "a" ("hepatitis A"). An answer of nothing but punctuation, or articles, is itself, so
    that "+" and "-" differ, and no answer equals only no answer. Returned words, joined by spaces, have themselves.
    """
    folded = _folded(text)
    typed = folded
    for mark, pattern, instead in _TYPED:
        if mark in typed:
            typed = pattern.sub(instead, typed)
    words = _TOKEN.findall(_without_punctuation(typed))
    kept = [word for word in words[:-1] if word not in _ARTICLES]
    kept += [word for word in words[-1:] if word not in _ARTICLES - {"a"}]
    return kept or words or folded.split()


def _folded(text: str) -> str:
    """The text without case, compatibility forms and invisible characters, dashes and slashes of one kind each."""
    if text.isascii():
        return text.casefold()
    shown = "".join(c for c in text if unicodedata.category(c) != "Cf" and c not in _INVISIBLE)
    apart = _apart_from_digits(unicodedata.normalize("NFD", shown).translate(_SPELT_OTHERWISE))
    for _ in range(2):  # D146: the first folding can leave what decomposes into capitals
        apart = unicodedata.normalize("NFKC", apart.casefold())
    return "".join("-" if unicodedata.category(c) == "Pd" else c for c in apart.translate(_SPELT_OTHERWISE))


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
        kept.append(c if is_in_word or c in f"+-./{_COMPARATORS}{_MINUS}" else " ")
    return "".join(kept)
