from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from annotated_types import MaxLen

from cluster.errors import ClusterError
from cluster.metrics import MOST_TARGETS, TRIAL_STATES, StudyMetrics, _check_targets
from datasets_spec.catalog.spec import SubsetSpec
from tests.makers.ray_head import HeadNode

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, time, urllib.request
from cluster.connect import connect, disconnect
from cluster.metrics import StudyMetrics
connect(sys.argv[1])
import ray
metrics = StudyMetrics("my-study", ["lung_ct.v1"])
metrics.set_running(3)
metrics.set_slots(num_wanted=8, num_ready=5, num_busy=4)
metrics.set_queue(num_waiting=2, num_retried=1, num_handed_over=6)
metrics.set_rows(num_kept=90, num_quarantined=10)
metrics.set_ended({"finished": 2, "oom": 1})
metrics.count_trained(num_samples=100, num_tokens=2500, train_s=4.0)
metrics.count_trained(num_samples=100, num_tokens=0, train_s=8.0)
metrics.set_spent(busy_h=1.0, cost=None, currency="")
metrics.set_spent(busy_h=1.5, cost=4.5, currency="EUR")
metrics.set_best_accuracy("lung_ct.v1", 0.625)
port = ray.nodes()[0]["MetricsExportPort"]
deadline = time.monotonic() + 40

def read(awaited):
    text = ""
    while awaited not in text and time.monotonic() < deadline:
        time.sleep(0.5)
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    return text

read("best_accuracy")
metrics.close(has_ended=True)
disconnect()
print("\\n".join(line for line in read("ended_at").splitlines() if line.startswith("ray_recombine")))
"""


@pytest.mark.ray
def test_metrics_reach_the_nodes_exporter(head: HeadNode) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, head.gcs_address],
        env=head.env | {"PYTHONPATH": str(REPOSITORY), "RAY_metrics_report_interval_ms": "500"},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert all('study="my-study"' in line for line in done.stdout.splitlines())
    values = {}
    for line in done.stdout.splitlines():
        name, _, rest = line.partition("{")
        labels, _, value = rest.rpartition("} ")
        tags = sorted(label for label in labels.split(",") if label.startswith(("state=", "target=", "currency=")))
        values[" ".join([name, *tags])] = float(value.split()[0])
    assert values['ray_recombine_best_accuracy target="lung_ct.v1"'] == 0.625
    assert values["ray_recombine_trials_running"] == 3
    assert values["ray_recombine_trials_waiting"] == 2
    assert values["ray_recombine_trials_retried"] == 1
    assert values["ray_recombine_trials_handed_over"] == 6
    assert values["ray_recombine_slot_hours"] == 1.5
    assert values['ray_recombine_cost currency="EUR"'] == 4.5
    assert sum(name.startswith("ray_recombine_cost") for name in values) == 1  # without prices there is none
    for state, number in (("busy", 4), ("idle", 1), ("missing", 3)):
        assert values[f'ray_recombine_slots state="{state}"'] == number
    for state, number in (("kept", 90), ("quarantined", 10)):
        assert values[f'ray_recombine_rows state="{state}"'] == number
    assert values["ray_recombine_samples_per_s"] == 12.5
    assert values["ray_recombine_samples_trained_total"] == 200
    assert values["ray_recombine_tokens_trained_total"] == 2500
    for state in TRIAL_STATES:
        assert values[f'ray_recombine_trials_ended state="{state}"'] == {"finished": 2, "oom": 1}.get(state, 0)
    assert 0 < values["ray_recombine_began_at_s_total"] < values["ray_recombine_ended_at_s_total"] <= time.time()


def test_needs_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # another test's may be open
    with pytest.raises(ClusterError, match="connection"):
        StudyMetrics("study", ["a"])


def test_every_name_that_a_catalog_allows_can_be_a_tag() -> None:
    (longest,) = (rule.max_length for rule in SubsetSpec.model_fields["name"].metadata if isinstance(rule, MaxLen))
    _check_targets(["a" * longest])
    with pytest.raises(ClusterError, match=f"at most {longest}"):
        _check_targets(["a" * (longest + 1)])


@pytest.mark.parametrize("name", ["Patient 7, John", "", "a" * 101, 'a"b', "ünder"])
def test_nothing_but_names_of_subsets_becomes_a_tag(name: str) -> None:
    with pytest.raises(ClusterError, match="not the name") as caught:
        _check_targets(["fine", name])
    assert not name or name not in str(caught.value)


def test_number_of_time_series_is_bounded() -> None:
    _check_targets([f"t{i}" for i in range(MOST_TARGETS)])
    with pytest.raises(ClusterError, match="too many"):
        _check_targets([f"t{i}" for i in range(MOST_TARGETS + 1)])


def test_states_are_those_of_a_trial() -> None:
    from search.vocabulary import Status

    assert set(TRIAL_STATES) == {status.value for status in Status}
