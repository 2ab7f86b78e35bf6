"""What a reader opens, chooses and downloads on the page, in headless Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from search.report.wording import points
from search.study.run_dir import RunDir
from tests.makers.chromium import find_chromium, visit_page
from tests.search.report.fixture_run import NUM_QUESTIONS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

# Each is evaluated in the page of one visit, in this order; "wait" lets unpacking and drawing end.
WAIT = "await new Promise(r => setTimeout(r, 300));"
FIRST = "document.querySelector('#all-trials tbody tr[data-trial]')"
ASKED: dict[str, str] = {
    "closed": f"{FIRST}.querySelector('.opener').getAttribute('aria-expanded')",
    "clicked": f"(async () => {{ {FIRST}.cells[2].click(); {WAIT} return"
    f" [...{FIRST}.nextElementSibling.querySelectorAll('h3')].map(e => e.textContent); }})()",
    "expanded": f"{FIRST}.querySelector('.opener').getAttribute('aria-expanded')",
    "controlled": f"{FIRST}.nextElementSibling.id === {FIRST}.querySelector('.opener').getAttribute('aria-controls')",
    "sorted": "(() => { document.querySelector('#all-trials th button').click();"
    " return document.querySelectorAll('.opened, [aria-expanded=true]').length; })()",
    "by link": "(async () => { const id = [...document.querySelectorAll('#all-trials tr[data-trial]')]"
    f".find(r => r.cells[1].textContent === 'single subset').id; location.hash = '#' + id; {WAIT}"
    " return [document.activeElement.className, document.getElementById(id).nextElementSibling.className]; })()",
    "cell": "(async () => { const mark = document.querySelector("
    "'[data-chart=transfer] svg .mark-rect.role-mark path:nth-child(5)'); const box = mark.getBoundingClientRect();"
    " for (const type of ['pointermove', 'pointerdown', 'pointerup', 'click']) mark.dispatchEvent(new MouseEvent(type,"
    " {bubbles: true, clientX: box.x + 5, clientY: box.y + 5}));"
    f" {WAIT} return [document.getElementById('evidence-source').value,"
    " document.getElementById('evidence-target').value,"
    " document.getElementById('evidence-cell').innerText]; })()",
    "chosen": "(async () => { const choice = document.getElementById('evidence-source');"
    " choice.value = choice.options[0].value; choice.dispatchEvent(new Event('change'));"
    f" {WAIT} return [choice.value, document.getElementById('evidence-cell').innerText]; }})()",
    "filtered": "(async () => { const choice = document.querySelector('[data-chart=transfer] select');"
    " choice.value = 'modality'; choice.dispatchEvent(new Event('change', {bubbles: true}));"
    f" {WAIT} {WAIT} return [...document.querySelectorAll('[data-chart=transfer] svg .mark-rect.role-mark path')]"
    ".filter(e => e.getAttribute('opacity') === '0.04').length; })()",
    "way": "(async () => { document.querySelector('[data-chart=transfer] input[value=way]').click();"
    f" {WAIT} {WAIT} return [...document.querySelectorAll('[data-chart=transfer] svg .mark-text.role-mark text')]"
    ".map(e => e.textContent); })()",
    "download": "(async () => { let told; const make = URL.createObjectURL;"
    " URL.createObjectURL = blob => { told = blob; return make(blob); };"
    f" document.querySelector('[data-download=\"transfer.csv\"]').click(); {WAIT} return await told.text(); }})()",
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
    chosen, again = seen["chosen"]
    assert chosen != source, "the keyboard reaches every other cell"
    assert again != text
    assert "Trials: " in text


def test_pairs_are_filtered_by_what_they_share(seen: dict[str, Any], run: RunDir) -> None:
    transfer = pd.read_csv(run / "report" / "transfer.csv", keep_default_na=False)
    assert seen["filtered"] == (~transfer["shared_elements"].str.contains("modality")).sum() > 0


def test_the_way_to_perfect_stands_beside_the_gain(seen: dict[str, Any], run: RunDir) -> None:
    transfer = pd.read_csv(run / "report" / "transfer.csv")
    shown = {points(value) for value in transfer["normalised_gain"]}
    assert {text.strip("()") for text in seen["way"]} <= shown


def test_the_matrix_can_be_downloaded(seen: dict[str, Any], run: RunDir) -> None:
    lines = seen["download"].splitlines()
    assert len(lines) == 1 + len(pd.read_csv(run / "report" / "transfer.csv"))
