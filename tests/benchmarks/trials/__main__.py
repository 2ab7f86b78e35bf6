"""Runs every part and prints its table; the last line is one JSON object. `--quick` is for seeing that it works."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
PARTS = ("startup", "equal_work", "decision", "packing", "scaling", "faults")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="few trials: figures mean nothing")
    options = parser.parse_args()
    unknown = sorted(set(options.parts) - set(PARTS))
    if unknown:
        parser.error(f"unknown part {', '.join(unknown)}; there are {', '.join(PARTS)}")

    import torch

    from search.cli.connection import connected
    from tests.benchmarks.trials import decision, equal_work, faults, packing, scaling, startup

    torch.set_num_threads(1)
    modules = {
        "packing": packing, "startup": startup, "equal_work": equal_work, "decision": decision, "scaling": scaling,
        "faults": faults,
    }  # fmt: skip
    figures: dict[str, Any] = {}
    with connected("local", lambda line: None, dashboard=False):
        for name in (part for part in modules if part in options.parts):
            say(f"\n== {name}")
            figures |= modules[name].measure(say, is_quick=options.quick)
    figures["gpu"] = None if not torch.cuda.is_available() else torch.cuda.get_device_name()
    say(json.dumps(figures))


main()
