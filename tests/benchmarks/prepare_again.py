"""What preparing again costs beside the first time: nine of ten subsets, then the tenth, another seed, nothing changed.

Run as `python -m tests.benchmarks.prepare_again`, or as the part `again` of `make bench-data`. The last line is one
JSON object. Times are of the clock, in one run; shares are of the first preparation, start-up taken off both. With the
search for copies over phantoms, which look alike, most of it is that search; over photographs hardly any is.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.data import GIB, record, say

NUM_SUBSETS = 10
# Phantoms look alike: most of preparing them is the search for copies. Like photographs, hardly any is.
KINDS = ("phantom", "photo")


def main() -> None:
    """Measures what was asked for and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--num-images", type=int, default=20_000)
    parser.add_argument("--num-photos", type=int, default=2_000, help="of 512 x 512")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure_again(Path(folder), arguments.num_images, arguments.num_photos)))  # noqa: T201


def measure_again(folder: Path, num_images: int, num_photos: int) -> dict[str, Any]:
    """Prepares ten subsets in several ways.

    Args:
        folder: Where images and stores are written.
        num_images: Phantoms of all subsets together.
        num_photos: Images like photographs of all subsets together.
    """
    import ray

    found: dict[str, Any] = {}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=GIB)
    try:
        for kind, num in zip(KINDS, (num_images, num_photos), strict=True):
            found |= measure_kind(folder / kind, num, kind) if num else {}
    finally:
        ray.shutdown()
    return found


def measure_kind(folder: Path, num_images: int, kind: str) -> dict[str, Any]:
    """Prepares ten subsets of one kind of image; what stays the same, another seed and nine subsets and the tenth."""
    write_images(folder, num_images, kind)
    few, nine, ten = (write_catalog(folder, num) for num in (0, NUM_SUBSETS - 1, NUM_SUBSETS))
    seconds_of(few, folder / "warm-up")
    spent = {
        "start-up": seconds_of(few, folder / "few"),
        "whole": seconds_of(ten, folder / "whole"),
        "nine": seconds_of(nine, folder / "store"),
        "tenth": seconds_of(ten, folder / "store"),
        "seed": seconds_of(ten, folder / "store", seed=1),
    }
    shutil.rmtree(folder)
    whole_s = spent["whole"] - spent["start-up"]
    shares = {name: (spent[name] - spent["start-up"]) / whole_s for name in ("tenth", "seed")}
    say(f"again: {num_images} {kind} images: " + ", ".join(f"{name} {value:.1f} s" for name, value in spent.items()))
    return {f"again_{kind}": {"num": num_images} | {f"share_{name}": round(share, 3) for name, share in shares.items()}}


def write_images(folder: Path, num_images: int, kind: str) -> None:
    """Writes images of ten subsets, and the records of each."""
    from tests.makers.planted import phantom_image, photo_like_image

    for subset in range(NUM_SUBSETS):
        (folder / f"images/{subset}").mkdir(parents=True)
        records = []
        for index in range(subset, num_images, NUM_SUBSETS):
            name = f"images/{subset}/{index}." + ("png" if kind == "phantom" else "jpg")
            if kind == "phantom":
                phantom_image(index).save(folder / name)
            else:
                photo_like_image(index, size=512).save(folder / name, quality=95)
            records.append(record(index, name))
        (folder / f"{subset}.json").write_text(json.dumps(records))
    (folder / "few.json").write_text(json.dumps(records[:8]))


def write_catalog(folder: Path, num_subsets: int) -> Path:
    """Writes a catalog of some subsets; of none it has eight images, to measure the start-up."""
    names = [f"{number}.json" for number in range(num_subsets)] or ["few.json"]
    where = {"modality": "CT", "area": "Kidney", "format": "med_mat"}
    subsets = [{"name": name[:-5], "task": name[:-5], "pool": [name], **where} for name in names]
    path = folder / f"catalog-{num_subsets}.yaml"
    path.write_text(json.dumps({"name": "again", "subsets": subsets, "leakage": {"near": "warn"}}))
    return path


def seconds_of(catalog: Path, store: Path, *, seed: int = 0) -> float:
    """Seconds to prepare a store."""
    from datasets_spec.catalog.catalog import load_catalog
    from datasets_spec.prepare.prepare_store import prepare_store

    start = time.perf_counter()
    prepare_store(load_catalog(catalog), store, seed=seed)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
