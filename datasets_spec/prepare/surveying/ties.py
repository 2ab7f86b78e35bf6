"""What ties images: patients before any are compared, and afterwards what they show."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from datasets_spec.copies.groups import CopyGroups
from datasets_spec.splits.assign import components
from datasets_spec.splits.hashes import Codes, Hashes, codes_in, from_hex, hex_texts
from datasets_spec.splits.links import LINK_PREFIXES, Edges, Links
from datasets_spec.splits.row_table import RowTable


def tie_rows(table: RowTable, groups: CopyGroups) -> Links:
    """Ties rows whose images show the same picture.

    Args:
        table: The rows.
        groups: Images that belong together, by pixel hash.
    """
    names = table.images.names
    return Links(table=table, near=_roots(names, groups.copies), slices=_roots(names, groups.slices))


def _roots(names: Hashes, tied: Mapping[str, str]) -> Codes:
    """Of every image, the image its group is called by; -1 where it has none."""
    roots = np.full(len(names), -1, np.int32)
    if tied:
        of, root = (codes_in(names, from_hex(list(texts))) for texts in (tied.keys(), tied.values()))
        roots[of] = root
    return roots


def known_patients(table: RowTable) -> dict[str, str]:
    """Returns what images are tied by before any is compared: their patients, directly or through others.

    Args:
        table: Rows before anything is decided about them.

    Returns:
        A name for every image of a known patient, by pixel hash.
    """
    has_group = np.diff(table.groups.starts) > 0
    groups, images = (
        Edges(lists.rows, lists.codes, len(lists.names)).of(has_group) for lists in (table.groups, table.images)
    )
    if not len(groups.rows):
        return {}
    component = components(len(table), [groups, images])
    smallest = np.full(len(table), groups.num_names, np.int32)
    np.minimum.at(smallest, component[groups.rows], groups.names)
    found, first = np.unique(images.names, return_index=True)
    group_of = smallest[component[images.rows[first]]].tolist()
    texts = [LINK_PREFIXES["group"] + text.decode() for part in hex_texts(table.groups.names) for text in part]
    named = (text.decode() for part in hex_texts(table.images.names[found]) for text in part)
    return {name: texts[group] for name, group in zip(named, group_of, strict=True)}
