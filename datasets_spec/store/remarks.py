"""What preparing and checking both say of a subset's counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from datasets_spec.sample import QuarantineReason
from datasets_spec.store.manifest import SubsetCounts


def tell_remarks(subsets: Mapping[str, SubsetCounts], tell: Callable[[str], None]) -> None:
    """Says whose patients are known in part, which subsets contradict themselves, and whose images were not opened.

    Args:
        subsets: Counts by subset.
        tell: Told a line each.
    """
    for name, counts in subsets.items():
        for told in (patients_known_in_part(counts), contradicting_rows(counts, name), images_not_opened(counts)):
            if told is not None:
                tell(f"{name}: {told}")


def patients_known_in_part(counts: SubsetCounts) -> str | None:
    """Returns what to say of a subset whose patients are known in part; None for any other.

    Args:
        counts: Its counts.
    """
    if counts.groups_known or not counts.num_grouped:
        return None
    unknown = counts.kept - counts.num_grouped
    return f"patients of {counts.num_grouped} of {counts.kept} rows are known; {unknown} rows name none"


def contradicting_rows(counts: SubsetCounts, name: str) -> str | None:
    """Returns what to say of a subset with copies that are answered differently; None for any other.

    Args:
        counts: Its counts.
        name: Its name.
    """
    example = counts.contradiction
    if example is None:
        return None
    other = example.other_file if example.subset == name else f"{example.subset}'s {example.other_file}"
    return (
        f"{counts.contradicting} rows show a picture that another row answers differently, such as {example.file} "
        f"row {example.index} and {other} row {example.other_index}"
    )


def images_not_opened(counts: SubsetCounts) -> str | None:
    """Returns what to say of a subset with images that could not be opened for the time being; None for any other.

    Args:
        counts: Its counts.
    """
    num = counts.quarantined.get(QuarantineReason.image_not_opened, 0)
    if not num:
        return None
    return (
        f"{num} rows are set aside because an image of theirs ended the process that opened it, alone too, or ran out "
        "of memory; it may be damaged, or the machine was short (quarantine.parquet names the rows). "
        "`recombine data prepare STUDY --retry-images` opens such images again, and a study begun on this store cannot "
        "go on with what it finds"
    )
