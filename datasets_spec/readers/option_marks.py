"""Where options stand in a question: one a line, over several lines, or several on one line."""

from __future__ import annotations

import re
from typing import NamedTuple

from datasets_spec.readers.instructions import without_closing_lines
from datasets_spec.readers.records import RowError
from datasets_spec.sample import QuarantineReason, option_text_key

# Med-MAT's files print "A: text", its paper "A. text"; Med-MIM prints "A: text", LLaVA-like files "(A) text" too. Two
# letters catch a 27th option.
_OPTION_LINE = re.compile(r"\s*(\(?)([A-Z]{1,2})\s*([:.)])\s*(.*)\Z")
# An option list on one line begins the line or follows a sentence: "between (A) and (B)" is no list.
_FIRST_INLINE = re.compile(r"(?:\A|\n|(?<=[?:.!;])\s|(?<=\?))[ \t]*(\(?)A ?([:.)])(?=\s|\S{2})")
# The list is the last that looks like one, or one shortly before it; each that is tried costs a pass over the text.
_MAX_LISTS = 4
_CONJUNCTION = re.compile(r"(?:^|[\s,;]+)(?:and|or)\Z", re.IGNORECASE)
_BARE_LETTER = re.compile(
    r"\s*(?:(?:the\s+)?(?:correct\s+)?(?:answer|option|choice)(?:\s+is)?\s*:?\s*)?[(\[]?[a-z][)\]]?\s*[.:]?\s*\Z",
    re.IGNORECASE,
)

# Small letters and numbers mark lines of every kind; within a line only "a)" and "(1)" are taken for marks.
_MARK = r"(?P<open>\(?)(?P<mark>[a-z]|[1-9]|1\d|2[0-6])(?P<close>[:.)])"
_SMALL_LINE = re.compile(rf"^[ \t]*{_MARK}[ \t]+(?=\S)", re.MULTILINE)
_SMALL_INLINE = re.compile(r"(?:(?<=\s)|(?<=\?))(?P<open>\(?)(?P<mark>[a-z]|[1-9]|1\d|2[0-6])(?P<close>\))\s*(?=\S)")
_BARE_MARK = re.compile(r"\s*\(?(?P<mark>[a-z]|[1-9]|1\d|2[0-6])[:.)]?\s*")
_MARKED_TEXT = re.compile(r"\s*\(?(?P<mark>[a-z]|[1-9]|1\d|2[0-6])\s*[:.)]\s*(?P<text>.+)", re.DOTALL)


class MarkedOption(NamedTuple):
    """An option where it was found: its letter, its text and how the letter is marked, as ``("(", ")")``."""

    letter: str
    text: str
    style: tuple[str, str]


def options_by_line(text: str) -> tuple[str, list[MarkedOption]]:
    """Finds options that begin lines; lines between them go on with the option before.

    After the last option, a line in lower case or indented goes on with it; any other line, or a question, says that
    this was no list of options.

    Args:
        text: Question without closing lines.

    Returns:
        The text before the options, and the options; none where there is no such list from an A to the end.
    """
    lines = text.splitlines()
    matches = [_OPTION_LINE.match(line) for line in lines]
    start = max((at for at, match in enumerate(matches) if match and match[2] == "A"), default=None)
    if start is None:
        return text, []
    found: list[MarkedOption] = []
    has_tail = is_continued = False
    for line, match in zip(lines[start:], matches[start:], strict=True):
        if match:
            found.append(MarkedOption(match[2], match[4].strip(), (match[1], match[3])))
            has_tail = False
        elif line.strip():
            letter, before, style = found[-1]
            found[-1] = MarkedOption(letter, f"{before} {line.strip()}".strip(), style)
            is_continued, has_tail = True, has_tail or line[0].isupper() or line.rstrip().endswith("?")
    if has_tail or (is_continued and len(found) == 1):
        return text, []
    return "\n".join(lines[:start]).strip(), _taken_apart(found)


def _taken_apart(found: list[MarkedOption]) -> list[MarkedOption]:
    """Divides lines that hold several options; only where letters are missing, because an option may name another."""
    parts: list[MarkedOption] = []
    is_divided = len(found) == 1
    for number, option in enumerate(found):
        is_last = number + 1 == len(found)
        is_gap = not is_last and _next(option.letter) != found[number + 1].letter
        divided = [option]
        if is_gap or (is_last and (is_divided or option.style[1] == ")")):
            divided = _chain(option, until=None if is_last else found[number + 1].letter)
        is_divided = is_divided or len(divided) > 1
        parts += divided
    return parts


def _chain(option: MarkedOption, until: str | None) -> list[MarkedOption]:
    chained = []
    letter, text = option.letter, option.text
    while (following := _next(letter)) != until:
        opened, closed = map(re.escape, option.style)
        match = re.search(rf"[\s,;]{{1,8}}{opened}{following}\s?{closed}\s*(?=\S)", text)
        if match is None or not text[: match.start()].strip():
            break
        chained.append(MarkedOption(letter, _CONJUNCTION.sub("", text[: match.start()].rstrip(" ,;\n")), option.style))
        letter, text = following, text[match.end() :]
    if chained and not any(earlier.text.endswith(".") for earlier in chained):
        text = text.rstrip().removesuffix(".")  # it ends the sentence; left, it would mark the last option
    return [*chained, MarkedOption(letter, text, option.style)]


