"""Rows that show one picture, are asked the same and are answered differently: one of the two is wrong."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from datasets_spec.canonical import content_hash
from datasets_spec.sample import option_text_key
from datasets_spec.splits.links import IMAGE_LINK, NEAR_LINK
from datasets_spec.splits.row_plan import Row
from datasets_spec.store.manifest import Contradiction


def comparison_keys(row: Mapping[str, Any]) -> dict[str, str]:
    """Returns what a closed row is compared by: hashes of question with options, of options alone, of the answer.

    Words of an open answer may differ and mean the same, and two boxes may both be right.

    Args:
        row: A staged row whose images were opened.
    """
    if row["answer_kind"] != "closed":
        return {}
    options = sorted({option_text_key(option) for option in row["options"]})
    return {
        "question_key": content_hash([option_text_key(row["question"]), options]),
        "options_key": content_hash(options),
        "answer_key": content_hash(option_text_key(row["answer"])),
    }


def count_asked(rows: Iterable[Mapping[str, Any]]) -> Counter[bytes]:
    """Counts how often the images of every row are asked about, by :func:`_asked_about`.

    Args:
        rows: Staged rows with ``subset`` and ``image_paths``.
    """
    return Counter(map(_asked_about, rows))


def question_key(row: Mapping[str, Any], asked: Mapping[bytes, int]) -> str:
    """Returns what makes a row's question the same as another's; empty for one that is not compared.

    That is the question with its options. Where an image is asked about once, as in sets of classes, the options alone
    decide, because such sets ask for one class in several wordings.

    Args:
        row: A staged row with the light columns.
        asked: Counts over all rows, from :func:`count_asked`.
    """
    key: str | None = row["options_key"] if asked[_asked_about(row)] == 1 else row["question_key"]
    return key or ""


def _asked_about(row: Mapping[str, Any]) -> bytes:
    # A few bytes a row instead of its paths.
    named = "\0".join((row["subset"], *(row["image_paths"] or ())))
    return hashlib.blake2b(named.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def find_contradictions(rows: Iterable[Row]) -> dict[str, tuple[int, Contradiction]]:
    """Counts rows of which another row shows the same picture, is asked the same and is answered differently.

    Rows of several images are left out: what is asked of them may depend on their order.

    Args:
        rows: Usable rows of all subsets, tied by their copies.

    Returns:
        By subset the number of such rows, and an example.
    """
    by_question: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        picture = _picture(row)
        if picture is not None and row.question_key:
            by_question.setdefault((picture, row.question_key), []).append(row)
    found: dict[str, tuple[int, Contradiction]] = {}
    for members in by_question.values():
        if len({row.answer_key for row in members}) < 2:
            continue
        for row in members:
            other = next(member for member in members if member.answer_key != row.answer_key)
            example = Contradiction(
                file=row.file, index=row.index, subset=other.subset, other_file=other.file, other_index=other.index
            )
            num, first = found.get(row.subset, (0, example))
            found[row.subset] = (num + 1, first)
    return found


def _picture(row: Row) -> str | None:
    images = [link for link in row.all_links if link.startswith(IMAGE_LINK)]
    near = [link for link in row.all_links if link.startswith(NEAR_LINK)]
    return (near or images)[0] if len(images) == 1 else None
