"""What preparing costs from a bucket beside from a disk; both sides in one run, in alternating rounds.

Run as `python -m tests.benchmarks.buckets`. The last line is one JSON object. The server (SeaweedFS) runs on the same
machine, so its processor time is in the bucket's side; `--delay-ms` puts a pause before each of its answers, as of one
that is further away. Stores lie on the disk on both sides.
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

import numpy as np
from PIL import Image

from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.images.limits import ImageLimits
from datasets_spec.prepare.opening.open_block import OpeningOrder, open_block
from datasets_spec.prepare.opening.wanted_images import ImagePlace
from tests.benchmarks.data import GIB, prepare, record, say
from tests.makers.distant import distant
from tests.makers.s3_server import S3Server, client_of, plan_s3, run_s3

_NUM_FEW = 8  # images of a preparation that is all start-up
_NUM_OPENED = 800  # a pack has 1,024 at most
_SIDE, _CELLS = (
    256,
    12,
)  # pixels of an image, and of what it is made of: unlike each other, so that few pairs are compared


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--num-images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--folder", type=Path, help="where images are kept between runs")
    arguments = parser.parse_args()
    server = plan_s3()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (scratch / "s3").mkdir()
        stack.enter_context(run_s3(server, scratch / "s3"))
        endpoint = stack.enter_context(distant(server.endpoint, delay_s=arguments.delay_ms / 1000))
        os.environ.update({**server.environment, "AWS_ENDPOINT_URL": endpoint})
        found = measure(arguments.folder or scratch, scratch, server, arguments.num_images, arguments.rounds)
    print(json.dumps({**found, "delay_ms": arguments.delay_ms, "load": os.getloadavg()[0]}))  # noqa: T201


def measure(folder: Path, scratch: Path, server: S3Server, num_images: int, rounds: int) -> dict[str, float]:
    """Opens images in one process, then prepares all; start-up, as a few images take it, is taken off each side."""
    import ray

    sides: dict[str, dict[int, Path]] = {"disk": {}, "bucket": {}}
    for num in (_NUM_FEW, num_images):
        sides["disk"][num] = on_disk(folder / f"unlike-{num}", num)
        sides["bucket"][num] = in_bucket(sides["disk"][num], scratch / str(num), server)
    opened = {f"open_{side}_{unit}": ms for side in sides for unit, ms in opening(sides[side][num_images]).items()}
    say(f"opening in one process, ms an image: {opened}")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=GIB)
    try:
        prepare(sides["disk"][_NUM_FEW])  # starts Ray's workers
        start_up = {side: prepare(catalogs[_NUM_FEW]) for side, catalogs in sides.items()}
        spent: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side, catalogs in sides.items():
                spent[side].append(prepare(catalogs[num_images]) - start_up[side])
                load = os.getloadavg()[0]
                say(f"{side}: {spent[side][-1]:.1f} s without start-up ({start_up[side]:.1f} s), load {load:.1f}")
    finally:
        ray.shutdown()
    ratios = [bucket / disk for disk, bucket in zip(spent["disk"], spent["bucket"], strict=True)]
    middle = {f"{side}_s": round(statistics.median(times), 1) for side, times in spent.items()}
    return {"num_images": num_images, **opened, **middle, "ratio_bucket_disk": round(statistics.median(ratios), 2)}


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
