"""The dashboard's expressions against a real Prometheus that scrapes a real cluster on which a real study runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.deploy.test_monitoring import ALERTS, expressions
from tests.makers.ray_head import HeadNode, free_ports
from tests.studies.tiny_study import STUDY, command, trial_records, write_study

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed (Debian: prometheus)"),
]
LEFT_OUT = ("confirm.enabled=false", "transfer.enabled=false")
# Half of its trials diverge, for the panel of failures.
CHANGES: dict[str, Any] = {
    "recipe": {"num_steps": 20, "batch_size": 4},
    "space": STUDY["space"] | {"recipe": {"learning_rate": [0.005, 1.0e12]}},
    "strategy": {"name": "random", "num_trials": 6},
    "execution": {"num_workers": 1, "max_concurrent": 1, "pack": 1, "prices": {"cpu": 3.6}, "currency": "EUR"},
}
PORT = """
import sys, ray
ray.init(address=sys.argv[1], logging_level="error", log_to_driver=False)
print(ray.nodes()[0]["MetricsExportPort"])
"""


# A driver without a study, which shows its rows once, as a study does, and ends when it is told to.
DRIVER = """
import sys
from cluster.connect import connect, disconnect
from cluster.metrics import StudyMetrics
connect(sys.argv[1])
metrics = StudyMetrics(sys.argv[2], ["t"])
metrics.set_rows(num_kept=1, num_quarantined=0)
sys.stdin.readline()
metrics.close(has_ended=True)
disconnect()
"""
FORGOTTEN_S = 30.0  # a node forgets a gauge that is told no more after two reports of 10 s


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """A Prometheus that scrapes one node every second; its address."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    job = {"job_name": "ray", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
    config = {"global": {"evaluation_interval": "1s"}, "rule_files": [str(ALERTS)], "scrape_configs": [job]}
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    process = subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL)
    try:
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def result_of(address: str, expression: str) -> list[dict[str, Any]]:
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{address}/api/v1/query?{query}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found
    except OSError:
        return []  # it is starting


def shown_during(study: subprocess.Popen[bytes], address: str) -> dict[str, list[dict[str, Any]]]:
    """The last that each panel showed of a study while it ran; the head has seen others."""
    asked = {label: expression.replace('study=~".*"', 'study=~"tiny"') for label, expression in expressions()}
    found: dict[str, list[dict[str, Any]]] = {}
    while study.poll() is None:
        shown = {label: result_of(address, expression) for label, expression in asked.items()}
        found |= {label: series for label, series in shown.items() if series}
        time.sleep(0.5)
    return found


def metrics_port(head: HeadNode) -> int:
    asked = [sys.executable, "-c", PORT, head.gcs_address]
    return int(subprocess.run(asked, env=head.env, capture_output=True, text=True, check=True).stdout.split()[-1])


def test_every_panel_has_data_of_a_real_study(head: HeadNode, tmp_path: Path) -> None:
    port = metrics_port(head)
    file, run_dir = write_study(tmp_path, **CHANGES), tmp_path / "run"
    arguments = command("run", file, *LEFT_OUT, "--run-dir", run_dir, "--address", head.gcs_address)
    env = head.env | {"RAY_metrics_report_interval_ms": "500"}
    with (tmp_path / "log").open("wb") as log, prometheus(tmp_path, f"127.0.0.1:{port}") as address:
        study = subprocess.Popen(arguments, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            found = shown_during(study, address)
        finally:
            study.kill()
        assert study.wait() == 0, (tmp_path / "log").read_text()
        trials = trial_records(run_dir)
        # The node keeps counters of a driver that has gone. Rates say less: trials may all end between two reports.
        num_steps = sum(trial["num_steps"] for trial in trials if not trial["reused"])
        num_samples = num_steps * CHANGES["recipe"]["batch_size"]
        wait_for(address, f'ray_recombine_samples_trained_total{{study="tiny"}} == {num_samples}', {"tiny"})
    assert set(found) == {label for label, _ in expressions()}
    assert {series["metric"]["study"] for shown in found.values() for series in shown} == {"tiny"}
    scores = [score for trial in trials for score in trial["evaluations"] if score["split"] == "search"]
    for series in found["Best accuracy by target A"]:
        assert float(series["value"][1]) in {
            s["accuracy"] for s in scores if s["eval_set"] == series["metric"]["target"]
        }
    assert {series["metric"]["state"] for series in found["Early stops and failures A"]} == {"diverged"}
    (cost,), (hours,) = found["Cost and slot hours so far A"], found["Cost and slot hours so far B"]
    assert cost["metric"]["currency"] == "EUR"
    assert 0 < float(cost["value"][1]) <= 3.6 * compute_busy_h(trials) + 1e-9
    assert float(hours["value"][1]) > 0


def compute_busy_h(trials: list[dict[str, Any]]) -> float:
    """Hours of the trials at work, each training once."""
    by_training = {trial["train_id"]: trial for trial in trials if not trial["reused"]}
    return sum(float(s) for t in by_training.values() for phase, s in t["seconds"].items() if phase != "queue") / 3600


def studies_of(address: str, expression: str) -> set[str]:
    return {series["metric"]["study"] for series in result_of(address, expression)}


def wait_for(address: str, expression: str, studies: set[str]) -> None:
    deadline = time.monotonic() + 120
    while (found := studies_of(address, expression)) != studies:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def test_a_driver_that_dies_is_told_and_one_that_ends_is_not(head: HeadNode, tmp_path: Path) -> None:
    names = {"ends", "dies"}
    with prometheus(tmp_path, f"127.0.0.1:{metrics_port(head)}") as address, ExitStack() as stack:
        drivers = {}
        for name in names:
            driver = subprocess.Popen(
                [sys.executable, "-c", DRIVER, head.gcs_address, name], env=head.env, stdin=subprocess.PIPE, text=True
            )
            drivers[name] = stack.enter_context(driver)
            stack.callback(drivers[name].kill)
        wait_for(address, "ray_recombine_rows", names)
        time.sleep(FORGOTTEN_S)
        assert studies_of(address, "ray_recombine_rows") == names
        assert not studies_of(address, "ALERTS")
        drivers["ends"].communicate("\n")
        assert drivers["ends"].returncode == 0
        drivers["dies"].kill()
        wait_for(address, "ray_recombine_rows", set())
        wait_for(address, 'ALERTS{alertname="RecombineStudyLeft", alertstate="pending"}', {"dies"})
