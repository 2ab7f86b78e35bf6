"""No interval that excludes zero stands beside "no difference detected", and none that includes it beside a claim.

Held over what page, Markdown, terminal and design tables print, parsed back as a reader would.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.designs.table import Contrast, DesignTable
from search.designs.wording import CONTRAST_COLUMNS, contrast_rows
from search.evidence.confirmation.comparisons import Comparison
from search.evidence.finding.finding import finding_of
from search.report.plain_tables import selection_markdown
from search.report.run_files import RunRecords
from search.report.sections.answer import compute_answer
from search.report.sections.subgroups import RETAINED_COLUMNS, compute_finding_tables
from search.statistics.bootstrap import PairedDifference, two_sided_p
from search.statistics.judgement import judge
from search.statistics.simultaneous import Family
from search.vocabulary import COMPARATORS

NONE_DETECTED = "no difference detected"
NUMBER = r"[+−-]?\d+(?:\.\d+)?"


def paired(shift: float, scale: float, *, has_seed_noise: bool) -> PairedDifference:
    draws = np.sort(scale * (shift + np.random.default_rng(1).standard_normal(1000)))
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return PairedDifference(
        difference=float(draws.mean()), ci_low=float(draws[25]), ci_high=float(draws[-26]),
        p_value=two_sided_p(beyond, len(draws)), standard_error=scale, n=100, num_seeds=(2, 2),
        has_seed_noise=has_seed_noise, draws=draws,
    )  # fmt: skip


# Shifts near the edge, where word and interval could part; small scales, where an end could read as zero.
differences = st.builds(
    paired,
    st.floats(-4, 4) | st.sampled_from([-2.58, -1.96, 1.96, 2.58]),
    st.sampled_from([0.02, 0.001, 0.00001]),
    has_seed_noise=st.booleans(),
)
families = st.lists(differences, min_size=1, max_size=len(COMPARATORS))


def agrees(word: str, interval: str) -> bool:
    """Whether a printed word and a printed interval say the same."""
    ends = [float(end.replace("−", "-")) for end in re.findall(NUMBER, interval)]
    if not ends:
        return word.startswith(NONE_DETECTED)
    low, high = ends
    if word.startswith("better"):
        return low > 0
    return high < 0 if word.startswith("worse") else low <= 0 <= high


def selection_of(found: list[PairedDifference], *, num_choices: int) -> dict[str, Any]:
    entries, together = [], num_choices * len(found)
    for name, each in zip(COMPARATORS, found, strict=False):
        judged = judge(each, together=Family(num_unrelated=together))
        made = Comparison(
            arm="finalist-1", comparator=name, eval_set="mean", split="sealed", paired=each, judgement=judged
        )
        entries.append(made.as_dict())
    retained = [
        {"eval_set": "old", "before": 0.9, "after": 0.8, "difference": each.difference, "n": 100}
        | judge(each, together=Family(num_unrelated=len(found))).as_dict()
        for each in found
    ]
    content = {"composition": {"a": 10}, "estimates": {}, "comparisons": entries, "retained": retained}
    return content | {"finding": finding_of(content, no_image={}).as_dict()}


@pytest.mark.parametrize(
    ("word", "interval", "expected"),
    [
        (NONE_DETECTED, "−20.8 to −0.2", False), ("better by 3.0 points", "0.0 to +6.0", False),
        ("worse", "-3.0 to +0.1", False), (NONE_DETECTED, "no interval", True), ("better", "no interval", False),
        ("better", "+0.02 to +3.0", True), (NONE_DETECTED, "0.0 to +3.0", True),
    ],
)  # fmt: skip
def test_a_contradiction_would_be_found(word: str, interval: str, expected: bool) -> None:
    assert agrees(word, interval) is expected


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(families, st.integers(1, 3))
def test_the_rows_of_page_markdown_and_terminal_agree(
    records: RunRecords, found: list[PairedDifference], num_choices: int
) -> None:
    run = replace(records, selection=selection_of(found, num_choices=num_choices))
    answer = compute_answer(run)
    assert len(answer.all_verdicts) == len(found)
    for line in answer.all_verdicts:
        assert agrees(line.word, line.interval)
        assert line.interval in line.detail
    column = RETAINED_COLUMNS.index("simultaneous 95 % interval")
    for row in compute_finding_tables(run).retained_rows:
        assert agrees(row[-1], row[column])
    table = [line.split(" | ") for line in selection_markdown(answer).splitlines() if " | mean | sealed | " in line]
    assert len(table) == len(found)
    for row_cells in table:
        assert agrees(row_cells[-1].removesuffix(" |"), row_cells[4])
    detail = finding_of(run.selection or {}, no_image={}).detail  # what the terminal prints
    for low, high in re.findall(rf"\(simultaneous 95 % interval ({NUMBER}) to ({NUMBER})\)", detail):
        assert 0 < float(low) <= float(high)
    assert NONE_DETECTED not in detail or "interval" not in detail.split(NONE_DETECTED)[1]


@settings(deadline=None, max_examples=60)
@given(families)
def test_the_rows_of_a_design_agree(found: list[PairedDifference]) -> None:
    contrasts = [
        Contrast(
            row=f"r{k}", first="related", second="control", is_claim=True, difference=each.difference,
            ci_low=each.ci_low, ci_high=each.ci_high, p_value=each.p_value, is_matched=True, is_held_out=True,
            **judge(each, together=Family(num_unrelated=len(found))).as_dict(),
        )
        for k, each in enumerate(found)
    ]  # fmt: skip
    table = DesignTable(
        kind="controlled", backbone="b", split="confirm", rows=(), scores=(), contrasts=tuple(contrasts), marks={},
        missing=(),
    )  # fmt: skip
    place = {name: k for k, name in enumerate(CONTRAST_COLUMNS)}
    for row in contrast_rows(table):
        assert agrees(row[place["verdict"]], row[place["simultaneous 95 % interval"]])


def test_an_older_selection_shows_no_interval_beside_a_verdict(records: RunRecords) -> None:
    selection = dict(records.selection or {})
    old = [
        {name: value for name, value in entry.items() if not name.startswith("simultaneous")}
        for entry in selection["comparisons"]
    ]
    answer = compute_answer(replace(records, selection=selection | {"comparisons": old}))
    assert {line.interval for line in answer.all_verdicts} == {"no interval"}
