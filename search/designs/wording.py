"""The rows of a design's table as text."""

from __future__ import annotations

from collections.abc import Sequence

from search.designs.table import ArmScore, Contrast, DesignTable, pooled_contrasts
from search.evidence.finding.points import span_text

CONTRAST_COLUMNS = [
    "row",
    "contrast",
    "points",
    "simultaneous 95 % interval",
    "adjusted p",
    "verdict",
    "could have seen",
    "matched",
]


def arm_columns(table: DesignTable) -> list[str]:
    """Row, target, then the arms in the order in which they first appear."""
    return ["row", "sources", "n", *dict.fromkeys(score.arm for score in table.scores), "mark"]


def arm_rows(table: DesignTable) -> list[list[str]]:
    """Accuracy of every arm with its interval; what a paper printed stands in brackets."""
    arms = arm_columns(table)[3:-1]
    scores = {(score.row, score.arm): score for score in table.scores}
    rows = []
    for row in table.rows:
        found = {arm: scores.get((row["name"], arm)) for arm in arms}
        n = next((str(score.n) for score in found.values() if score is not None), "-")
        mark = {True: "✓", False: "✗"}.get(table.marks.get(row["name"]), "")  # type: ignore[arg-type]
        cells = [_cell(score) for score in found.values()]
        sources = ", ".join(row["sources"]) if len(row["sources"]) <= 3 else f"{len(row['sources'])} subsets"
        rows.append([row["name"], sources, n, *cells, mark])
    return rows


def contrast_rows(table: DesignTable) -> list[list[str]]:
    """Every contrast with its verdict."""
    return [
        [
            contrast.row,
            f"{contrast.first} - {contrast.second}",
            f"{100 * contrast.difference:+.1f}",
            _interval(contrast),
            "<0.001" if contrast.p_adjusted < 0.001 else f"{contrast.p_adjusted:.3f}",
            contrast.verdict,
            f"{100 * contrast.minimum_detectable:.1f}",
            matched_text(contrast),
        ]
        for contrast in table.contrasts
    ]


def pooled_rows(table: DesignTable) -> list[list[str]]:
    """Each contrast over all rows."""
    return [
        [
            f"{entry['first']} - {entry['second']}",
            str(entry["num_rows"]),
            f"{100 * entry['difference']:+.1f}",
            "-" if entry["half_width"] != entry["half_width"] else _span(entry["difference"], entry["half_width"]),
        ]
        for entry in pooled_contrasts(table)
    ]


def matched_text(contrast: Contrast) -> str:
    """What may be compared: untrained is no match, unequal amounts are said, own data are no composing."""
    words = {None: "untrained", True: "yes", False: "NO: samples or steps differ"}[contrast.is_matched]
    return words if contrast.is_held_out else f"{words}; saw the target's key"


def notes(table: DesignTable) -> list[str]:
    """What a reader must know before believing a row."""
    found = []
    claims = [contrast for contrast in table.contrasts if contrast.is_claim]
    if table.marks:
        marked = sum(table.marks.values())
        better = sum(c.verdict == "better" for c in claims)
        found.append(
            f"The paper's mark (higher than baseline and control) is given to {marked} of {len(table.marks)} rows; "
            f"{better} of {len(claims)} claims are better by a test that knows questions, seeds and their number."
        )
    unmatched = sorted({c.row for c in table.contrasts if c.is_matched is False})
    if unmatched:
        found.append(f"Not matched in samples or steps: {', '.join(unmatched)}.")
    exposed = sorted({c.row for c in table.contrasts if not c.is_held_out})
    if exposed:
        found.append(
            "An arm has trained on the target's own key, so this is not compositional generalisation: "
            f"{', '.join(exposed)}."
        )
    if any(score.published is not None for score in table.scores):
        found.append("In brackets: what the paper printed, from another backbone, one run and other questions.")
    if any(contrast.simultaneous_low is None for contrast in table.contrasts):
        found.append(
            "A contrast without an interval has one training seed an arm, which shows no training noise (or comes from "
            "a version that did not keep it): nothing is claimed of it."
        )
    if table.missing:
        found.append(f"Without a score of some arm: {', '.join(table.missing)}.")
    return found


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    header = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    return header + [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]


def _cell(score: ArmScore | None) -> str:
    if score is None:
        return "-"
    text = f"{100 * score.accuracy:.1f} ({100 * score.ci_low:.0f} to {100 * score.ci_high:.0f})"
    return text if score.published is None else f"{text} [{100 * score.published:g}]"


def _interval(contrast: Contrast) -> str:
    low, high = contrast.simultaneous_low, contrast.simultaneous_high
    return "none" if low is None or high is None else span_text(low, high)


def _span(centre: float, half_width: float) -> str:
    return f"{100 * (centre - half_width):+.1f} to {100 * (centre + half_width):+.1f}"
