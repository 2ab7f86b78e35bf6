"""Images of a pack that lie near each other are asked for together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from datasets_spec.packs.pack_writer import Extent

# What lies between two images is read with them where that costs less than a request of its own: one takes the
# processor 1 to 2 ms, in which it takes in a quarter of a MiB. So no more than twice the least is paid.
MAX_GAP_BYTES: Final = 256 * 1024
# Read at once and held whole; a request's 20 ms are then few beside what it brings.
MAX_RUN_BYTES: Final = 4 * 1024 * 1024


class Run(NamedTuple):
    """A part of a pack that is read at once.

    Args:
        pack: Number of the pack.
        start: Its first byte.
        stop: The byte behind its last.
        members: Positions of the images in it, among those that were asked for.
    """

    pack: int
    start: int
    stop: int
    members: list[int]


def runs_of(wanted: Sequence[tuple[int, Extent]]) -> Iterator[Run]:
    """Joins images that lie near each other.

    Args:
        wanted: Of every image, number of its pack and where it lies there; equal ones may be among them.

    Yields:
        Parts of packs; every image lies whole in one.
    """
    run: Run | None = None
    for number in sorted(range(len(wanted)), key=lambda at: (wanted[at][0], wanted[at][1].offset)):
        pack, extent = wanted[number]
        stop = extent.offset + extent.num_bytes
        if (
            run is not None
            and run.pack == pack
            and extent.offset - run.stop <= MAX_GAP_BYTES
            and stop - run.start <= MAX_RUN_BYTES
        ):
            run.members.append(number)
            run = run._replace(stop=max(run.stop, stop))
            continue
        if run is not None:
            yield run
        run = Run(pack, extent.offset, stop, [number])
    if run is not None:
        yield run
