from __future__ import annotations

import json
from pathlib import Path

from search.report.run_files import load_run
from search.report.sections.blind import compute_blind
from search.report.write import write_report
from search.study.run_dir import RunDir
from tests.search.report.fixture_run import write_run


def test_blind_rules_stand_beside_every_evaluation_set(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    path = run_dir / "run.json"
    info = json.loads(path.read_text())
    figures = {"num_closed": 40, "num_open": 2, "chance": 0.5, "constant_letter": 0.55, "longest_option": None}
    path.write_text(json.dumps(info | {"blind": {"a": figures}}))
    (row,) = compute_blind(load_run(RunDir(run_dir)))
    assert (row.name, row.num_closed, row.num_open) == ("a", "40", "2")
    assert "50" in row.chance
    assert "55" in row.constant_letter
    assert row.longest_option == row.shortest_option == "–"


def test_words_alone_stand_with_their_interval_and_the_best_rule_is_named(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    path = run_dir / "run.json"
    info = json.loads(path.read_text())
    words = {"accuracy": 0.61, "low": 0.5, "high": 0.7, "num_questions": 40, "num_clusters": 9, "num_trained": 80}
    figures = {
        "letters": {"num_closed": 40, "num_open": 0, "chance": 0.5, "constant_letter": 0.55, "words": words},
        "boxes": {"num_closed": 0, "num_open": 0, "num_box": 30, "constant": {"box": 0.2}},
    }
    path.write_text(json.dumps(info | {"blind": figures}))
    letters, boxes = compute_blind(load_run(RunDir(run_dir)))
    assert letters.words == "61.0\u00a0%"
    assert letters.words_interval.startswith("50.0")
    assert letters.num_clusters == "9"
    assert letters.best == "61.0\u00a0% (words alone)"
    assert (boxes.words, boxes.num_box, boxes.best) == ("–", "30", "20.0\u00a0% (one box to all)")


def test_the_page_shows_them_beside_the_result(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    path = run_dir / "run.json"
    info = json.loads(path.read_text())
    name = info["targets"][0]
    words = {"accuracy": 0.61, "low": 0.5, "high": 0.7, "num_questions": 40, "num_clusters": 9, "num_trained": 80}
    figures = {name: {"num_closed": 40, "num_open": 0, "chance": 0.5, "constant_letter": 0.55, "words": words}}
    path.write_text(json.dumps(info | {"blind": figures}))
    page = write_report(RunDir(run_dir)).read_text()
    estimates = page[page.index("Estimated accuracy of the selected mix") : page.index("</section>")]
    assert "without the image" in estimates
    assert "61.0\u00a0% (words alone)" in estimates
    assert "cluster" in page[page.index('id="blind"') :]
    assert "Accuracy on <code>confirm</code> of rules" in page  # a study of before, which knows no other

    sealed = {name: figures[name] | {"words": words | {"accuracy": 0.72}}}
    path.write_text(json.dumps(info | {"blind": figures, "blind_sealed": sealed}))
    page = write_report(RunDir(run_dir)).read_text()
    assert "Estimated accuracy of the selected mix (sealed)" in page
    assert "72.0\u00a0% (words alone)" in page
    assert "Accuracy on <code>sealed</code> of rules" in page
