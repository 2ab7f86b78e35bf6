"""What a staged row costs the driver from survey to work orders, in memory and time, both sides in one run.

Run as `python -m tests.benchmarks.survey`. The last line is one JSON object. Rows have Med-MAT's shape, in ten subsets
with four labels each, and one image each by default; no image is opened and no copy is searched for. Every side runs in
a process of its own; memory is its peak less what it held before; times are of the processor. What is compared with is
the survey and plan of Python rows as they were before, frozen in `tests/reference_plan`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse.csgraph

from datasets_spec.canonical import content_hash
from datasets_spec.copies.groups import CopyGroups, CopySearch
from datasets_spec.prepare.inputs import DataFile, SubsetSource
from datasets_spec.prepare.read_rows import ROWS_PER_BLOCK
from datasets_spec.prepare.staged_rows import staged_table, write_staged
from datasets_spec.prepare.survey import require_balance, survey_staging
from datasets_spec.prepare.surveying.contradictions import find_contradictions
from datasets_spec.prepare.surveying.ties import known_patients, tie_rows
from datasets_spec.prepare.write_rows import order_table, write_row_list
from datasets_spec.splits.leak_levels import LeakagePolicy
from datasets_spec.splits.row_plan import make_plan
from datasets_spec.splits.shares import SplitShares
from tests.benchmarks.staged_rows import staged_row
from tests.reference_plan import found as old_found
from tests.reference_plan import orders as old_orders
from tests.reference_plan import plan as old_plan
from tests.reference_plan import survey as old_survey

SOURCE = SubsetSource(
    format="med_mat", image_root="/i", answer_kind="any", source_pattern=None, group_pattern=None, namespace="n"
)
NUM_SUBSETS = 10
NAMES = [f"{number:02d}" for number in range(NUM_SUBSETS)]
FILES = [DataFile(subset=name, role="pool", file="rows.json", path=Path("rows.json")) for name in NAMES]
SOURCES, SHARES = dict.fromkeys(NAMES, SOURCE), dict.fromkeys(NAMES, SplitShares())
LABELS = ("normal", "cyst", "stone", "tumor")
NO_COPIES = CopyGroups(search=CopySearch())
# What both sides use is loaded before what is held is asked for.
LOADED = (pa, pq, pd, scipy.sparse.csgraph)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--num-rows", type=int, default=240_000)
    parser.add_argument(
        "--rows-per-image", type=int, default=1, help="above 1, patients of two images each are known too"
    )
    parser.add_argument("--sides", nargs="*", choices=["before", "now"], default=["before", "now"])
    parser.add_argument("--staging", type=Path, help="use rows staged there; stage them if there are none")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.staging, arguments.sides[0])))  # noqa: T201
        return
    found: dict[str, Any] = {"num_rows": arguments.num_rows, "rows_per_image": arguments.rows_per_image}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.staging or Path(temporary)
        folder.mkdir(exist_ok=True)
        if not any(folder.iterdir()):
            stage(folder, arguments.num_rows // NUM_SUBSETS, arguments.rows_per_image)
        for side in arguments.sides:
            command = [sys.executable, "-m", "tests.benchmarks.survey", "--measure", "--staging", str(folder)]
            done = subprocess.run([*command, "--sides", side], check=True, capture_output=True, text=True)
            found[side] = json.loads(done.stdout)
    found["load"] = Path("/proc/loadavg").read_text().split()[:3] if Path("/proc/loadavg").exists() else None
    print(json.dumps(found))  # noqa: T201


def stage(folder: Path, rows_a_subset: int, rows_per_image: int) -> None:
    """Writes finished rows."""
    for name in NAMES:
        for start in range(0, rows_a_subset, ROWS_PER_BLOCK):
            indexes = range(start, min(rows_a_subset, start + ROWS_PER_BLOCK))
            rows = [made_row(name, index, rows_per_image) for index in indexes]
            write_staged(staged_table(rows), folder, f"{name}-{start:09d}")
        count = {"subset": name, "role": "pool", "file": "rows.json", "index": -1, "num_read": rows_a_subset}
        write_staged(staged_table([count]), folder, f"{name}-count")


def made_row(subset: str, index: int, rows_per_image: int) -> dict[str, Any]:
    """A row of its own, or one of several that ask about an image of a known patient."""
    image = f"{subset} {index // rows_per_image}"
    patient = content_hash(f"{subset} {index // (2 * rows_per_image)}")[:16]
    return {
        **staged_row(index),
        "subset": subset,
        "label": LABELS[index * 7 % 11 % 4],
        "options_key": content_hash(["options", index % 50]),
        "content_hash": content_hash([subset, index]),
        "row_hash": content_hash([subset, index, "row"]),
        "image_hashes": [content_hash(image)],
        "image_bytes_hashes": [content_hash([image])],
        "image_paths": [f"med-mat/CT_Kidney/scans of {index % 97}/Cyst- ({image}).jpg"],
        "groups": [patient] if rows_per_image > 1 else [],
    }


def measure(folder: Path, side: str) -> dict[str, Any]:
    """Takes the steps of a side, and returns microseconds and bytes a row after each."""
    held, steps, num_rows = peak_bytes(), {}, 1
    start_s = time.process_time()
    for step, rows in (columns if side == "now" else python_rows)(folder):
        num_rows = rows or num_rows
        steps[f"{step}_us"] = round((time.process_time() - start_s) / num_rows * 1e6, 2)
        steps[f"{step}_bytes"] = (peak_bytes() - held) // num_rows
        start_s = time.process_time()
    total = sum(value for name, value in steps.items() if name.endswith("_us"))
    return {**steps, "total_us": round(total, 2)}


def columns(folder: Path) -> Iterator[tuple[str, int]]:
    """The steps now; each is yielded when it is done, the first with the number of rows."""
    survey = survey_staging(folder, FILES, SOURCES)
    yield "survey", len(survey.rows)
    known_patients(survey.rows)
    links = tie_rows(survey.rows, NO_COPIES, LeakagePolicy())
    plan = make_plan(links, SHARES, seed=0)
    survey.set_aside(plan.removed)
    require_balance(survey, plan)
    yield "plan", 0
    orders = [order_table(subset, split, rows) for (subset, split), rows in plan.partitions.items()]
    yield "orders", 0
    write_row_list(plan, folder / ".rows.parquet")
    find_contradictions(links)
    yield "list", len(orders) and len(survey.rows)


def python_rows(folder: Path) -> Iterator[tuple[str, int]]:
    """The steps as they were before."""
    survey = old_survey.survey_staging(folder, FILES, SOURCES)
    yield "survey", len(survey.rows)
    old_survey.known_patients(survey.rows)
    old_survey.tie_rows(survey.rows, NO_COPIES, LeakagePolicy())
    plan = old_plan.make_plan(survey.rows, SHARES, seed=0)
    survey.set_aside(plan.removed)
    old_survey.require_balance(survey, plan)
    yield "plan", 0
    orders = [old_orders.order_table(subset, split, rows) for (subset, split), rows in plan.partitions.items()]
    yield "orders", 0
    old_orders.write_row_list(plan, folder / ".rows.parquet")
    old_found.find_contradictions(survey.rows)
    yield "list", len(orders) and len(survey.rows)


def peak_bytes() -> int:
    """Most that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
