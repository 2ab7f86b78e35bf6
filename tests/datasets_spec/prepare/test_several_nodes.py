"""A store prepared by three real nodes, where all see its folder, where one does not, and where one dies.

A node sees another folder by a mount of its own; where that is not allowed, by a hook in its environment alone
(ray_nodes.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.makers.corpus import mat_pool, subset_lines, write_catalog, write_json
from tests.makers.ray_head import end_marked, wait_until_gone
from tests.makers.ray_nodes import RayNodes, start_nodes

pytestmark = [pytest.mark.ray, pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[3]
NUM_FILES, NUM_ROWS = 6, 40
NUM_TRIES = 3  # Ray gives itself 30 s to start, which a busy machine may not keep
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
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shared")
    for number in range(NUM_FILES):
        write_json(root / f"{number}.json", mat_pool(root, str(number), NUM_ROWS, first=100 * number))
    write_catalog(root, [subset_lines("pool", pool=[f"{number}.json" for number in range(NUM_FILES)])])
    for name in ("apart", "elsewhere"):
        (root / name).mkdir()
    return root


@pytest.fixture(scope="module")
def alone(corpus: Path) -> str:
    """What one node makes of the same data: rows read, rows kept, fingerprint."""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for _ in range(NUM_TRIES):
        done = prepare("local", corpus, corpus / "store-of-one", env)
        if "timed out during startup" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cluster(corpus: Path, alone: str) -> Iterator[Cluster]:
    """Three nodes; `alone` comes first, so that its Ray has the machine for itself."""
    root = corpus
    with start_nodes(mounts={1: (root / "elsewhere", root / "apart")}) as nodes:
        yield Cluster(nodes=nodes, root=root)


def prepare(
    address: str, root: Path, store: Path, env: Mapping[str, str], catalog: str = "catalog.yaml"
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PREPARE, address, str(root / catalog), str(store)]
    return subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)


def test_three_nodes_make_the_store_of_one(cluster: Cluster, alone: str) -> None:
    nodes = cluster.nodes
    several = prepare(nodes.head.gcs_address, cluster.root, cluster.root / "store", nodes.env)
    assert several.returncode == 0, several.stderr
    assert several.stdout == alone
    num_rows = str(NUM_FILES * NUM_ROWS)
    assert several.stdout.split()[:2] == [num_rows, num_rows]
    assert not list((cluster.root / "store").rglob("nodes"))


def test_a_node_that_sees_another_folder_stops_the_job_before_any_work(cluster: Cluster) -> None:
    store = cluster.root / "apart" / "store"
    done = prepare(cluster.nodes.head.gcs_address, cluster.root, store, cluster.nodes.env)
    assert done.returncode == 1, done.stdout
    assert "1 of 3 nodes cannot help to prepare the store" in done.stderr
    assert str(store) in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("  node "))
    assert line.split()[1] == cluster.nodes.addresses[1]
    assert line.endswith("does not see the folder of the store")
    assert "opening " not in done.stderr
    assert not list((store / "generations").iterdir())
    assert not list((cluster.root / "elsewhere").iterdir())


def test_a_node_without_the_images_stops_the_job_before_any_work(cluster: Cluster) -> None:
    (cluster.root / "apart" / "images").mkdir()
    catalog = {**json.loads((cluster.root / "catalog.yaml").read_text()), "image_root": "apart/images"}
    write_json(cluster.root / "other.yaml", catalog)
    done = prepare(
        cluster.nodes.head.gcs_address, cluster.root, cluster.root / "other", cluster.nodes.env, catalog="other.yaml"
    )
    assert done.returncode == 1, done.stdout
    images = f"{cluster.root}/apart/images (1 of {NUM_FILES + 1} data files and image folders)"
    assert f"node {cluster.nodes.addresses[1]} " in done.stderr
    assert f"does not see {images}" in done.stderr


def test_a_node_that_dies_on_the_way_loses_nothing(cluster: Cluster, alone: str) -> None:
    """The last test of this file: one node less is left of the cluster."""
    nodes, told = cluster.nodes, []
    command = [sys.executable, "-c", PREPARE, nodes.head.gcs_address, str(cluster.root / "catalog.yaml")]
    with subprocess.Popen(
        [*command, str(cluster.root / "survivor")],
        env=nodes.env,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as driver:
        assert driver.stderr is not None
        assert driver.stdout is not None
        for line in driver.stderr:
            told.append(line)
            if line.startswith("opening ") and line.endswith(" images\n"):
                break
        is_in_the_midst = wait_for_staged_rows(cluster.root / "survivor")
        end_marked(nodes.marks[0])
        assert not wait_until_gone(nodes.marks[0])
        told += driver.stderr.readlines()
        found = driver.stdout.read()
    assert driver.returncode == 0, "".join(told)
    assert is_in_the_midst
    # Around it Ray tells of the lost tasks.
    assert alone.strip() in found.splitlines()


def wait_for_staged_rows(store: Path, timeout_s: float = 60.0) -> bool:
    """Whether rows were staged, so that the node dies after the proof and before all is stored."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if any(store.glob("generations/*/staging/*.arrow")):
            return True
        time.sleep(0.05)
    return False
