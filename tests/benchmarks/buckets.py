"""What preparing costs with images or the store in a bucket beside a disk; all in one run, in alternating rounds.

Run as `python -m tests.benchmarks.buckets`, or as the part `buckets` of `make bench-data`. The last line is one JSON
object. The server (SeaweedFS) runs on the same machine, so its processor time is in the bucket's side; `--delay-ms`
puts a pause before each of its answers, as of one that is further away.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.images.limits import ImageLimits
from datasets_spec.prepare.opening.open_block import OpeningOrder, open_block
from datasets_spec.prepare.opening.wanted_images import ImagePlace
from datasets_spec.sample import SPLITS
from datasets_spec.storage.place import Place, S3Place
from datasets_spec.store.store import open_store
from tests.benchmarks.data import GIB, prepare, record, say
from tests.makers.distant import distant
from tests.makers.s3_server import S3Server, client_of, plan_s3, run_s3
from trainers.rows.stored_rows import COLUMNS

_NUM_FEW = 8  # images of a preparation that is all start-up
_NUM_OPENED = 800  # a pack has 1,024 at most
# Pixels of an image, and of what it is made of: unlike each other, so that few pairs are compared.
_SIDE, _CELLS = 256, 12


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--num-images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--folder", type=Path, help="where images are kept between runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        found = measure_buckets(
            folder, Path(scratch), arguments.num_images, rounds=arguments.rounds, delay_s=arguments.delay_ms / 1000
        )
    print(json.dumps(found))  # noqa: T201


def measure_buckets(
    folder: Path, scratch: Path, num_images: int, *, rounds: int = 1, delay_s: float = 0.0
) -> dict[str, float]:
    """Runs a server and measures beside it.

    Args:
        folder: Where images are kept.
        scratch: Where the server and stores lie.
        num_images: How many images.
        rounds: How often each side is prepared.
        delay_s: Pause before each answer of the server.
    """
    server = plan_s3()
    with ExitStack() as stack:
        (scratch / "s3").mkdir()
        stack.enter_context(run_s3(server, scratch / "s3"))
        endpoint = stack.enter_context(distant(server.endpoint, delay_s=delay_s))
        stack.enter_context(patch.dict(os.environ, {**server.environment, "AWS_ENDPOINT_URL": endpoint}))
        found = measure(folder, scratch, server, num_images, rounds)
    about = {"buckets_images": num_images, "buckets_delay_ms": delay_s * 1000, "buckets_load": os.getloadavg()[0]}
    return {**about, **found}


def measure(folder: Path, scratch: Path, server: S3Server, num_images: int, rounds: int) -> dict[str, float]:
    """Opens images in one process, then prepares all; start-up, as a few images take it, is taken off each side."""
    import ray

    catalogs: dict[str, dict[int, Path]] = {"disk": {}, "bucket": {}}
    for num in (_NUM_FEW, num_images):
        catalogs["disk"][num] = on_disk(folder / f"unlike-{num}", num)
        catalogs["bucket"][num] = in_bucket(catalogs["disk"][num], scratch / str(num), server)
    opened = {
        f"open_{place}_{unit}": ms for place in catalogs for unit, ms in opening(catalogs[place][num_images]).items()
    }
    say(f"opening in one process, ms an image: {opened}")
    # Where images lie, and where the store does.
    disk, bucket = scratch / "store", S3Place(server.bucket, "store")
    sides: dict[str, tuple[str, Place]] = {
        "disk": ("disk", disk),
        "images_in_bucket": ("bucket", disk),
        "store_in_bucket": ("disk", bucket),
        "both_in_bucket": ("bucket", bucket),
    }

    def spent_s(side: str, num: int) -> float:
        images, store = sides[side]
        return prepare(catalogs[images][num], store=store)

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=GIB)
    try:
        spent_s("disk", _NUM_FEW)  # starts Ray's workers
        start_up = {side: spent_s(side, _NUM_FEW) for side in sides}
        spent: dict[str, list[float]] = {side: [] for side in sides}
        read: dict[str, list[float]] = {side: [] for side in ("disk", "store_in_bucket")}
        for _ in range(rounds):
            for side in sides:
                spent[side].append(spent_s(side, num_images) - start_up[side])
                load = os.getloadavg()[0]
                say(f"{side}: {spent[side][-1]:.1f} s without start-up ({start_up[side]:.1f} s), load {load:.1f}")
                if side in read:
                    read[side].append(reading_s(sides[side][1]))
                    say(f"{side}: {read[side][-1]:.1f} s to read all rows with their images")
    finally:
        ray.shutdown()
    middle = {f"{side}_s": round(statistics.median(times), 1) for side, times in spent.items()}
    ratios = {f"ratio_{side}": ratio(times, spent["disk"]) for side, times in spent.items() if side != "disk"}
    return {**opened, **middle, **ratios, "ratio_reading": ratio(read["store_in_bucket"], read["disk"])}


def ratio(times: Sequence[float], beside: Sequence[float]) -> float:
    """Median over the rounds of one side's time by the other's."""
    return round(statistics.median(one / other for one, other in zip(times, beside, strict=True)), 2)


def reading_s(place: Place) -> float:
    """Seconds to read all rows of a store with their images, in one process, as a study's job does."""
    start_s = time.perf_counter()
    with open_store(place) as store:
        for subset in store.subsets:
            for split in SPLITS:
                for _ in store.read_groups(subset, split, columns=COLUMNS):
                    pass
    return time.perf_counter() - start_s


