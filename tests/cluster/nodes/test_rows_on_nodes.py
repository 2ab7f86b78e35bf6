"""Rows that a study shares through Ray's object store reach every node once, and not through the driver's node."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets_spec.store.store import open_store
from search.planning.gpu_slot import look_at_rows
from search.study.load_study import load_study
from search.study.needed_rows import needed_rows
from tests.benchmarks.nodes import CHANGES, received_and_sent, run_study
from tests.makers.ray_nodes import start_nodes
from tests.studies.tiny_study import write_study
from trainers.backbone.backbone import configuration_of

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(900)]

# Of the rows. What else goes between nodes (functions, Ray Data's and Train's own, results) was 7 % of them
# (docs/benchmarks.md); rows that go twice would be a whole more.
BESIDE = 0.25


def rows_bytes(study_file: Path) -> float:
    """What the rows take that trials may read, with their kept features."""
    study = load_study(study_file)
    sizes = look_at_rows(study)
    assert sizes is not None
    backbone = study.located(study.spec.backbone).resolved(gpus_per_worker=0)
    hidden_size = int(configuration_of(backbone).get_text_config().hidden_size)
    with open_store(study.store_dir) as store:
        num_rows = sum(needed_rows(study.spec, store.count).values())
    return num_rows * sizes.feature_bytes(hidden_size=hidden_size, itemsize=4)


def test_rows_reach_a_node_once_and_not_through_the_drivers(tmp_path: Path) -> None:
    study = write_study(tmp_path, **CHANGES, execution={"num_workers": 1, "max_concurrent": 2, "pack": 1})
    with start_nodes(1, head_cpus=0) as nodes:
        run_study(study, nodes, features=True)  # the first node encodes the rows, another joins
        found = received_and_sent(nodes)
        first, second = (found.pop(address) for address in nodes.addresses)
    (drivers,) = found.values()
    rows = rows_bytes(study)
    # A node that runs nothing is told of nothing, and hands on no rows.
    assert drivers["Received"] <= BESIDE * rows
    assert drivers["PushedFromLocalPlasma"] <= BESIDE * rows
    # The node that encoded the rows has them from the start, and gives them to the other one.
    assert first["Received"] <= BESIDE * rows
    assert (1 - BESIDE) * rows <= second["Received"] <= (1 + BESIDE) * rows
