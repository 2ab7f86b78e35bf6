"""The survey as it was made of Python rows, frozen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets_spec.copies.chunks import SeenImage
from datasets_spec.copies.groups import CopyGroups
from datasets_spec.copies.ties import Ties
from datasets_spec.errors import ReaderError, StoreError
from datasets_spec.prepare.inputs import DataFile, SubsetSource
from datasets_spec.prepare.quarantine import NUM_EXAMPLES, Tally
from datasets_spec.prepare.staged_rows import LIGHT_COLUMNS
from datasets_spec.sample import QuarantinedRow, QuarantineReason
from datasets_spec.splits.leak_levels import LeakagePolicy
from tests.makers.staging import read_staged
from tests.reference_plan.found import count_asked, question_key
from tests.reference_plan.rows import (
    GROUP_LINK,
    IMAGE_LINK,
    NEAR_LINK,
    SLICE_LINK,
    Row,
    RowPlan,
    divide_links,
    row_links,
)


@dataclass(kw_only=True, slots=True)
class Survey:
    """Rows found, sorted by usability.

    Args:
        rows: Usable rows.
        quarantined: The others.
        tallies: Counts by subset.
        images: Images of usable rows, by pixel hash.
        num_read: Rows read, by subset and file.
    """

    rows: list[Row] = field(default_factory=list)
    quarantined: list[QuarantinedRow] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    images: dict[str, SeenImage] = field(default_factory=dict)
    num_read: Counter[tuple[str, str]] = field(default_factory=Counter)

    def set_aside(self, removed: Iterable[tuple[Row, QuarantineReason]]) -> None:
        """Adds rows that the plan left out.

        Args:
            removed: Rows and reasons.
        """
        for row, reason in removed:
            self.tallies[row.subset].reasons[reason] += 1
            self.quarantined.append(QuarantinedRow(subset=row.subset, file=row.file, index=row.index, reason=reason))


def tie_rows(rows: Iterable[Row], groups: CopyGroups, policy: LeakagePolicy) -> None:
    """Ties rows whose images show the same picture, and sets apart the ties that are only counted.

    Args:
        rows: The rows; changed in place.
        groups: Images that belong together, by pixel hash.
        policy: What is done at which level.
    """
    for row in rows:
        images = [link.removeprefix(IMAGE_LINK) for link in row.links if link.startswith(IMAGE_LINK)]
        named = ((NEAR_LINK, groups.copies), (SLICE_LINK, groups.slices))
        found = frozenset(link + tied[image] for link, tied in named for image in images if image in tied)
        row.links, row.watched = divide_links(policy, row.links | found)


def known_patients(rows: Iterable[Row]) -> dict[str, str]:
    """Returns what images are tied by before any is compared: their patients, directly or through others.

    Args:
        rows: Rows before anything is decided about them.

    Returns:
        A name for every image of a known patient, by pixel hash.
    """
    ties, images = Ties(), set[str]()
    for row in rows:
        groups = [link for link in row.links if link.startswith(GROUP_LINK)]
        own = [link for link in row.links if link.startswith(IMAGE_LINK)]
        for link in (*groups, *own) if groups else ():
            ties.tie(groups[0], link)
        images.update(own if groups else ())
    return {link.removeprefix(IMAGE_LINK): ties.root(link) for link in images}


def survey_staging(staging: Path, files: Sequence[DataFile], sources: Mapping[str, SubsetSource]) -> Survey:
    """Reads hashes and verdicts of staged rows.

    Args:
        staging: Folder of staged rows.
        files: The data files that were to be read.
        sources: All subsets by name.

    Raises:
        ReaderError: Files could not be read; names all of them.
        StoreError: A row was staged twice, or rows of a file are not there; names the files.
    """
    survey = Survey(tallies={name: Tally() for name in sources})
    failures: list[str] = []
    seen: dict[tuple[str, str, str], bytearray] = {}
    num_read: dict[tuple[str, str, str], int] = {}
    asked = count_asked(read_staged(staging, ["subset", "image_paths"]))
    same = _Same()
    # One block at a time: all rows as mappings would take 5 KB each.
    for row in read_staged(staging, LIGHT_COLUMNS):
        place = (row["subset"], row["role"], row["file"])
        if row["num_read"] is not None:
            num_read[place] = row["num_read"]
        elif row["failure"] is not None:
            failures.append(f"{row['subset']}: {row['failure']}")
        elif not _mark(seen.setdefault(place, bytearray()), row["index"]):
            raise StoreError("a row was staged twice", hint="prepare the store again")
        else:
            _count(survey, row, question_key(row, asked), same)
    if failures:
        raise ReaderError("\n".join(failures))
    _require_all_rows(seen, num_read, files, staging)
    return survey


class _Same(dict[str, str]):
    """Keeps one text of each that many rows share."""

    def __missing__(self, text: str) -> str:
        self[text] = text
        return text


def _mark(seen: bytearray, index: int) -> bool:
    """Notes an index, a byte each; False if it was noted before."""
    if index >= len(seen):
        seen.extend(bytes(index + 1 - len(seen)))
    is_new = not seen[index]
    seen[index] = 1
    return is_new


def _require_all_rows(
    seen: Mapping[tuple[str, str, str], bytearray],
    num_read: Mapping[tuple[str, str, str], int],
    files: Sequence[DataFile],
    staging: Path,
) -> None:
    """Refuses rows that were read and did not come back: each file's are 0 to n-1, as counted where it was read."""
    found = dict(seen)
    lost = []
    for item in files:
        place = (item.subset, item.role, item.file)
        marks, expected = found.pop(place, bytearray()), num_read.get(place)
        if expected is None:
            lost.append(f"{item.subset}: {item.file}: {sum(marks)} rows came back, and not how many were read")
        elif marks != b"\1" * expected:
            lost.append(f"{item.subset}: {item.file}: {sum(marks[:expected])} of {expected} rows came back")
    lost += [f"{subset}: {file}: rows came back of a file that was not to be read" for subset, _, file in found]
    if lost:
        raise StoreError(
            f"rows were read and are not in {staging}:\n  " + "\n  ".join(lost),
            hint="put the store on storage that all nodes mount at this path, look for lost nodes, and prepare again",
        )


