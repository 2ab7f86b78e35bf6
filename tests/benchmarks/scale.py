"""The plan of a study over 53 subsets and 2.4 million rows on four GPUs: `python -m tests.benchmarks.scale DIR`.

Writes the study and its store's manifest into DIR, and prints what docs/scale.md quotes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from search.cli.plan import show_plan
from tests.makers.scale_study import write_scale_study

if __name__ == "__main__":
    show_plan(write_scale_study(Path(sys.argv[1])), [], None)
