"""What ties two rows to one split: bytes, pixels, near copies, slices, patients."""

from __future__ import annotations

from collections.abc import Sequence

GROUP_LINK = "group:"
IMAGE_LINK = "image:"
BYTES_LINK = "bytes:"
NEAR_LINK = "near:"
SLICE_LINK = "slice:"


def row_links(image_hashes: Sequence[str], groups: Sequence[str], bytes_hashes: Sequence[str] = ()) -> frozenset[str]:
    """Returns what ties a row to others.

    Args:
        image_hashes: Its pixel hashes.
        groups: Its pseudonymous groups.
        bytes_hashes: Hashes of its image files.
    """
    named = ((IMAGE_LINK, image_hashes), (GROUP_LINK, groups), (BYTES_LINK, bytes_hashes))
    return frozenset(prefix + name for prefix, names in named for name in names)
