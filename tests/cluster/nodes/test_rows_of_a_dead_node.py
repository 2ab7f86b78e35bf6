"""Kept rows go with the node that they lie on: who needs them makes room for whoever makes them anew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from search.study.study import Study
from tests.makers.families import toy_row
from tests.makers.ray_head import end_marked, wait_until_gone
from tests.makers.ray_nodes import RayNodes, start_nodes
from tests.makers.study_fixture import open_study, write_store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(600)]

NUM_ROWS = 60  # more than Ray keeps in the driver itself (100 kB)
# A study's driver, and a slot that holds the only processor of the nodes beside the head. It says what it sees, and
# goes on when it is told to.
DRIVER = """
import sys, time, ray
from pathlib import Path
from datasets_spec.store.store import open_store
from trainers.backbone_spec import BackboneSpec
from trainers.rows.encoded_blocks import load_encoded_rows
from trainers.trial.failures import RowsAwayError

class Slot:
    def read(self, rows, place):
        try:
            return len(rows.samples(*place))
        except RowsAwayError:
            return "away"

def say(*words):
    print("SAID", *words, flush=True)
    sys.stdin.readline()

def wait_until_away(number):
    while rows.num_away() != number:
        time.sleep(0.1)

address, store_dir, num_rows = sys.argv[1:]
place = ("ct-lung", "train")
ray.init(address=address, logging_level="error", log_to_driver=False)
with open_store(Path(store_dir)) as store:
    backbone = BackboneSpec().resolved(gpus_per_worker=0)
    rows = load_encoded_rows(
        store, {place: int(num_rows)}, backbone, num_encoders=1, num_threads=1, gpus_per_encoder=0.0
    )
say("loaded", rows.num_away())
wait_until_away(1)
start_slot = ray.remote(num_cpus=1)(Slot).remote
slot = start_slot()
found = slot.read.remote(rows, place)
say("asked for a place")
say("read", ray.get(found), rows.num_away())
ray.kill(slot)
wait_until_away(0)
say("read", ray.get(start_slot().read.remote(rows, place)), rows.num_away())
"""


@contextmanager
def driver(nodes: RayNodes, study: Study) -> Iterator[tuple[IO[str], IO[str]]]:
    """What the program is told, and what it says."""
    arguments = (nodes.head.gcs_address, study.store_dir, NUM_ROWS)
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *map(str, arguments)],
        env=nodes.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdin, process.stdout
    finally:
        process.kill()
        process.wait()


def word(said: IO[str]) -> str:
    """What the program says next; Ray writes there, too."""
    while line := said.readline():
        if line.startswith("SAID "):
            return line.removeprefix("SAID ").strip()
    return "nothing"


def test_a_slot_that_holds_the_only_place_gives_way_to_who_makes_its_rows_anew(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study")
    write_store(study, {"ct-lung/train": NUM_ROWS}, images=toy_row(0)["images"][:1])
    with start_nodes(1, head_cpus=0) as nodes, driver(nodes, study) as (told, said):

        def next_word() -> str:
            told.write("\n")
            told.flush()
            return word(said)

        assert word(said) == "loaded 0"
        end_marked(nodes.marks[0])
        assert not wait_until_gone(nodes.marks[0])
        assert next_word() == "asked for a place"  # before there is a node, so that nobody else has its processor
        nodes.join()
        assert next_word() == "read away 1"
        assert next_word() == f"read {NUM_ROWS} 0"
