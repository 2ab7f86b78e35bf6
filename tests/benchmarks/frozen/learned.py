"""What the baseline learns of an image; the product's functions may change, these do not."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tests.benchmarks.frozen.image_file import decode, hash_of, without_metadata
from tests.benchmarks.frozen.looks import as_numbers, looks_of


def learned(item: dict[str, Any], root: Path) -> dict[str, Any]:
    """What preparing does to an image, without splits and quarantine."""
    data = (root / item["image"]).read_bytes()
    image = decode(data)
    hashes = [hashlib.sha256(data).hexdigest(), hash_of(image)]
    return {**item, "hashes": hashes, "looks": as_numbers(looks_of(image)), "data": without_metadata(data, image)}
