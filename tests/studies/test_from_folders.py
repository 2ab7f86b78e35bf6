"""Ten folders of images nobody has described, from draft to report, on three nodes of which one dies on the way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.store.store import open_store
from tests.makers.image_folders import SETS, with_target, write_image_folders
from tests.makers.ray_head import end_marked, wait_until_gone
from tests.makers.ray_nodes import RayNodes, start_nodes
from tests.studies.tiny_study import environment

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1200)]

REPOSITORY = Path(__file__).resolve().parents[2]
NUM_PER_PLACE = 24
TARGET = "colonoscopy"
STUDY = {
    "name": "folders",
    "catalog": "catalog.yaml",
    "targets": [TARGET],
    "control_sources": ["aptos", "lung_ct_scans"],
    "space": {
        "composition": {"sources": ["dermoscopy", "chest-xray", "knee-xray"], "num_samples": [8, 16], "budget": 24},
    },
    "recipe": {"num_steps": 2, "batch_size": 4},
    "strategy": {"name": "random", "num_trials": 3},
    "transfer": {"enabled": False},
    "confirm": {"num_finalists": 1, "seeds": [101], "comparators": ["control"]},
    "execution": {"num_workers": 0, "max_concurrent": 1},
}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The stores of one node and of three, one of which died; the cluster that is left."""

    root: Path
    nodes: RayNodes
    was_in_the_midst: bool
    told: str


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "search.cli", *map(str, arguments)]


def recombine(env: Mapping[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=env, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drafted by the command, changed only where the draft says how, with a study that names what it drafted."""
    root = tmp_path_factory.mktemp("strangers")
    write_image_folders(root / "data", NUM_PER_PLACE)
    done = recombine(environment(), "data", "init-catalog", root / "data", "--out", root / "catalog.yaml")
    assert done.returncode == 0, done.stderr
    path = root / "catalog.yaml"
    path.write_text(with_target(path.read_text(encoding="utf-8")), encoding="utf-8")
    for name in ("one", "three"):
        (root / f"{name}.yaml").write_text(yaml.safe_dump(STUDY | {"store": f"store-of-{name}"}), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def prepared(folder: Path) -> Iterator[Prepared]:
    """`one` comes first, so that its Ray has the machine for itself."""
    alone = recombine(environment() | {"PYTHONPATH": str(REPOSITORY)}, "data", "prepare", folder / "one.yaml")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    with start_nodes() as nodes:
        arguments = command("data", "prepare", folder / "three.yaml", "--address", nodes.head.gcs_address)
        with (folder / "prepare.log").open("w") as log:
            driver = subprocess.Popen(arguments, env=nodes.env, cwd=REPOSITORY, stdout=log, stderr=log)
            was_in_the_midst = packs_appear(folder / "store-of-three", driver)
            end_marked(nodes.marks[0])
            assert not wait_until_gone(nodes.marks[0])
            code = driver.wait(timeout=600)
        told = (folder / "prepare.log").read_text(encoding="utf-8")
        assert code == 0, told
        yield Prepared(root=folder, nodes=nodes, was_in_the_midst=was_in_the_midst, told=told)


def packs_appear(store: Path, driver: subprocess.Popen[bytes], timeout_s: float = 120.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and driver.poll() is None:
        if any(store.glob("packs/*.pack")):
            return True
        time.sleep(0.02)
    return False


def test_the_draft_is_a_catalog_of_all_ten(folder: Path) -> None:
    catalog = load_catalog(folder / "catalog.yaml")
    assert len(catalog.names) == len(SETS) == 10
    assert all(subset.format == "image_folder" for subset in catalog.spec.subsets)
    assert len({(s.modality, s.area, s.task) for s in catalog.spec.subsets}) == 10


def test_three_nodes_of_which_one_dies_make_the_store_of_one(prepared: Prepared) -> None:
    assert prepared.was_in_the_midst
    several, alone = (open_store(prepared.root / f"store-of-{name}") for name in ("three", "one"))
    assert several.fingerprint == alone.fingerprint
    for each in SETS:
        name = each.name.lower().replace(" ", "-")
        counts = several.manifest.subsets[name]
        assert counts.read == counts.kept == NUM_PER_PLACE * len(each.places) * len(each.classes)


def test_the_check_finds_nothing_that_must_be_fixed(prepared: Prepared) -> None:
    address = ("--address", prepared.nodes.head.gcs_address)
    done = recombine(prepared.nodes.env, "data", "check", prepared.root / "three.yaml", *address)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "must be fixed: nothing" in lines
    assert any(line.startswith(f"note: {TARGET}: its published test rows are divided") for line in lines)
    (patients,) = (line for line in lines if "patients are unknown" in line)
    assert "(10 such lines; the others: " in patients


def test_a_study_of_them_ends_in_a_report(prepared: Prepared) -> None:
    address = ("--address", prepared.nodes.head.gcs_address)
    done = recombine(
        prepared.nodes.env, "run", prepared.root / "three.yaml", *address, "--run-dir", prepared.root / "run"
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    page = (prepared.root / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert f'id="divided-tests">{TARGET}: its published test rows are divided' in page
    assert os.path.getsize(prepared.root / "run" / "report" / "trials.parquet") > 0
