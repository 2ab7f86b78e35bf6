"""`python -m tests.benchmarks.gpu`: at most ten minutes on one card; the last line of its output is JSON.

Without a GPU, and with `--toy`, the same on models of a few thousand parameters: that it runs, and no figures.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tests.benchmarks.gpu.feeding import waiting_shares
from tests.benchmarks.gpu.runs import Setting, matmul_operations_a_s, timed_run
from tests.benchmarks.gpu.shapes import REAL, TOY, random_backbone

LIMIT_S = 540.0  # of ten minutes; a run that has begun ends by itself within one
NUM_PACKED = 4


def settings(*, is_toy: bool) -> list[Setting]:
    """The most telling first: what does not fit into the time is left out, and said."""
    if is_toy:
        return [Setting(micro_batch=1, num_packed=k, with_features=k > 1) for k in (1, 2)]
    kept = [Setting(micro_batch=n, num_packed=k, with_features=True) for n in (4, 1, 8, 2) for k in (1, NUM_PACKED)]
    return kept + [Setting(micro_batch=4, num_packed=k, with_features=False) for k in (1, NUM_PACKED)]


def main(arguments: Sequence[str], say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print a line a run and the whole as JSON at the end."""
    started = time.monotonic()
    is_toy = "--toy" in arguments or not torch.cuda.is_available()
    if is_toy:
        torch.set_num_threads(1)  # several wait for each other longer than so small models take
    device = torch.device("cuda" if torch.cuda.is_available() and not is_toy else "cpu")
    dtype = torch.bfloat16
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, toy size"
    matmul_rate = matmul_operations_a_s(device, dtype, 128 if is_toy else 8192)
    found: dict[str, Any] = {
        "device": name,
        "torch": torch.__version__,
        "dtype": "bfloat16",
        "runs": [],
        "left_out": [],
    }
    found["matmul_tera_operations_a_s"] = round(matmul_rate / 1e12, 3)
    say(f"{name}: {matmul_rate / 1e12:.1f} tera-operations a second in square products")
    for shape_name, shape in (TOY if is_toy else REAL).items():
        backbone = random_backbone(shape, device, dtype)
        for setting in settings(is_toy=is_toy):
            if time.monotonic() - started > LIMIT_S:
                found["left_out"].append([shape_name, str(setting)])
                continue
            run = timed_run(shape_name, shape, backbone, setting, matmul_rate)
            found["runs"].append(run)
            say(json.dumps(run))
        del backbone
    if is_toy:
        found["feeding"] = waiting_shares(num_steps=1, step_s=0.0, side_px=112, num_threads=1)
    else:
        found["feeding"] = waiting_shares(num_steps=12, step_s=0.5, side_px=1000, num_threads=2)
    say(json.dumps(found["feeding"]))
    found["seconds"] = round(time.monotonic() - started, 1)
    say(json.dumps(found))
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
