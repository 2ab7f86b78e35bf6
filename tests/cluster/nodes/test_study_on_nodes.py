"""A study on several nodes of one host that come, go and die: the outcome is that of an undisturbed run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from search.ledger.ledger import Ledger
from search.ledger.records import Kind
from tests.makers.ray_head import HeadNode, end_marked, wait_until_gone
from tests.makers.ray_nodes import RayNodes, has_slot, slower_than_idle, start_nodes
from tests.studies.tiny_study import (
    command,
    comparable_trials,
    environment,
    first_trials,
    trial_records,
    write_study,
)

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(1800)]

LEFT_OUT = ("confirm.enabled=false", "transfer.enabled=false")
NUM_TRIALS = 6
# Steps of a trial: long enough that each is in the midst of one when its node goes.
EXECUTION = {"num_workers": 1, "max_concurrent": 2, "pack": 1, "checkpoint_s": 0.5}
# A strategy that says of each proposal how many results it has seen.
STRATEGY = {"name": "optuna-tpe", "num_trials": NUM_TRIALS}
CHANGES = {"recipe": {"num_steps": 300, "batch_size": 4}, "strategy": STRATEGY}
DRAIN = """
import sys, time, ray
from ray._raylet import GcsClient
from ray.core.generated import autoscaler_pb2
ray.init(address=sys.argv[1], logging_level="error")
(node,) = [n["NodeID"] for n in ray.nodes() if n["NodeManagerAddress"] == sys.argv[2] and n["Alive"]]
reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
print(GcsClient(address=sys.argv[1]).drain_node(node, reason, "reclaimed", int((time.time() + 60) * 1000)))
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), **CHANGES, execution=EXECUTION)


