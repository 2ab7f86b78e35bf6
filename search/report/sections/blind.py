"""What rules reach that look at no image: the floor under every accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from search.evidence.blind import no_image_share
from search.report.run_files import RunRecords
from search.report.wording import NOT_KNOWN, count, interval, percent


class BlindRow(NamedTuple):
    """One evaluation set; of its closed questions shares in percent, of others one answer given to all.

    `words` is what a classifier reaches on words alone, with a cluster-robust interval; `best` the best rule for each
    kind of question.
    """

    name: str
    num_closed: str
    num_open: str
    num_box: str
    chance: str
    constant_letter: str
    longest_option: str
    shortest_option: str
    words: str
    words_interval: str
    num_clusters: str
    constant_answer: str
    best: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table, without name and summary."""
        return self[1:-1]


def blind_split(records: RunRecords) -> str:
    """The split whose questions they are of: that of the selection's estimates (studies of before: `confirm`).

    Args:
        records: A run's files.
    """
    estimates = (records.selection or {}).get("estimates") or {}
    return "sealed" if estimates.get("sealed") and records.run.get("blind_sealed") else "confirm"


def compute_blind(records: RunRecords) -> tuple[BlindRow, ...]:
    """The blind baselines of `run.json` on `blind_split`, by evaluation set; none where they were not computed.

    Args:
        records: A run's files.
    """
    field = "blind_sealed" if blind_split(records) == "sealed" else "blind"
    figures: Mapping[str, Mapping[str, Any]] = records.run.get(field) or {}
    return tuple(_row(name, figure) for name, figure in figures.items())


def _row(name: str, figure: Mapping[str, Any]) -> BlindRow:
    words: Mapping[str, Any] = figure.get("words") or {}
    constant: Mapping[str, Any] = figure.get("constant") or {}
    best = no_image_share(figure)
    return BlindRow(
        name=name,
        num_closed=count(figure.get("num_closed")),
        num_open=count(figure.get("num_open")),
        num_box=count(figure.get("num_box", 0)),
        chance=_share(figure.get("chance")),
        constant_letter=_share(figure.get("constant_letter")),
        longest_option=_share(figure.get("longest_option")),
        shortest_option=_share(figure.get("shortest_option")),
        words=_share(words.get("accuracy")),
        words_interval=interval(words["low"], words["high"], signed=False) if words else NOT_KNOWN,
        num_clusters=count(words.get("num_clusters")) if words else NOT_KNOWN,
        constant_answer=" / ".join(percent(mark) for mark in constant.values()) or NOT_KNOWN,
        best=NOT_KNOWN if best is None else f"{percent(best[0])} ({best[1]})",
    )


def _share(value: Any) -> str:
    return NOT_KNOWN if value is None else percent(value)