def _next(letter: str) -> str:
    return chr(ord(letter) + 1) if len(letter) == 1 and letter < "Z" else "AA"


def options_on_one_line(text: str) -> tuple[str, list[MarkedOption]]:
    """Finds options that follow one another, and the question, without lines of their own.

    Args:
        text: Question without closing lines.

    Returns:
        The text before the options, and the options; none where there are fewer than two.
    """
    for match in reversed(list(_FIRST_INLINE.finditer(text))[-_MAX_LISTS:]):
        first = MarkedOption("A", text[match.end() :].strip(), (match[1], match[2]))
        found = _chain(first, until=None)
        if len(found) > 1 and all(option.text for option in found) and "\n" not in found[-1].text:
            joined = [option._replace(text=" ".join(option.text.split())) for option in found]
            return text[: match.start()].strip(), joined
    return text, []


def ends_in_an_option(text: str) -> bool:
    """Whether the last line is marked with a single letter, as an option is.

    Args:
        text: Question without closing lines.
    """
    match = _OPTION_LINE.match(text.rstrip().rpartition("\n")[2])
    return match is not None and len(match[2]) == 1


def names_a_letter(answer: str) -> bool:
    """Whether an answer is the letter of an option and nothing else.

    Args:
        answer: The answer as published.
    """
    return _BARE_LETTER.match(answer) is not None


def names_an_option(question: str, answer: str) -> bool:
    """Whether an answer repeats what a question lists behind a letter, in a list that was not taken apart.

    Args:
        question: The question as it would be stored.
        answer: The answer as published.
    """
    marked = re.compile(r"\s*\(?[A-Z]\)?\s*[:.)]\s*(.+)\Z", re.DOTALL).match(answer)
    wanted = re.escape((marked[1] if marked else answer).strip())
    listed = all(re.search(rf"(?:\A|[\s(]){letter}\s*[:.)]", question, re.IGNORECASE) for letter in "AB")
    return listed and bool(
        re.search(rf"(?:\A|[\s(])[A-Z]\s*[:.)]\s*{wanted}\s*(?:\Z|[\s,;.(])", question, re.IGNORECASE)
    )


def with_capital_marks(text: str, answer: str) -> tuple[str, str]:
    """Rewrites a list marked ``a) b)`` or ``1. 2.`` with capital letters, where the answer names one of its options.

    Without that, such lines may be anything: findings to describe, steps, a report's parts.

    Args:
        text: Question with its closing lines.
        answer: The answer as published.

    Returns:
        Question and answer; as they were where there is no such list, or one with capitals.

    Raises:
        RowError: The answer names a mark of a list that is none of options from first to last, or one option by its
            mark and another by its text.
    """
    shortened, _ = without_closing_lines(text)
    if options_by_line(shortened)[1] or options_on_one_line(shortened)[1]:
        return text, answer
    found = _small_marks(shortened)
    bare = _BARE_MARK.fullmatch(answer)
    if not found:
        if bare and len(_SMALL_LINE.findall(shortened)) > 1:
            raise RowError(QuarantineReason.options_not_found, "the answer is a mark, its list is not whole")
        return text, answer
    ends = [match.start() for match in found[1:]] + [len(shortened)]
    texts = [shortened[match.end() : end].strip(" ,;\n") for match, end in zip(found, ends, strict=True)]
    keys, named = [option_text_key(option) for option in texts], option_text_key(answer)
    marked = bare or _MARKED_TEXT.fullmatch(answer)
    by_mark = [number for number, match in enumerate(found) if marked and marked["mark"] == match["mark"]]
    by_text = [number for number, key in enumerate(keys) if key == named]
    if by_mark and by_text and by_mark != by_text:
        raise RowError(QuarantineReason.answer_not_in_options, "it is one option's mark and another's text")
    if not all(texts) or not (by_mark or by_text):
        return text, answer
    said = answer[marked.start("text") :] if marked and not bare and by_mark else ""
    letter = chr(65 + (by_mark or by_text)[0])
    lines = [f"{chr(65 + number)}) {' '.join(option.split())}" for number, option in enumerate(texts)]
    rest = text[len(shortened) :]
    return "\n".join([shortened[: found[0].start()].rstrip(), *lines]) + rest, f"{letter}) {said}".removesuffix(") ")


def _small_marks(text: str) -> list[re.Match[str]]:
    """The marks of a list that goes from a or 1 to the end of a text, all in one style; none where there is none."""
    for pattern in (_SMALL_LINE, _SMALL_INLINE):
        marks = list(pattern.finditer(text))
        starts = [at for at, match in enumerate(marks) if match["mark"] in ("a", "1")]
        run = marks[starts[-1] :] if starts else []
        expected = [chr(97 + n) if run[0]["mark"] == "a" else str(n + 1) for n in range(len(run))]
        is_whole = [match["mark"] for match in run] == expected
        is_alike = len({(match["open"], match["close"]) for match in run}) == 1
        # A line of its own that is not marked says that the list is not all, or not the end.
        num_lines = len([line for line in text[run[0].start() :].splitlines() if line.strip()]) if run else 0
        if len(run) > 1 and is_whole and is_alike and num_lines in (1, len(run)):
            return run
    return []
