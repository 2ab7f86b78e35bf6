"""Studies over 53 subsets: the plan of 2.4 million rows on four GPUs, or two trials over as many rows as are asked for.

`python -m tests.benchmarks.scale DIR` writes the study and its store's manifest into DIR, and prints what docs/scale.md
quotes. `python -m tests.benchmarks.scale DIR --rows 40000` writes rows and 2,000 images into DIR (0.6 GiB), runs two
trials there on two processors, and prints what the study's start took.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

OBJECT_STORE_GIB = 0.15  # as small as Ray takes it: what does not fit is read from the packs


def run(folder: Path, num_rows: int) -> None:
    """Run two trials and print seconds, memory and the machine's load."""
    from cluster.connect import connect, disconnect
    from tests.makers.scale_run import NAMES, run_at_scale

    connect("local", num_cpus=2, dashboard=False, object_store_gib=OBJECT_STORE_GIB)
    began, load = time.monotonic(), os.getloadavg()[0]
    try:
        ran = run_at_scale(folder, num_rows=num_rows)
    finally:
        disconnect()
    text = "\n".join(ran.said)
    print(  # noqa: T201
        f"{text}\n"
        f"{len(NAMES)} x {num_rows:,} rows: first trial after {ran.start_s:.1f} s, driver grew {ran.grown_gib:.2f} GiB"
        f", {[trial['status'] for trial in ran.trials]}; all with writing the data {time.monotonic() - began:.0f} s;"
        f" load {load:.0f} to {os.getloadavg()[0]:.0f}"
    )


def main() -> None:
    """Plan, or run."""
    from search.cli.plan import show_plan
    from tests.makers.scale_study import write_scale_study

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, help="rows of each subset; run two trials over them instead of planning")
    chosen = parser.parse_args()
    if chosen.rows is not None:
        run(chosen.folder, chosen.rows)
    else:
        show_plan(write_scale_study(chosen.folder), [], None)


if __name__ == "__main__":
    main()