def require_balance(survey: Survey, plan: RowPlan) -> None:
    """Refuses a plan that loses rows: of each file, rows read are rows planned and rows set aside.

    Args:
        survey: What was read and set aside, what the plan removed included.
        plan: What will be stored.

    Raises:
        StoreError: The numbers of a file differ; names the first.
    """
    told: Counter[tuple[str, str]] = Counter((row.subset, row.file) for row in survey.quarantined)
    told.update((row.subset, row.file) for rows in plan.partitions.values() for row in rows)
    for (subset, file), num in sorted(survey.num_read.items()):
        if told[subset, file] != num:
            raise StoreError(
                f"{subset}: {file}: of {num} rows, {told[subset, file]} are stored or set aside for a reason",
                hint="this is a fault of the program: report it with the catalog",
            )


def _count(survey: Survey, row: Mapping[str, Any], question: str, same: _Same) -> None:
    tally = survey.tallies[row["subset"]]
    tally.read += 1
    survey.num_read[row["subset"], row["file"]] += 1
    if row["reason"] is None:
        survey.rows.append(_light_row(row, question, same))
        return
    reason = QuarantineReason(row["reason"])
    tally.reasons[reason] += 1
    if reason == QuarantineReason.missing_image and len(tally.missing) < NUM_EXAMPLES:
        tally.missing.append(f"{row['file']} row {row['index']}")
    survey.quarantined.append(
        QuarantinedRow(
            subset=row["subset"], file=row["file"], index=row["index"], reason=reason, detail=row["detail"] or ""
        )
    )


def _light_row(row: Mapping[str, Any], question: str, same: _Same) -> Row:
    return Row(
        subset=same[row["subset"]],
        role=same[row["role"]],
        file=same[row["file"]],
        index=row["index"],
        content_hash=row["content_hash"],
        row_hash=row["row_hash"],
        label=same[row["label"]],
        links=row_links(row["image_hashes"], row["groups"], row["image_bytes_hashes"]),
        flags=tuple(same[flag] for flag in row["flags"]),
        question_key=same[question],
        answer_key=same[row["answer_key"] or ""],
        block=row["block"],
        offset=row["offset"],
    )
