"""The dashboard: every expression evaluated by Prometheus' own tool on series as a study exports them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

MONITORING = Path(__file__).resolve().parents[3] / "cluster" / "deploy" / "monitoring"
METRICS = (MONITORING.parents[1] / "metrics.py").read_text(encoding="utf-8")
DASHBOARD = json.loads((MONITORING / "recombine_grafana_dashboard.json").read_text(encoding="utf-8"))
ALERTS = MONITORING / "alerts.yaml"
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing (Debian: prometheus)")

# A study of four hours, a sample a minute; trials ended until the second hour. `a+bxn`: begins with a, adds b n times.
SERIES = {
    'ray_recombine_trials_ended{study="s", state="finished"}': "0+1x120 120x120",
    'ray_recombine_trials_ended{study="s", state="failed"}': "0+1x120 120x120",
    'ray_recombine_trials_ended{study="s", state="oom"}': "0x240",
    'ray_recombine_trials_running{study="s"}': "2x240",
    'ray_recombine_trials_waiting{study="s"}': "3x240",
    'ray_recombine_trials_retried{study="s"}': "0x60 10x180",
    'ray_recombine_trials_handed_over{study="s"}': "4x240",
    'ray_recombine_slots{study="s", state="busy"}': "2x120 0x120",
    'ray_recombine_slots{study="s", state="idle"}': "2x120 0x120",
    'ray_recombine_slots{study="s", state="missing"}': "4x240",
    'ray_recombine_samples_trained_total{study="s"}': "0+600x240",
    'ray_recombine_tokens_trained_total{study="s"}': "0+6000x240",
    'ray_recombine_slot_hours{study="s"}': "1.5x240",
    'ray_recombine_cost{study="s", currency="EUR"}': "3x240",
    'ray_recombine_best_accuracy{study="s", target="t"}': "0.5x240",
    'ray_recombine_began_at_s_total{study="s"}': "1000x240",
    'ray_recombine_ended_at_s_total{study="s"}': "_x239 15000",
    'ray_recombine_rows{study="s", state="kept"}': "90x240",
    'ray_recombine_rows{study="s", state="quarantined"}': "10x240",
}
# Panel and letter: what it shows after an hour, by the labels that are left.
SHOWN: dict[str, dict[str, float]] = {
    "Trials by state A": {'{state="failed", study="s"}': 60, '{state="finished", study="s"}': 60},
    "Trials by state B": {'{study="s"}': 2},
    "Trials by state C": {'{study="s"}': 3},
    "Best accuracy by target A": {'{study="s", target="t"}': 0.5},
    "Slots A": {f'{{state="{state}", study="s"}}': n for state, n in (("busy", 2), ("idle", 2), ("missing", 4))},
    "Slot use A": {'{study="s"}': 0.5},
    "Samples and tokens a second A": {'{study="s"}': 10},
    "Samples and tokens a second B": {'{study="s"}': 100},
    "Retries and hand-overs A": {'{study="s"}': 0},
    "Retries and hand-overs B": {'{study="s"}': 4},
    "Early stops and failures A": {'{state="failed", study="s"}': 60},
    "Rows set aside A": {'{study="s"}': 0.1},
    "Cost and slot hours so far A": {'{currency="EUR", study="s"}': 3},
    "Cost and slot hours so far B": {'{study="s"}': 1.5},
}


def expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"].replace("$study", ".*")


def promtool(folder: Path, tests: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    (folder / "tests.yaml").write_text(yaml.safe_dump(tests))
    return subprocess.run(
        ["promtool", "test", "rules", str(folder / "tests.yaml")], capture_output=True, text=True, check=False
    )


def test_every_metric_that_is_shown_or_watched_is_exported() -> None:
    exported = set(re.findall(r'self\._(?:gauge|counter)\(\s*"(\w+)"', METRICS))
    counters = set(re.findall(r'self\._counter\("(\w+)"', METRICS))
    named = {f"{name}_total" if name in counters else name for name in exported}
    text = ALERTS.read_text() + " ".join(expression for _, expression in expressions())
    used = set(re.findall(r"ray_recombine_(\w+)", text))
    assert used <= named
    assert named - used == {"samples_per_s"}  # of one trial only; the README names it
    assert {key.partition("{")[0].removeprefix("ray_recombine_") for key in SERIES} == used


def test_every_panel_says_what_it_shows() -> None:
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(set(titles)) == len(titles)
    assert all(panel["description"] for panel in DASHBOARD["panels"])
    places = [tuple(panel["gridPos"][key] for key in "xy") for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert {label for label, _ in expressions()} == set(SHOWN)


@needs_promtool
def test_every_panel_shows_what_it_says(tmp_path: Path) -> None:
    series = [{"series": name, "values": values} for name, values in SERIES.items()]
    samples = [
        {
            "expr": expression,
            "eval_time": "1h",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in SHOWN[label].items()],
        }
        for label, expression in expressions()
    ]
    done = promtool(tmp_path, {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": samples}]})
    assert done.returncode == 0, done.stdout + done.stderr
