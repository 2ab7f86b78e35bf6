"""The dashboard's expressions against a real Prometheus that scrapes a real cluster with a study's metrics on it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.deploy.test_monitoring import ALERTS, expressions
from tests.makers.ray_head import HeadNode, free_ports

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed (Debian: prometheus)"),
]
REPOSITORY = Path(__file__).resolve().parents[3]
STUDY = """
import sys, time
from cluster.connect import connect
from cluster.metrics import StudyMetrics
connect(sys.argv[1])
import ray
metrics = StudyMetrics("my-study", ["lung"])
metrics.set_running(2)
metrics.set_slots(num_wanted=4, num_ready=3, num_busy=2)
metrics.set_queue(num_waiting=5, num_retried=1, num_handed_over=1)
metrics.set_rows(num_kept=90, num_quarantined=10)
metrics.set_best_accuracy("lung", 0.75)
print(ray.nodes()[0]["MetricsExportPort"], flush=True)
while True:
    metrics.count_ended("finished", num_samples=100, train_s=4.0, score_s=1.0)
    metrics.count_ended("failed")
    time.sleep(1)
"""


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """A Prometheus that scrapes one node every second; its address."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    job = {"job_name": "ray", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
    config = {"rule_files": [str(ALERTS)], "scrape_configs": [job]}
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


def test_every_panel_has_data_of_a_real_study(head: HeadNode, tmp_path: Path) -> None:
    env = head.env | {"PYTHONPATH": str(REPOSITORY), "RAY_metrics_report_interval_ms": "500"}
    with subprocess.Popen(
        [sys.executable, "-c", STUDY, head.gcs_address], env=env, stdout=subprocess.PIPE, text=True
    ) as study:
        assert study.stdout is not None
        port = int(study.stdout.readline())
        wanted, deadline = dict(expressions()), time.monotonic() + 120
        found: dict[str, list[dict[str, Any]]] = {}
        try:
            with prometheus(tmp_path, f"127.0.0.1:{port}") as address:
                while len(found) < len(wanted) and time.monotonic() < deadline:
                    shown = {label: result_of(address, wanted[label]) for label in set(wanted) - set(found)}
                    found |= {label: series for label, series in shown.items() if series}
                    time.sleep(1)
        finally:
            study.kill()
    assert set(found) == set(wanted)
    assert {series["metric"]["study"] for shown in found.values() for series in shown} == {"my-study"}
    assert [series["value"][1] for series in found["Best accuracy by target A"]] == ["0.75"]
    assert float(found["Samples a second A"][0]["value"][1]) > 0
