"""Random SIGKILLs of driver, slot, broker and node of one study in one sitting: nothing is lost, nothing is done twice.

`make soak` kills 50 times; `python -m tests.benchmarks.soak 5` fewer. The same seed kills in the same order, not at the
same moments. Ends with 1 where the outcome is not that of an undisturbed run.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.makers.ray_head import end_marked, marked_processes
from tests.makers.ray_nodes import RayNodes, start_nodes
from tests.studies.tiny_study import (
    command,
    comparable_trials,
    environment,
    finished_trials,
    trial_records,
    write_study,
)

SEED = 20261129
NUM_KILLS = 50
# Between two rounds of kills: some come while slots start again (half a minute), and now and then a trial ends.
PAUSE_S = (2.0, 40.0)
# Kills of a round: every third time two parts die at once.
ROUND = (1, 1, 2)
# So many that the study does not end before the kills do: three trials ended between two kills on idle cores.
TRIALS_A_KILL = 4
LEFT_OUT = ("confirm.enabled=false", "transfer.enabled=false")
CHANGES = {
    "recipe": {"num_steps": 400, "batch_size": 4},
    "space": {
        "composition": {
            "sources": ["ct-lung-grading", "mri-brain-staging", "xray-brain-grading"],
            "num_samples": [4, 8, 12, 16, 20],
            "budget": 60,
            "max_size": 3,
        },
        "recipe": {"learning_rate": {"kind": "log_uniform", "low": 0.001, "high": 0.02}},
    },
    "execution": {"num_workers": 1, "max_concurrent": 2, "pack": 1, "checkpoint_s": 1.0},
}


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Disturbed:
    """A study on a cluster whose parts are killed.

    Args:
        study: Its file.
        run_dir: Its directory.
        nodes: A head without processors, and nodes that may die.
    """

    def __init__(self, study: Path, run_dir: Path, nodes: RayNodes) -> None:
        self._study, self._run_dir, self._nodes = study, run_dir, nodes
        self._witnessed: dict[str, tuple[float, float]] = {}
        self.driver = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        arguments = (
            "run",
            self._study,
            *LEFT_OUT,
            "--run-dir",
            self._run_dir,
            "--address",
            self._nodes.head.gcs_address,
        )
        with self._run_dir.with_suffix(".log").open("ab") as log:
            return subprocess.Popen(
                command(*arguments), env=self._nodes.env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def kill_driver(self) -> bool:
        """SIGKILL the driver, and start the same command again."""
        self.driver.kill()
        self.driver.wait()
        self.driver = self._start()
        return True

    def kill_node(self) -> bool:
        """SIGKILL all of a node; another comes in its place."""
        end_marked(next(mark for mark in self._nodes.marks if marked_processes(mark)))
        self._nodes.join()
        return True

    def kill_actor(self, name: str) -> bool:
        """SIGKILL a worker process that bears the name of an actor; False where there is none."""
        marks = [self._nodes.head.mark, *self._nodes.marks]
        for pid in [pid for mark in marks for pid in marked_processes(mark)]:
            with suppress(psutil.NoSuchProcess):  # it has ended since it was listed
                for child in psutil.Process(pid).children(recursive=True):
                    if name in " ".join(child.cmdline()):
                        child.send_signal(signal.SIGKILL)
                        return True
        return False

    def repeated(self) -> set[str]:
        """Finished trials that are gone, or were trained again, since the last look."""
        now = finished_trials(self._run_dir)
        changed = {name for name, times in self._witnessed.items() if now.get(name) != times}
        self._witnessed = now
        return changed


def disturb(disturbed: Disturbed, num_kills: int, rng: random.Random) -> tuple[Counter[str], set[str]]:
    """Kill until it is enough or the study has ended; how often what was killed, and what was lost or repeated."""
    ways: dict[str, Callable[[], bool]] = {
        "driver": disturbed.kill_driver,
        "slot": lambda: disturbed.kill_actor("RayTrainWorker"),
        "broker": lambda: disturbed.kill_actor("BrokerActor"),
        "node": disturbed.kill_node,
    }
    killed: Counter[str] = Counter()
    lost: set[str] = set()
    while killed.total() < num_kills and disturbed.driver.poll() is None:
        time.sleep(rng.uniform(*PAUSE_S))
        for what in rng.sample(sorted(ways), k=rng.choice(ROUND)):
            if disturbed.driver.poll() is None and ways[what]():
                killed[what] += 1
                lost |= disturbed.repeated()
                say(f"{datetime.now(UTC):%H:%M:%S} {killed.total()}: {what}")
    return killed, lost


def main(num_kills: int = NUM_KILLS) -> int:
    """Run a study undisturbed and disturbed; print what was killed and what came of it."""
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    study = write_study(folder, **CHANGES, strategy={"name": "random", "num_trials": TRIALS_A_KILL * num_kills})
    calm, run_dir = folder / "calm", folder / "disturbed"
    subprocess.run(command("run", study, *LEFT_OUT, "--run-dir", calm), env=environment(), check=True)
    started = time.monotonic()
    with start_nodes(2, head_cpus=0) as nodes:
        disturbed = Disturbed(study, run_dir, nodes)
        killed, lost = disturb(disturbed, num_kills, random.Random(SEED))
        code = disturbed.driver.wait()
        lost |= disturbed.repeated()
    roles = Counter((record["train_id"], record["stage"], record["arm"]) for record in trial_records(run_dir))
    is_same = code == 0 and comparable_trials(run_dir).equals(comparable_trials(calm))
    repeated = sum(count - 1 for count in roles.values())
    say(f"{datetime.now(UTC):%d %b %Y}: {killed.total()} kills ({dict(killed)}) in {time.monotonic() - started:.0f} s")
    say(f"trials {len(roles)}; lost or trained again {len(lost)}; recorded twice {repeated}; same outcome: {is_same}")
    say(f"driver ended with {code}; study in {folder}")
    return int(not is_same or bool(lost) or repeated > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
