"""What reaches each node of a study, and how soon a node that joins works.

`python -m tests.benchmarks.nodes` prints, for rows with kept features (shared through Ray's object store) and for rows
that trials read where they lie: bytes of objects that each node received and sent, and the seconds from the moment that
a node has joined to its first trial.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.makers.ray_nodes import RayNodes, has_slot, start_nodes
from tests.studies.tiny_study import command, first_trials, trial_records, write_study

LEFT_OUT = ("confirm.enabled=false", "transfer.enabled=false")
CHANGES = {"recipe": {"num_steps": 600, "batch_size": 4}, "strategy": {"name": "random", "num_trials": 6}}
EXPORT_WAIT_S = 12.0  # Ray's raylets write metrics every 10 s
ASK = """
import json, re, sys, urllib.request, ray
ray.init(address=sys.argv[1], logging_level="error", log_to_driver=False)
found = {}
for node in ray.nodes():
    if node["Alive"]:
        url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        text = urllib.request.urlopen(url, timeout=10).read().decode()
        lines = re.findall(r'^ray_object_manager_bytes{.*Type="(\\w+)".*} (\\S+)', text, re.M)
        found[node["NodeManagerAddress"]] = {kind: float(value) for kind, value in lines}
print(json.dumps(found))
"""


def received_and_sent(nodes: RayNodes) -> dict[str, dict[str, float]]:
    """Bytes of objects that went between nodes so far, by the node's address and Ray's name of the way."""
    time.sleep(EXPORT_WAIT_S)
    asked = [sys.executable, "-c", ASK, nodes.head.gcs_address]
    text = subprocess.run(asked, env=nodes.env, capture_output=True, text=True, check=True).stdout
    found: dict[str, dict[str, float]] = json.loads(text.splitlines()[-1])
    return found


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run_study(study: Path, nodes: RayNodes, *, features: bool) -> dict[str, float]:
    """Run a study; a node joins after its second trial.

    Returns:
        Seconds: of the node's own start; from then to a slot's process there (`noticed`), and to its first trial.
    """
    run_dir = study.parent / f"run-{features}"
    options = (*LEFT_OUT, f"execution.vision_features={json.dumps(features)}")
    driver = subprocess.Popen(
        command("run", study, *options, "--run-dir", run_dir, "--address", nodes.head.gcs_address),
        env=nodes.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    while len(trial_records(run_dir)) < 2 and driver.poll() is None:
        time.sleep(0.1)
    asked_at = time.time()
    nodes.join()
    joined_at = time.time()
    while not has_slot(nodes.marks[-1]) and driver.poll() is None:
        time.sleep(0.1)
    noticed_at = time.time()
    if driver.wait() != 0:
        raise RuntimeError(f"the study failed; see {run_dir}")
    # Of the two slots the one that began later has waited for the node.
    first_at = max(first_trials(run_dir).values())
    return {
        "join": joined_at - asked_at,
        "noticed": noticed_at - joined_at,
        "first trial": first_at - joined_at,
    }


def main() -> None:
    """Run both studies, each on a cluster of its own, and print what was measured."""
    folder = Path(tempfile.mkdtemp(prefix="nodes-"))
    execution = {"num_workers": 1, "max_concurrent": 2, "pack": 1}
    study = write_study(folder, **CHANGES, execution=execution)
    for features in (True, False):
        with start_nodes(1, head_cpus=0) as nodes:
            seconds = run_study(study, nodes, features=features)
            found = received_and_sent(nodes)
        say(f"features kept: {features}; load {os.getloadavg()[0]:.0f}")
        say("  " + ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items()))
        for address, counts in sorted(found.items()):
            shown = ", ".join(f"{kind} {value / 2**10:.0f} KiB" for kind, value in sorted(counts.items()))
            say(f"  node {address}: {shown}")


if __name__ == "__main__":
    main()
