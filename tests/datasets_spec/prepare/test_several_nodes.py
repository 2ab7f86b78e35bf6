"""A store prepared by three real nodes, where all see its folder and where one does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.makers.corpus import mat_pool, subset_lines, write_catalog, write_json
from tests.makers.ray_nodes import RayNodes, can_mount, start_nodes

pytestmark = [pytest.mark.ray, pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[3]
NUM_FILES, NUM_ROWS = 6, 40
PREPARE = """
import sys, ray
from pathlib import Path
from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.errors import UserError
from datasets_spec.prepare.prepare_store import prepare_store
address, catalog, store = sys.argv[1:]
ray.init(address=address, log_to_driver=False, **({"num_cpus": 1} if address == "local" else {}))
try:
    prepared = prepare_store(load_catalog(catalog), Path(store), on_event=lambda text: print(text, file=sys.stderr))
except UserError as error:
    sys.exit(str(error))
counts = prepared.manifest.subsets["pool"]
print(counts.read, counts.kept, prepared.manifest.fingerprint)
"""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    nodes: RayNodes
    root: Path  # the same for all nodes, but for root/apart, where the last one sees another folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if not can_mount():
        pytest.skip("a node with another folder needs a mount of its own (`unshare -m`), which is not allowed here")
    root = tmp_path_factory.mktemp("shared")
    for number in range(NUM_FILES):
        write_json(root / f"{number}.json", mat_pool(root, str(number), NUM_ROWS, first=100 * number))
    write_catalog(root, [subset_lines("pool", pool=[f"{number}.json" for number in range(NUM_FILES)])])
    for name in ("apart", "elsewhere"):
        (root / name).mkdir()
    with start_nodes(mounts={1: (root / "elsewhere", root / "apart")}) as nodes:
        yield Cluster(nodes=nodes, root=root)


def prepare(address: str, root: Path, store: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PREPARE, address, str(root / "catalog.yaml"), str(store)]
    return subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)


def test_three_nodes_make_the_store_of_one(cluster: Cluster, tmp_path: Path) -> None:
    nodes = cluster.nodes
    several = prepare(nodes.head.gcs_address, cluster.root, cluster.root / "store", nodes.env)
    assert several.returncode == 0, several.stderr
    alone = prepare("local", cluster.root, tmp_path / "store", {**os.environ, "PYTHONPATH": str(REPOSITORY)})
    assert alone.returncode == 0, alone.stderr
    assert several.stdout == alone.stdout
    num_rows = str(NUM_FILES * NUM_ROWS)
    assert several.stdout.split()[:2] == [num_rows, num_rows]
    assert not list((cluster.root / "store").rglob("nodes"))


def test_a_node_that_sees_another_folder_stops_the_job_before_any_work(cluster: Cluster) -> None:
    store = cluster.root / "apart" / "store"
    done = prepare(cluster.nodes.head.gcs_address, cluster.root, store, cluster.nodes.env)
    assert done.returncode == 1, done.stdout
    assert "1 of 3 nodes do not share the folder of the store" in done.stderr
    assert str(store) in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("  node "))
    assert line.split()[1] == cluster.nodes.addresses[1]
    assert line.endswith("does not see it")
    assert "opening every image" not in done.stderr
    assert not list((store / "generations").iterdir())
    assert not list((cluster.root / "elsewhere").iterdir())
