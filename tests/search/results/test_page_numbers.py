"""Each number that a reader sees on the page stands in a data file beside it, or counts or adds up what is there."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import yaml

from search.evidence.explain.effects import COVERAGE_IN_PRACTICE
from search.report.wording import duration
from search.study.run_dir import RunDir

NUMBER = re.compile(r"(?<![\w.,#-])[−+-]?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w])")
HIDDEN = {"script", "style", "title"}
# Numbers of our own sentences, which no study decides: levels, powers, thresholds, lengths.
OF_SENTENCES = {"95", "80", "0.001", "0.5", "0", "1", "5", "10", "100", *NUMBER.findall(COVERAGE_IN_PRACTICE)}


class _Text(HTMLParser):
    """The text that is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in HIDDEN
        self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in HIDDEN
        self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)


def shown_numbers(page: str) -> dict[str, str]:
    """Each number of the page's text, with the words around it."""
    parser = _Text()
    parser.feed(page)
    text = " ".join("".join(parser.pieces).split()).replace("\u202f", "")
    return {
        found[0].lstrip("+−-"): text[max(0, found.start() - 60) : found.end() + 30] for found in NUMBER.finditer(text)
    }


def stored_values(run_dir: RunDir) -> Iterator[Any]:
    for name in ("run.json", "selection/selection.json", "report/findings.json", "report/explanation.json"):
        if (run_dir / name).is_file():
            yield from leaves(json.loads((run_dir / name).read_text()))
    yield from leaves(yaml.safe_load((run_dir / "study.resolved.yaml").read_text()))
    trials = pd.read_parquet(run_dir / "report/trials.parquet")
    transfer = pd.read_csv(run_dir / "report/transfer.csv")
    for frame in (trials, transfer):
        yield from leaves(json.loads(frame.to_json(orient="records")))
        yield len(frame)
    yield from derived(trials)


def derived(trials: pd.DataFrame) -> Iterator[Any]:
    """What the page counts and adds up."""
    heads = trials.drop_duplicates("train_id")
    yield len(heads)
    yield from heads["status"].value_counts()
    yield heads["train_s"].sum()
    for composition in heads["composition"]:
        yield sum(json.loads(composition).values())


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield len(value)
        for name, entry in value.items():
            yield name
            yield from leaves(entry)
    elif isinstance(value, list):
        yield len(value)
        for entry in value:
            yield from leaves(entry)
    else:
        yield value


def written_forms(value: Any) -> Iterator[str]:
    """How the page may write a value."""
    if isinstance(value, str):
        yield from (found.lstrip("+−-") for found in NUMBER.findall(value))
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        size = abs(float(value))
        yield from (
            f"{100 * size:.1f}",
            f"{100 * size:.0f}",
            f"{size:.1f}",
            f"{size:.2f}",
            f"{size:.3f}",
            f"{size:.3g}",
        )
        yield from (str(abs(value)), f"{size:.0f}", *NUMBER.findall(duration(size)))


def unknown_numbers(run_dir: RunDir) -> dict[str, str]:
    known = {form for value in stored_values(run_dir) for form in written_forms(value)} | OF_SENTENCES
    page = (run_dir / "report/index.html").read_text(encoding="utf-8")
    return {number: place for number, place in shown_numbers(page).items() if number not in known}


def test_each_number_of_the_page_is_in_a_data_file(finished_dir: RunDir) -> None:
    page = (finished_dir / "report/index.html").read_text(encoding="utf-8")
    assert len(shown_numbers(page)) > 60
    assert unknown_numbers(finished_dir) == {}


def test_a_shown_accuracy_that_was_changed_is_found(finished_dir: RunDir) -> None:
    selection = json.loads((finished_dir / "selection/selection.json").read_text())
    accuracy = 100 * selection["estimates"]["sealed"][0]["accuracy"]
    shown = re.compile(rf"(?<![\d.]){accuracy:.1f}(?![\d.])")
    page = finished_dir / "report/index.html"
    text = page.read_text(encoding="utf-8")
    assert f"{accuracy:.1f}" in shown_numbers(text)
    changed = [f"{accuracy + tenths / 10:.1f}" for tenths in range(-10, 11) if tenths]
    found = set()
    try:
        for number in changed:
            page.write_text(shown.sub(number, text), encoding="utf-8")
            found |= set(unknown_numbers(finished_dir)) & {number}
    finally:
        page.write_text(text, encoding="utf-8")
    # A few may be other figures of the study by chance.
    assert len(found) >= 0.8 * len(changed), sorted(set(changed) - found)


def test_a_number_that_is_in_no_file_is_found(finished_dir: RunDir) -> None:
    page = finished_dir / "report/index.html"
    text = page.read_text(encoding="utf-8")
    try:
        page.write_text(text.replace("</main>", "<p>A gain of 87.65 points.</p></main>"), encoding="utf-8")
        assert set(unknown_numbers(finished_dir)) == {"87.65"}
    finally:
        page.write_text(text, encoding="utf-8")
