"""Rows that show one picture, are asked the same and are answered differently: one of the two is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from datasets_spec.canonical import content_hash
from datasets_spec.sample import option_text_key
from datasets_spec.splits.hashes import Codes
from datasets_spec.splits.links import Links
from datasets_spec.splits.row_table import Numbers, RowTable, first_of_runs
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


def find_contradictions(links: Links) -> dict[str, tuple[int, Contradiction]]:
    """Counts rows of which another row shows the same picture, is asked the same and is answered differently.

    Rows of several images are left out: what is asked of them may depend on their order.

    Args:
        links: Usable rows of all subsets, tied by their copies.

    Returns:
        By subset the number of such rows, and an example.
    """
    table, positions = links.table, _positions_by_question(links)
    picture, question, answer = (column[positions] for column in (_pictures(links), table.question, table.answer))
    starts = np.flatnonzero(first_of_runs(picture, question))
    if not len(starts):
        return {}
    run = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(positions))))
    is_open = (np.minimum.reduceat(answer, starts) != np.maximum.reduceat(answer, starts))[run]
    # Questions in the order in which they come first, as the example is the first that is found.
    positions, first = positions[is_open], positions[starts][run][is_open]
    found: dict[str, tuple[int, Contradiction]] = {}
    subset = table.subset[positions]
    for code in np.unique(subset).tolist():
        own = np.flatnonzero(subset == code)
        example = own[np.lexsort((positions[own], first[own]))[0]]
        members = positions[first == first[example]]
        other = members[table.answer[members] != table.answer[positions[example]]][0]
        found[table.subsets[code]] = (len(own), _contradiction(table, int(positions[example]), int(other)))
    return found


def _positions_by_question(links: Links) -> Numbers:
    """Rows that are compared, those of one picture and question together and in their order."""
    picture, question = _pictures(links), links.table.question
    chosen = np.flatnonzero((picture >= 0) & (question != 0))
    found: Numbers = chosen[np.lexsort((question[chosen], picture[chosen]))]
    return found


def _pictures(links: Links) -> Codes:
    """Of every row the image that its picture is called by; -1 where it shows several or none."""
    images = links.table.images
    num_images = np.diff(images.starts)
    has_some = num_images > 0
    smallest, largest = np.zeros((2, len(num_images)), np.int32)
    starts = images.starts[:-1][has_some]
    if len(starts):
        smallest[has_some] = np.minimum.reduceat(images.codes, starts)
        largest[has_some] = np.maximum.reduceat(images.codes, starts)
    called = np.where(links.near >= 0, links.near, np.arange(len(links.near), dtype=np.int32))
    is_one = has_some & (smallest == largest)
    pictures = np.full(len(num_images), -1, np.int32)
    pictures[is_one] = called[smallest[is_one]]
    return pictures


def _contradiction(table: RowTable, row: int, other: int) -> Contradiction:
    place, theirs = table.places[table.place[row]], table.places[table.place[other]]
    return Contradiction(
        file=place.file,
        index=int(table.index[row]),
        subset=theirs.subset,
        other_file=theirs.file,
        other_index=int(table.index[other]),
    )
