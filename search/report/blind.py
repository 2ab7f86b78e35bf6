"""What rules reach that look at no image: the floor under every accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from search.report.load import RunRecords
from search.report.wording import NOT_KNOWN, count, percent


class BlindRow(NamedTuple):
    """One evaluation set; shares of its closed questions on `confirm`, in percent."""

    name: str
    num_closed: str
    num_open: str
    chance: str
    constant_letter: str
    longest_option: str
    shortest_option: str


def compute_blind(records: RunRecords) -> tuple[BlindRow, ...]:
    """The blind baselines of `run.json`, by evaluation set; none where they were not computed.

    Args:
        records: A run's files.
    """
    figures: Mapping[str, Mapping[str, Any]] = records.run.get("blind") or {}
    return tuple(
        BlindRow(
            name=name,
            num_closed=count(figure.get("num_closed")),
            num_open=count(figure.get("num_open")),
            chance=_share(figure.get("chance")),
            constant_letter=_share(figure.get("constant_letter")),
            longest_option=_share(figure.get("longest_option")),
            shortest_option=_share(figure.get("shortest_option")),
        )
        for name, figure in figures.items()
    )


def _share(value: Any) -> str:
    return NOT_KNOWN if value is None else percent(value)
