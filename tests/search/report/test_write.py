from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from search.report.write import write_report
from search.study.run_dir import RunDir
from tests.search.report.fixture_run import write_run

HOSTILE = {
    "ct-brain-size": "</script><script>window.pwned=1</script>",
    "mri-brain-presence": '"><img src=x onerror=window.pwned=1>',
    "us-liver-location": "=HYPERLINK(\"http://evil.invalid\",'x')",
    "mri-brain-size": "<!--<script>{{ 7*7 }}'`${window.pwned=1}",
}
FIGURES = ("transfer", "cost", "progress", "comparisons", "arms", "effects", "reliability")
REASONS = {"<svg onload=window.pwned=1>": 2, "=1+1": 1}


class _Page(HTMLParser):
    """Collects what a browser would make active: elements, event attributes, addresses, script texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.events: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.events += [name for name, _ in attrs if name.startswith("on")]
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]


def parse(page: Path) -> _Page:
    parser = _Page()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_a_finished_run_gets_a_page_and_files(finished_run: Path) -> None:
    page = write_report(RunDir(finished_run))
    assert page == finished_run / "report" / "index.html"
    report = finished_run / "report"
    names = {str(path.relative_to(report)) for path in report.rglob("*") if path.is_file()}
    assert names == {
        "index.html", "transfer.md", "transfer.tex", "trials.md", "trials.parquet", "transfer.csv",
        "findings.json", "explanation.json", "trial_classes.parquet", "appendix.md", "appendix.tex",
        *(f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "pdf")),
    }  # fmt: skip
    parsed = parse(page)
    assert all(address.startswith(("#", "data:")) for address in parsed.addresses)
    assert page.stat().st_size < 2_000_000, "it travels by mail"


def test_pages_and_pictures_are_the_same_every_time(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    first, again = _bytes(run), _bytes(run)
    assert [name for name in first if first[name] != again[name]] == []
    assert first["figures/transfer.pdf"].startswith(b"%PDF-")


def _bytes(run: Path) -> dict[str, bytes]:
    report = write_report(RunDir(run), is_flat=True).parent
    return {path.relative_to(report).as_posix(): path.read_bytes() for path in report.rglob("*") if path.is_file()}


def test_hostile_names_become_text(tmp_path: Path) -> None:
    plain = parse(write_report(RunDir(write_run(tmp_path / "plain"))))
    page = write_report(RunDir(write_run(tmp_path / "hostile", rename=HOSTILE, reasons=REASONS)))
    hostile = parse(page)
    assert hostile.events == []
    for tag in ("script", "img", "svg", "iframe", "a"):
        assert hostile.tags.count(tag) == plain.tags.count(tag), tag
    text = page.read_text(encoding="utf-8")
    assert "&lt;/script&gt;" in text
    assert "{{ 7*7 }}" in text, "names are not templates"


@pytest.mark.parametrize(
    "missing",
    [
        ("selection/selection.json",),
        ("run.json",),
        ("study.resolved.yaml",),
        ("report/transfer.csv",),
        ("report/trials.parquet",),
        ("selection/selection.json", "report/transfer.csv", "report/trials.parquet"),
        ("run.json", "selection/selection.json", "report/transfer.csv", "report/trials.parquet"),
    ],
)
def test_a_killed_run_has_a_page_that_says_what_is_not_there(tmp_path: Path, missing: tuple[str, ...]) -> None:
    run = write_run(tmp_path / "run")
    for name in missing:
        (run / name).unlink()
    text = write_report(RunDir(run)).read_text(encoding="utf-8")
    assert "Not there yet: " + ", ".join(name for name in _in_order(missing)) in text
    if "report/transfer.csv" in missing:
        assert "No subset has been measured alone yet" in text


def _in_order(missing: tuple[str, ...]) -> list[str]:
    order = [
        "run.json",
        "study.resolved.yaml",
        "selection/selection.json",
        "report/trials.parquet",
        "report/transfer.csv",
    ]
    return [name for name in order if name in missing]


def test_only_failed_trials_is_a_page_too(tmp_path: Path) -> None:
    import pandas as pd

    run = write_run(tmp_path / "run")
    path = run / "report" / "trials.parquet"
    trials = pd.read_parquet(path)
    trials[trials["status"] != "finished"].to_parquet(path)
    (run / "selection" / "selection.json").unlink()
    text = write_report(RunDir(run)).read_text(encoding="utf-8")
    assert "No answer yet." in text
    assert "Failed (2)" in text


def test_a_page_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run")
    before = write_report(RunDir(run)).read_bytes()
    (run / "run.json").write_text("{")
    with pytest.raises(Exception, match=r"run\.json"):
        write_report(RunDir(run))
    assert (run / "report" / "index.html").read_bytes() == before
    assert not list((run / "report").rglob("*.tmp"))
