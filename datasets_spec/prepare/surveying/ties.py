"""What ties images: patients before any are compared, and afterwards what they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from datasets_spec.copies.groups import CopyGroups
from datasets_spec.splits.hashes import Codes, Hashes, codes_in, from_hex, hex_texts
from datasets_spec.splits.leak_levels import LeakagePolicy
from datasets_spec.splits.links import LINK_PREFIXES, Links
from datasets_spec.splits.row_table import Lists, Numbers, RowTable, first_of_runs, spread, starts_of

# An image may be named for a patient, a study and the same again by another subset. What more are named for is nobody's
# picture, as a placeholder is; and rows times patients of one would not fit into memory.
MAX_PATIENTS_PER_IMAGE: Final = 8


def tie_rows(table: RowTable, groups: CopyGroups, policy: LeakagePolicy) -> Links:
    """Ties rows whose images show the same picture, and rows to every patient that is named for their pictures.

    Args:
        table: The rows.
        groups: Images that belong together, by pixel hash.
        policy: What is done at which level; images that belong together at one that is only told keep their patients.
    """
    names = table.images.names
    roots = {"near": _roots(names, groups.copies), "slices": _roots(names, groups.slices)}
    table = _with_patients(table, _each(table))
    for level, called in roots.items():
        if level in policy.acted:
            table = _with_patients(table, called)
    return Links(table=table, near=roots["near"], slices=roots["slices"])


def _roots(names: Hashes, tied: Mapping[str, str]) -> Codes:
    """Of every image, the image its group is called by; -1 where it has none."""
    roots = np.full(len(names), -1, np.int32)
    if tied:
        of, root = (codes_in(names, from_hex(list(texts))) for texts in (tied.keys(), tied.values()))
        roots[of] = root
    return roots


def _each(table: RowTable) -> Codes:
    """Every image by itself."""
    return np.arange(len(table.images.names), dtype=np.int32)


def known_patients(table: RowTable) -> dict[str, str]:
    """Returns what images are tied by before any is compared: a patient, so that rows that show them are tied by it.

    Args:
        table: Rows before anything is decided about them.

    Returns:
        For every image of a known patient, by pixel hash, of its patients the one with most images.
    """
    pictures, patients = _patients(table, _each(table))
    num_images = np.bincount(patients, minlength=1)
    order = np.lexsort((patients, -num_images[patients], pictures))
    chosen = order[first_of_runs(pictures[order])]
    texts = [LINK_PREFIXES["group"] + text.decode() for part in hex_texts(table.groups.names) for text in part]
    named = (text.decode() for part in hex_texts(table.images.names[pictures[chosen]]) for text in part)
    return {name: texts[patient] for name, patient in zip(named, patients[chosen].tolist(), strict=True)}


def _with_patients(table: RowTable, called: Codes) -> RowTable:
    """Adds to the groups of every row those that any row, duplicates included, names for a picture it shows."""
    images, groups = table.images, table.groups
    pictures, patients = _patients(table, called)
    if not len(pictures):
        return table
    lengths = np.bincount(pictures, minlength=len(called))
    shown = called[images.codes]
    rows, shown = images.rows[shown >= 0], shown[shown >= 0]
    found = patients[spread(starts_of(lengths)[shown], lengths[shown])]
    ties = np.unique(
        np.concatenate(
            [_pairs(groups.rows, groups.codes, table), _pairs(np.repeat(rows, lengths[shown]), found, table)]
        )
    )
    of, codes = np.divmod(ties, len(groups.names))
    starts = starts_of(np.bincount(of, minlength=len(table)))
    return replace(table, groups=Lists(names=groups.names, starts=starts, codes=codes.astype(np.int32)))


def _patients(table: RowTable, called: Codes) -> tuple[Numbers, Numbers]:
    """Pictures, ascending, and the patients that rows name for them; a picture is what an image is called by."""
    images, groups = table.images, table.groups
    lengths = np.diff(groups.starts)[images.rows]
    shown = np.repeat(called[images.codes], lengths)
    named = groups.codes[spread(groups.starts[images.rows], lengths)]
    ties = np.unique(_pairs(shown[shown >= 0], named[shown >= 0], table))
    pictures, patients = np.divmod(ties, max(1, len(groups.names)))
    is_somebody = np.bincount(pictures, minlength=1)[pictures] <= MAX_PATIENTS_PER_IMAGE
    return pictures[is_somebody], patients[is_somebody]


def _pairs(ones: Numbers | Codes, groups: Numbers | Codes, table: RowTable) -> Numbers:
    """Numbers that are equal for equal pairs, ascending as these."""
    return ones.astype(np.int64) * len(table.groups.names) + groups