def opening(catalog_path: Path) -> dict[str, float]:
    """Milliseconds of the clock and of this process's processors an image, to open and pack it."""
    catalog = load_catalog(catalog_path)
    limits = ImageLimits()
    root = str(catalog.image_root("s"))
    places = [ImagePlace(root, f"images/0000/{index}.jpg", False) for index in range(_NUM_OPENED)]
    with tempfile.TemporaryDirectory() as folder:
        for few in (places[:_NUM_FEW], places):  # the first round loads what is needed
            order = OpeningOrder(np.arange(len(few)), few)
            start_s, start_cpu_s = time.perf_counter(), time.process_time()
            open_block(order, packs=Path(folder), staging=Path(folder), limits=limits, opening="")
            spent_s, spent_cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    return {"ms": round(1e3 * spent_s / len(places), 2), "cpu_ms": round(1e3 * spent_cpu_s / len(places), 2)}


def on_disk(root: Path, num_images: int) -> Path:
    """Writes images of some 5 KB and a catalog, unless a former run has; returns the catalog."""
    catalog = root / "catalog.yaml"
    if catalog.exists():
        return catalog
    records = []
    for index in range(num_images):
        path = root / f"images/{index // 1000:04d}/{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.frombytes("L", (_CELLS, _CELLS), random.Random(index).randbytes(_CELLS * _CELLS))
        coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(path, quality=90)
        records.append(record(index, path.relative_to(root).as_posix()))
    (root / "rows.json").write_text(json.dumps(records), encoding="utf-8")
    subset = {"name": "s", "modality": "CT", "area": "Kidney", "task": "t", "format": "med_mat", "pool": ["rows.json"]}
    catalog.write_text(json.dumps({"name": "bench", "subsets": [subset]}), encoding="utf-8")
    return catalog


def in_bucket(catalog: Path, folder: Path, server: S3Server) -> Path:
    """Copies a corpus into the server's bucket; returns a catalog of it in a folder."""
    root, prefix = catalog.parent, catalog.parent.name
    client = client_of(server)

    def put(path: Path) -> None:
        key = f"{prefix}/{path.relative_to(root).as_posix()}"
        client.put_object(Bucket=server.bucket, Key=key, Body=path.read_bytes())

    files: Sequence[Path] = [root / "rows.json", *(path for path in (root / "images").rglob("*") if path.is_file())]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(put, files))
    written = json.loads(catalog.read_text(encoding="utf-8"))
    written["image_root"] = f"s3://{server.bucket}/{prefix}"
    written["subsets"][0]["pool"] = [f"s3://{server.bucket}/{prefix}/rows.json"]
    folder.mkdir(parents=True)
    (folder / catalog.name).write_text(json.dumps(written), encoding="utf-8")
    return folder / catalog.name


if __name__ == "__main__":
    main()
