"""Speed and memory of the way in, measured: `make bench-data`, or with sizes of your own.

Run as `python -m tests.benchmarks.data --help`. The last line is one JSON object. Images are phantom scenes, written
once a size, half as PNG and half as JPEG; JSON rows have Med-MAT's shape. What is compared with is one process that
does the same to every image with Pillow and functions that never change (`frozen`), without splits, quarantine and the
search for copies; and `datasets.map` in two processes, for which the library is installed into a folder of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from datasets_spec.storage.files import remove_folder
from datasets_spec.storage.place import Place

QUESTION = "Review this scan and determine the condition."
LABELS = ("normal", "cyst", "stone", "tumor")
GIB = 1 << 30
# `search` is `prepare` with the search for copies too, which takes most of an hour at full size.
PARTS = ("json", "leakage", "prepare", "search", "again", "buckets")


def main() -> None:
    """Measures what was asked for and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--num-images", type=int, default=200_000)
    parser.add_argument("--num-images-small", type=int, default=20_000, help="to see whether cost grows")
    parser.add_argument("--num-photos", type=int, default=20_000, help="of 512 x 512")
    parser.add_argument("--num-json-rows", type=int, default=2_400_000)
    parser.add_argument("--num-train-looks", type=int, default=200_000)
    parser.add_argument("--num-eval-looks", type=int, default=20_000)
    parser.add_argument("--num-copies", type=int, default=500, help="planted pairs that are compared by pixels")
    parser.add_argument("--folder", type=Path, help="where images are kept between runs")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        found: dict[str, Any] = {"num_images": arguments.num_images}
        if "json" in arguments.parts:
            found |= measure_json(Path(scratch), arguments.num_json_rows)
        if "leakage" in arguments.parts:
            found |= measure_leakage(arguments.num_train_looks, arguments.num_eval_looks, arguments.num_copies)
        if {"prepare", "search"} & {*arguments.parts}:
            sizes = (arguments.num_images_small, arguments.num_images, arguments.num_photos)
            found |= measure_prepare(folder, Path(scratch), *sizes, with_search="search" in arguments.parts)
        if "again" in arguments.parts:
            from tests.benchmarks.prepare_again import measure_again

            found |= measure_again(Path(scratch), arguments.num_images_small, arguments.num_photos // 10)
        if "buckets" in arguments.parts:
            from tests.benchmarks.buckets import measure_buckets

            found |= measure_buckets(folder, Path(scratch), arguments.num_images_small)
    print(json.dumps(found))  # noqa: T201


def record(index: int, image: str) -> dict[str, Any]:
    """A record of Med-MAT's shape and size."""
    lines = "\n".join(f"{chr(65 + n)}: {label}" for n, label in enumerate(LABELS))
    ask = "Answer with the option's letter from the given choices directly."
    return {
        "id": index + 1,
        "caption": LABELS[index % 4],
        "image": image,
        "Question": QUESTION,
        "Answer": LABELS[index % 4],
        "Question-choice": f"{QUESTION}\n{lines}\n{ask}",
        "Answer-choice": chr(65 + index % 4),
        "data-no": "2",
    }


def say(text: str) -> None:
    """Prints progress."""
    print(text, flush=True)  # noqa: T201


def measure_json(folder: Path, num_rows: int) -> dict[str, Any]:
    """Reads and counts rows of one array; the generated file is removed."""
    from datasets_spec.readers import get_reader
    from datasets_spec.sample import RawSample

    path = folder / "rows.json"
    with path.open("w", encoding="utf-8") as file:
        for index in range(num_rows):
            image = f"med-mat/CT_Kidney/scans of {index % 997}/Cyst- ({index}).jpg"
            file.write(("[" if index == 0 else ",\n") + json.dumps(record(index, image)))
        file.write("]")
    num_bytes = path.stat().st_size
    start, start_cpu = time.perf_counter(), time.process_time()
    counts = Counter(
        row.label if isinstance(row, RawSample) else "?" for row in get_reader("med_mat")(path, subset="s")
    )
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
    path.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    say(
        f"json: {counts.total()} rows, {num_bytes / GIB:.2f} GiB, {seconds:.1f} s ({cpu_s:.1f} s of processor), "
        f"labels {dict(counts)}"
    )
    return {"json_rows": counts.total(), "json_s": round(seconds, 1), "json_peak_gib": round(peak, 2)}


def measure_leakage(num_train: int, num_eval: int, num_copies: int) -> dict[str, Any]:
    """Shortlists drawn looks, with planted copies among them, and compares real planted copies by pixels."""
    from datasets_spec.copies.looks import NUM_FREQUENCIES, rounded
    from datasets_spec.copies.picture import picture_of
    from datasets_spec.copies.pixel_agreement import compare
    from datasets_spec.copies.shortlist import shortlist
    from tests.makers.planted import MILD, phantom_image

    rng = np.random.default_rng(0)
    looks = np.stack([rounded(rng.normal(size=(num_train + num_eval, NUM_FREQUENCIES))) for _ in range(2)], axis=1)
    looks[num_train : num_train + num_copies] = looks[:num_copies]
    start, start_cpu = time.perf_counter(), time.process_time()
    pairs = shortlist(looks)
    shortlist_s, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
    images = [phantom_image(number) for number in range(num_copies)]
    copies = [MILD["JPEG 90"](image, rng) for image in images]
    start = time.perf_counter()
    confirmed = sum(compare(picture_of(one), picture_of(two)).is_copy for one, two in zip(images, copies, strict=True))
    compare_s = time.perf_counter() - start
    say(
        f"leakage: {num_train} x {num_eval} looks: {len(pairs.first)} pairs in {shortlist_s:.1f} s "
        f"({cpu_s:.1f} s of processor); {confirmed} of {num_copies} planted copies confirmed in {compare_s:.1f} s"
    )
    return {"leakage_s": round(shortlist_s + compare_s, 1)}


def write_corpus(folder: Path, num_images: int, kind: str = "phantom") -> Path:
    """Writes images and a catalog, unless a former run has; returns the catalog."""
    from tests.makers.planted import phantom_image, photo_like_image

    root = folder / f"{kind}-{num_images}"
    catalog = root / "catalog.yaml"
    if catalog.exists():
        return catalog
    records = []
    for index in range(num_images):
        name = f"images/{index // 1000:04d}/{index}.{'png' if index % 2 else 'jpg'}"
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = phantom_image(index) if kind == "phantom" else photo_like_image(index, size=512)
        image.save(path) if index % 2 else image.save(path, "JPEG", quality=95)
        records.append(record(index, name))
    (root / "rows.json").write_text(json.dumps(records))
    subset = {"name": "s", "modality": "CT", "area": "Kidney", "task": "t", "format": "med_mat", "pool": ["rows.json"]}
    catalog.write_text(json.dumps({"name": "bench", "subsets": [subset], "leakage": {"near": "warn"}}))
    return catalog


def prepare(catalog_path: Path, *, with_search: bool = True, store: Place | None = None) -> float:
    """Seconds to prepare a store from nothing, with or without the search for copies; by default beside the catalog."""
    from datasets_spec.catalog.catalog import load_catalog
    from datasets_spec.copies.groups import CopyGroups, CopySearch
    from datasets_spec.prepare import build_store
    from datasets_spec.prepare.prepare_store import prepare_store

    def found_none(*_: object, **__: object) -> CopyGroups:
        return CopyGroups(search=CopySearch())

    store = store or catalog_path.parent / "store"
    remove_folder(store)
    with nullcontext() if with_search else patch.object(build_store, "group_copies", found_none):
        start = time.perf_counter()
        prepare_store(load_catalog(catalog_path), store)
        return time.perf_counter() - start


def plain_loop(catalog_path: Path) -> float:
    """Seconds of one process that does to every image what preparing does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.benchmarks.frozen.learned import learned

    root = catalog_path.parent
    start = time.perf_counter()
    rows = [learned(item, root) for item in json.loads((root / "rows.json").read_text())]
    pq.write_table(pa.Table.from_pylist(rows), root / "loop.parquet", compression="zstd")
    return time.perf_counter() - start


# Run by a Python that has the library of the index, installed for this alone.
DATASETS_MAP = """
import json, sys, time
from pathlib import Path
import datasets
from tests.benchmarks.frozen.learned import learned
root, cache = Path(sys.argv[1]), sys.argv[2]
datasets.disable_progress_bars()
start = time.perf_counter()
rows = datasets.Dataset.from_list(json.loads((root / "rows.json").read_text()))
rows.map(learned, fn_kwargs={"root": root}, num_proc=2, cache_file_name=cache + "/rows.arrow")
print(time.perf_counter() - start)
"""


def datasets_map(catalog_path: Path, scratch: Path) -> float | None:
    """Seconds of the same by `datasets.map` in two processes; None where the library cannot be installed."""
    library = scratch / "library"
    if not library.exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(library)]
        done = subprocess.run([*pip, "datasets", "dill", "multiprocess", "xxhash"], check=False, capture_output=True)
        if done.returncode != 0:
            return None
    cache = Path(tempfile.mkdtemp(dir=scratch))
    env = {**os.environ, "PYTHONPATH": f"{Path(__file__).resolve().parents[2]}:{library}", "HF_HOME": str(cache)}
    command = [sys.executable, "-c", DATASETS_MAP, str(catalog_path.parent), str(cache)]
    done = subprocess.run(command, check=False, capture_output=True, env=env)
    if done.returncode != 0:
        say(done.stderr.decode()[-300:])
        return None
    return float(done.stdout)


class Memory:
    """Peak of the proportional memory of this process and its children, sampled."""

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        import psutil  # type: ignore[import-untyped]

        me = psutil.Process()
        while not self._stop.wait(1.0):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.peak = max(self.peak, total)

    def stop(self) -> float:
        """Ends the watch; returns the peak in GiB."""
        self._stop.set()
        self._thread.join()
        return self.peak / GIB


def measure_prepare(
    folder: Path, scratch: Path, num_small: int, num_large: int, num_photos: int, *, with_search: bool
) -> dict[str, Any]:
    """Prepares small and large corpora without and perhaps with the search for copies, beside a plain loop."""
    import ray

    sizes = [("phantom", num_small), ("phantom", num_large), ("photo", num_photos)]
    corpora = {(kind, num): write_corpus(folder, num, kind) for kind, num in sizes if num}
    few = write_corpus(folder, 8)
    # In a process of its own: what it holds of 200,000 rows is none of the memory that preparing takes.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        loops = dict(zip(corpora, apart.map(plain_loop, corpora.values()), strict=True))
    maps = {key: datasets_map(path, scratch) for key, path in corpora.items()}
    memory = Memory()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=GIB)
    try:
        prepare(few)
        start_up_s = prepare(few)
        without = {key: prepare(path, with_search=False) - start_up_s for key, path in corpora.items()}
        whole = {key: prepare(path) - start_up_s for key, path in corpora.items()} if with_search else {}
    finally:
        ray.shutdown()
    found: dict[str, Any] = {"start_up_s": round(start_up_s, 2), "peak_gib": round(memory.stop(), 2)}
    for (kind, num), loop_s in loops.items():
        key, mapped = (kind, num), maps[kind, num]
        found[f"{kind}_{num}"] = {
            "loop_ms_an_image": round(loop_s / num * 1e3, 3),
            "ms_an_image": round(without[key] / num * 1e3, 3),
            "ratio_loop": round(loop_s / without[key], 2),
            "ratio_datasets_map": mapped and round(mapped / without[key], 2),
        }
        if with_search:
            found[f"{kind}_{num}"]["search_ms_an_image"] = round((whole[key] - without[key]) / num * 1e3, 3)
        say(f"prepare: {num} {kind} images: {found[f'{kind}_{num}']}")
    small, large = (("phantom", num) for num in (num_small, num_large))
    if {small, large} <= without.keys():
        found["cost_growth"] = round((without[large] / num_large) / (without[small] / num_small), 2)
    return found


if __name__ == "__main__":
    main()