@pytest.fixture(scope="module")
def calm(study: Path) -> pd.DataFrame:
    """The trials of an undisturbed run on one machine."""
    run_dir = study.parent / "runs" / "calm"
    done = subprocess.run(
        command("run", study, *LEFT_OUT, "--run-dir", run_dir),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return comparable_trials(run_dir)


@contextmanager
def running(study: Path, run_dir: Path, nodes: RayNodes, *overrides: str) -> Iterator[subprocess.Popen[str]]:
    """The study on a cluster, in a process of its own."""
    log = run_dir.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        driver = subprocess.Popen(
            command("run", study, *LEFT_OUT, *overrides, "--run-dir", run_dir, "--address", nodes.head.gcs_address),
            env=nodes.env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def log_of(run_dir: Path) -> str:
    return run_dir.with_suffix(".log").read_text(errors="replace")


def wait_for(what: Callable[[], bool], driver: subprocess.Popen[str], run_dir: Path, timeout_s: float = 300.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert driver.poll() is None, log_of(run_dir)
        assert time.monotonic() < deadline, log_of(run_dir)
        time.sleep(0.1)


def is_under_way(run_dir: Path, num_ended: int = 2) -> Callable[[], bool]:
    """Whether so many trials have ended, and another is on its way."""
    return lambda: len(trial_records(run_dir)) >= num_ended


def check_outcome(run_dir: Path, calm: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(comparable_trials(run_dir), calm)
    roles = Counter((record["train_id"], record["stage"], record["arm"]) for record in trial_records(run_dir))
    assert max(roles.values()) == 1


def test_a_node_that_is_killed_and_one_that_is_drained_lose_nothing(study: Path, calm: pd.DataFrame) -> None:
    run_dir = study.parent / "runs" / "disturbed"
    with start_nodes(2, head_cpus=0) as nodes, running(study, run_dir, nodes) as driver:
        wait_for(is_under_way(run_dir), driver, run_dir)
        end_marked(nodes.marks[0])
        assert not wait_until_gone(nodes.marks[0])
        nodes.join()  # what comes in its place gets its slot
        wait_for(is_under_way(run_dir, 4), driver, run_dir)
        drained = [sys.executable, "-c", DRAIN, nodes.head.gcs_address, nodes.addresses[1]]
        told = subprocess.run(drained, env=nodes.env, capture_output=True, text=True, check=True).stdout
        assert "True" in told
        assert driver.wait(timeout=600) == 0, log_of(run_dir)
    check_outcome(run_dir, calm)
    assert "Traceback" not in log_of(run_dir)


def test_rows_of_the_only_node_are_made_anew_on_the_one_that_takes_its_place(study: Path, calm: pd.DataFrame) -> None:
    run_dir = study.parent / "runs" / "replaced"
    with start_nodes(1, head_cpus=0) as nodes, running(study, run_dir, nodes) as driver:
        wait_for(is_under_way(run_dir), driver, run_dir)
        end_marked(nodes.marks[0])
        wait_for(lambda: "it is started again" in log_of(run_dir), driver, run_dir)
        time.sleep(5)  # in which a slot that is started again has asked for a place
        nodes.join()
        assert driver.wait(timeout=300) == 0, log_of(run_dir)
    assert "kept vision features went with a node (blocks: " in log_of(run_dir)
    check_outcome(run_dir, calm)


def test_the_heads_death_ends_the_driver_and_another_cluster_goes_on(study: Path, calm: pd.DataFrame) -> None:
    run_dir = study.parent / "runs" / "headless"
    with start_nodes(1) as nodes, running(study, run_dir, nodes) as driver:
        wait_for(is_under_way(run_dir), driver, run_dir)
        end_marked(nodes.head.mark)
        died_at = time.monotonic()
        code = driver.wait(timeout=90)
        assert time.monotonic() - died_at <= 60
        assert code == 75, log_of(run_dir)
        assert "The same command on a new cluster goes on from there" in log_of(run_dir)
    before = {record["train_id"] for record in trial_records(run_dir)}
    with start_nodes(1) as nodes, running(study, run_dir, nodes) as driver:
        assert driver.wait(timeout=600) == 0, log_of(run_dir)
    assert before <= {record["train_id"] for record in trial_records(run_dir)}
    check_outcome(run_dir, calm)


def test_two_studies_share_a_cluster_a_node_joins_and_one_is_stopped(study: Path) -> None:
    first, second = (study.parent / "runs" / name for name in ("first", "second"))
    longer = "recipe.num_steps=800"  # the first is still at work when both of its slots are, and the second comes
    with start_nodes(1, head_cpus=0) as nodes:
        with running(study, first, nodes, longer) as one:
            wait_for(is_under_way(first), one, first)
            check_joining(nodes, one, first)
            check_names(nodes)
            nodes.join()
            with running(study, second, nodes, longer) as other:
                one.send_signal(signal.SIGTERM)
                stopped_at = time.monotonic()
                assert one.wait(timeout=60) == 128 + signal.SIGTERM, log_of(first)
                told("a study that is stopped has ended", time.monotonic() - stopped_at, aim_s=10)
                with running(study, first, nodes, longer) as again:
                    assert again.wait(timeout=900) == 0, log_of(first)
                assert other.wait(timeout=900) == 0, log_of(second)
        check_outcome(first, comparable_trials(second))


def told(what: str, seconds: float, *, aim_s: float) -> None:
    """Print what was measured, and hold it to its aim as far as the host's other work lets it."""
    bound_s = aim_s * slower_than_idle()
    sys.stdout.write(
        f"{what} after {seconds:.1f} s (aim {aim_s:g}, bound {bound_s:.0f}, load {os.getloadavg()[0]:.0f})\n"
    )
    assert seconds <= bound_s, what


def check_joining(nodes: RayNodes, driver: subprocess.Popen[str], run_dir: Path) -> None:
    """The second slot waits for the node that joins."""
    assert len(slots_of(run_dir)) == 1
    nodes.join()
    joined_at = time.time()
    wait_for(lambda: has_slot(nodes.marks[-1]), driver, run_dir)
    told("a node that joins is noticed", time.time() - joined_at, aim_s=10)
    wait_for(lambda: len(slots_of(run_dir)) == 2, driver, run_dir)
    told("and trains", max(first_trials(run_dir).values()) - joined_at, aim_s=90)


def check_names(nodes: RayNodes) -> None:
    """What Ray's dashboard shows of a study that runs: in the Train tab its slots, in the Actors tab its broker."""
    shown = "tiny-xray-lung-grading-and-1-more"
    found = {name for name in names_shown(nodes.head) if shown in name}
    kinds = {re.sub(r"-[0-9a-f]{8}$", "", name).removeprefix(f"{shown}-") for name in found}
    assert {"slot-0", "slot-1", "broker"} <= kinds, found


def names_shown(head: HeadNode) -> list[str]:
    """Names of Train runs and of actors, from where the dashboard's tabs have them."""

    def answer(path: str) -> Any:
        request = urllib.request.Request(head.address_http + path, headers={"Authorization": f"Bearer {head.token}"})
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    runs, actors = answer("/api/train/v2/runs/v1")["train_runs"], answer("/logical/actors")["data"]["actors"].values()
    return [str(entry["name"]) for entry in (*runs, *actors)]


def slots_of(run_dir: Path) -> set[str]:
    """The slots that have finished a trial of the study."""
    return set(first_trials(run_dir))


TWO_CPUS, GPU = ["--num-cpus=2"], ["--num-gpus=1"]
A100 = [*GPU, '--resources={"accelerator_type:A100": 1}']
ON_CPU = ("execution.gpus_per_worker=1", "backbone.device=cpu")  # Ray counts GPUs; there are none


@pytest.mark.parametrize(
    ("slots", "others", "nodes_options"),
    [
        ('[{"cpus": 1}, {"cpus": 2}]', (), (TWO_CPUS, [])),  # the first must not take the only node for the second
        ('[{"gpus": 1}, {"gpus": 1, "accelerator": "A100"}]', ON_CPU, (A100, GPU)),
        ('[{"cpus": 1, "count": 2}]', (), (TWO_CPUS, TWO_CPUS)),  # one node could hold both
    ],
    ids=["sizes", "kinds", "equal"],
)
def test_every_node_gets_the_slot_that_it_can_hold(
    study: Path,
    calm: pd.DataFrame,
    tmp_path: Path,
    slots: str,
    others: tuple[str, ...],
    nodes_options: tuple[list[str], list[str]],
) -> None:
    run_dir = tmp_path / "run"
    with start_nodes(0, head_cpus=0) as nodes:
        for options in nodes_options:
            nodes.join(options=options)
        with running(study, run_dir, nodes, f"execution.slots={slots}", *others) as driver:
            wait_for(lambda: all(map(has_slot, nodes.marks)), driver, run_dir)
            assert driver.wait(timeout=900) == 0, log_of(run_dir)
    assert slots_of(run_dir) == {"slot-0", "slot-1"}, log_of(run_dir)
    check_outcome(run_dir, calm)


def what_was_seen(run_dir: Path) -> list[tuple[int, str]]:
    """Each proposal with the strategy's reason."""
    with Ledger.open(run_dir / "ledger", writer=False) as ledger:
        return [(record["proposal_index"], record["reason"]) for record in ledger.records(Kind.suggestion)]


def test_more_slots_than_max_concurrent_reveal_no_result_earlier(study: Path, calm: pd.DataFrame) -> None:
    """A proposal sees what `max_concurrent` allows it to see, however many slots could have run ahead."""
    run_dir = study.parent / "runs" / "wide"
    slots = 'execution.slots=[{"cpus": 1, "count": 3}]'
    with start_nodes(3, head_cpus=0) as nodes:
        arguments = ("run", study, *LEFT_OUT, slots, "--run-dir", run_dir, "--address", nodes.head.gcs_address)
        done = subprocess.run(command(*arguments), env=nodes.env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    check_outcome(run_dir, calm)
    seen = what_was_seen(run_dir)
    assert seen == what_was_seen(study.parent / "runs" / "calm")
    # Of the proposals before the k-th, all but the last max_concurrent - 1 have ended and are seen.
    assert [int(re.findall(r"\d+", reason)[0]) for _, reason in seen] == [0, 0, 1, 2, 3, 4]
