"""What a reader opens, chooses and downloads on the page, in headless Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from search.report.wording import points
from search.study.run_dir import RunDir
from tests.makers.chromium import needs_chromium, until, visit_page
from tests.search.report.fixture_run import NUM_QUESTIONS, SUBSETS, TARGETS

pytestmark = [pytest.mark.browser, needs_chromium]

FIRST = "document.querySelector('#all-trials tbody tr[data-trial]')"
EVIDENCE = "document.getElementById('evidence-cell')"
SOURCE = "document.getElementById('evidence-source')"
TARGET = "document.getElementById('evidence-target')"
LABELS = "[...document.querySelectorAll('[data-chart=transfer] svg .mark-text.role-mark text')].map(e => e.textContent)"
FAINT = (
    "[...document.querySelectorAll('[data-chart=transfer] svg .mark-rect.role-mark path')]"
    ".filter(e => e.getAttribute('opacity') === '0.04').length"
)


def steps(*statements: str) -> str:
    return "(async () => { " + " ".join(statements) + " })()"


def choosing(choice: str, value: str) -> str:
    """Choose a value as a reader does, and wait until another cell's evidence is there."""
    return (
        f"{{ const before = {EVIDENCE}.firstChild; {choice}.value = {value};"
        f" {choice}.dispatchEvent(new Event('change')); {until(f'{EVIDENCE}.firstChild !== before')} }}"
    )


# Each is evaluated in the page of one visit, in this order.
ASKED: dict[str, str] = {
    "closed": f"{FIRST}.querySelector('.opener').getAttribute('aria-expanded')",
    "clicked": steps(
        f"{FIRST}.cells[2].click();",
        until(f"{FIRST}.nextElementSibling.querySelector('h3')"),
        f"return [...{FIRST}.nextElementSibling.querySelectorAll('h3')].map(e => e.textContent);",
    ),
    "expanded": f"{FIRST}.querySelector('.opener').getAttribute('aria-expanded')",
    "controlled": f"{FIRST}.nextElementSibling.id === {FIRST}.querySelector('.opener').getAttribute('aria-controls')",
    "sorted": "(() => { document.querySelector('#all-trials th button').click();"
    " return document.querySelectorAll('.opened, [aria-expanded=true]').length; })()",
    "by link": steps(
        "const row = [...document.querySelectorAll('#all-trials tr[data-trial]')]"
        ".find(r => r.cells[1].textContent === 'single subset'); location.hash = '#' + row.id;",
        until("document.querySelector('.opened')"),
        "return [document.activeElement.className, row.nextElementSibling.className];",
    ),
    "cell": steps(
        "const mark = document.querySelector('[data-chart=transfer] svg .mark-rect.role-mark path:nth-child(5)');",
        "const box = mark.getBoundingClientRect();",
        f"const before = {EVIDENCE}.firstChild;",
        "for (const type of ['pointermove', 'pointerdown', 'pointerup', 'click']) mark.dispatchEvent(new MouseEvent("
        "type, {bubbles: true, clientX: box.x + 5, clientY: box.y + 5}));",
        until(f"{EVIDENCE}.firstChild !== before"),
        f"return [{SOURCE}.value, {TARGET}.value, {EVIDENCE}.innerText];",
    ),
    "chosen": steps(
        choosing(SOURCE, f"{SOURCE}.options[0].value"),
        f"return [{SOURCE}.value, {EVIDENCE}.innerText, {EVIDENCE}.querySelectorAll('a').length];",
    ),
    "own key": steps(
        choosing(SOURCE, f"'{next(iter(SUBSETS))}'"),
        choosing(TARGET, f"'{next(iter(TARGETS))}'"),
        f"return {EVIDENCE}.innerText;",
    ),
    "without a row": steps(
        f"document.getElementById({EVIDENCE}.querySelector('a').hash.slice(1)).id = '';",
        choosing(TARGET, f"{TARGET}.value"),
        f"return {EVIDENCE}.querySelectorAll('a').length;",
    ),
    "filtered": steps(
        "const choice = document.querySelector('[data-chart=transfer] select');",
        "choice.value = 'modality'; choice.dispatchEvent(new Event('change', {bubbles: true}));",
        until(f"{FAINT} > 0"),
        f"return {FAINT};",
    ),
    "way": steps(
        f"const told = () => {LABELS}.join(); const before = told();",
        "document.querySelector('[data-chart=transfer] input[value=way]').click();",
        until("told() !== before"),
        f"return {LABELS};",
    ),
    "download": steps(
        "let told; const make = URL.createObjectURL;",
        "URL.createObjectURL = blob => { told = blob; return make(blob); };",
        "document.querySelector('[data-download=\"transfer.csv\"]').click();",
        until("told"),
        "return await told.text();",
    ),
}


@pytest.fixture(scope="module")
def run(page: Path) -> RunDir:
    return RunDir(page.parents[1])


@pytest.fixture(scope="module")
def seen(page: Path) -> dict[str, Any]:
    visit = visit_page(page, width_px=1280, expressions=list(ASKED.values()))
    assert visit.console == []
    return dict(zip(ASKED, visit.values, strict=True))


def test_a_row_opens_by_a_click_and_says_so(seen: dict[str, Any]) -> None:
    assert seen["closed"] == "false"
    assert seen["clicked"] == ["Scores", "Right answers by class"], "of the untrained backbone"
    assert seen["expanded"] == "true"
    assert seen["controlled"]


def test_a_row_that_is_open_does_not_sort_with_the_others(seen: dict[str, Any]) -> None:
    assert seen["sorted"] == 0


def test_a_trial_has_an_address(seen: dict[str, Any]) -> None:
    assert seen["by link"] == ["opener", "opened"]


def test_a_cell_shows_its_evidence(seen: dict[str, Any], run: RunDir) -> None:
    source, target, text = seen["cell"]
    transfer = pd.read_csv(run / "report" / "transfer.csv").set_index(["source", "target"])
    assert f"{100 * transfer.loc[(source, target), 'accuracy']:.1f}" in text
    assert f"\n{NUM_QUESTIONS}\n" in text.replace("\n\n", "\n")
    assert "among the sources of this target" in text
    chosen, again, num_trials = seen["chosen"]
    assert chosen != source, "the keyboard reaches every other cell"
    assert again != text
    assert num_trials == 1, "the source was trained on alone once"


def test_evidence_leaves_out_what_does_not_exist(seen: dict[str, Any]) -> None:
    assert "in domain" in seen["own key"]
    assert "among the sources of this target" not in seen["own key"]
    assert seen["without a row"] == 0, "no link leads nowhere"


def test_pairs_are_filtered_by_what_they_share(seen: dict[str, Any], run: RunDir) -> None:
    transfer = pd.read_csv(run / "report" / "transfer.csv", keep_default_na=False)
    assert seen["filtered"] == (~transfer["shared_elements"].str.contains("modality")).sum() > 0


def test_the_way_to_perfect_stands_beside_the_gain(seen: dict[str, Any], run: RunDir) -> None:
    transfer = pd.read_csv(run / "report" / "transfer.csv")
    shown = {points(value) for value in transfer["normalised_gain"]}
    assert len(seen["way"]) == len(transfer)
    assert {text.strip("()†") for text in seen["way"]} <= shown


def test_the_matrix_can_be_downloaded(seen: dict[str, Any], run: RunDir) -> None:
    lines = seen["download"].splitlines()
    assert len(lines) == 1 + len(pd.read_csv(run / "report" / "transfer.csv"))
