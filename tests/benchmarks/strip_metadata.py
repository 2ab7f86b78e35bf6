"""What it costs to find the end of a JPEG's scan; both sides in one run, in milliseconds of the processor an image.

Run as `python -m tests.benchmarks.strip_metadata`. The last line is one JSON object. Images are noise of 1024 x 1024
pixels, saved at quality 90; what is compared with is the expression that did it before.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable

from PIL import Image

from datasets_spec.images.decode import decode
from datasets_spec.images.limits import ImageLimits
from datasets_spec.images.strip_metadata import _scan_end, without_metadata

NEXT_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
NUM_ROUNDS = 20


def main() -> None:
    """Measures and prints."""
    buffer = io.BytesIO()
    Image.effect_noise((1024, 1024), 60).convert("RGB").save(buffer, "JPEG", quality=90)
    data = buffer.getvalue()
    start = data.index(b"\xff\xda")
    end = _scan_end(data, start + 2)
    found = NEXT_MARKER.search(data, start + 2)
    assert found is not None
    assert end == found.start()
    image = decode(data, ImageLimits())
    ways: dict[str, Callable[[], object]] = {
        "before": lambda: NEXT_MARKER.search(data, start + 2),
        "now": lambda: _scan_end(data, start + 2),
        "whole_file_now": lambda: without_metadata(data, image),
    }
    result: dict[str, float] = {"file_kib": len(data) >> 10}
    for name, way in ways.items():
        start_s = time.process_time()
        for _ in range(NUM_ROUNDS):
            way()
        result[f"{name}_ms"] = round((time.process_time() - start_s) / NUM_ROUNDS * 1e3, 3)
    print(json.dumps(result))  # noqa: T201


if __name__ == "__main__":
    main()
