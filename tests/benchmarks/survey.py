"""What a staged row costs the driver: surveyed and planned, in memory and time, both sides in one run.

Run as `python -m tests.benchmarks.survey`. The last line is one JSON object. Rows have Med-MAT's shape, one image each;
no image is opened and no copy is searched for. Every side runs in a process of its own; memory is its peak less what it
held before. What is compared with is the survey as it was before: all rows as mappings, sorted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from datasets_spec.copies.chunks import SeenImage
from datasets_spec.prepare.inputs import DataFile, SubsetSource
from datasets_spec.prepare.quarantine import Tally
from datasets_spec.prepare.read_rows import ROWS_PER_BLOCK
from datasets_spec.prepare.staged_rows import LIGHT_COLUMNS, read_staged, staged_table, write_staged
from datasets_spec.prepare.survey import Survey, _count, _Same, survey_staging
from datasets_spec.splits.row_plan import make_plan
from datasets_spec.splits.shares import SplitShares
from tests.benchmarks.staged_rows import staged_row

SOURCE = SubsetSource(
    format="med_mat", image_root="/i", answer_kind="any", source_pattern=None, group_pattern=None, namespace="n"
)
FILE = DataFile(subset="s", role="pool", file="rows.json", path=Path("rows.json"))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--num-rows", type=int, default=100_000)
    parser.add_argument("--sides", nargs="+", choices=["before", "now"], default=["before", "now"])
    parser.add_argument("--staging", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.staging:
        measure(arguments.staging, arguments.sides[0])
        return
    found: dict[str, Any] = {"num_rows": arguments.num_rows}
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder), arguments.num_rows)
        for side in arguments.sides:
            command = [sys.executable, "-m", "tests.benchmarks.survey", "--staging", folder, "--sides", side]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[side] = json.loads(done.stdout)
    print(json.dumps(found))  # noqa: T201


def stage(folder: Path, num_rows: int) -> None:
    """Writes rows as the first pass does."""
    for start in range(0, num_rows, ROWS_PER_BLOCK):
        rows = [
            {**staged_row(index), "options_key": "o"} for index in range(start, min(num_rows, start + ROWS_PER_BLOCK))
        ]
        write_staged(staged_table(rows), folder, f"{start:09d}")
    write_staged(
        staged_table([{"subset": "s", "role": "pool", "file": "rows.json", "index": -1, "num_read": num_rows}]),
        folder,
        "count",
    )


def measure(folder: Path, side: str) -> None:
    """Surveys and plans, and prints microseconds and bytes a row."""
    held = peak_bytes()
    start_s = time.process_time()
    survey = survey_staging(folder, [FILE], {"s": SOURCE}) if side == "now" else all_at_once(folder)
    survey_s, survey_bytes = time.process_time() - start_s, peak_bytes() - held
    make_plan(survey.rows, {"s": SplitShares()}, seed=0)
    plan_s, plan_bytes = time.process_time() - start_s - survey_s, peak_bytes() - held
    num_rows = len(survey.rows)
    print(  # noqa: T201
        json.dumps(
            {
                "survey_us": round(survey_s / num_rows * 1e6, 1),
                "plan_us": round(plan_s / num_rows * 1e6, 1),
                "survey_bytes": survey_bytes // num_rows,
                "with_plan_bytes": plan_bytes // num_rows,
            }
        )
    )


def peak_bytes() -> int:
    """Most that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def all_at_once(folder: Path) -> Survey:
    """The survey as it was before."""

    class Apart(_Same):
        def __getitem__(self, text: str) -> str:
            return text

    def place(row: dict[str, Any]) -> tuple[Any, ...]:
        return (row["subset"], row["role"], row["file"], row["index"])

    survey = Survey(tallies={"s": Tally()})
    seen = set()
    staged = sorted(read_staged(folder, LIGHT_COLUMNS), key=place)
    asked = Counter((row["subset"], tuple(row["image_paths"] or ())) for row in staged)
    for row in staged:
        if row["num_read"] is None:
            seen.add(place(row))
            name = "options_key" if asked[row["subset"], tuple(row["image_paths"])] == 1 else "question_key"
            _count(survey, row, row[name] or "", Apart())
    for name, image in survey.images.items():
        survey.images[name] = SeenImage(numbers=tuple(image.numbers), root=image.root, published=image.published)
    return survey


if __name__ == "__main__":
    main()
