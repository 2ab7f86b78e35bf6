"""A corpus of one of everything, prepared once: what a store, its export and its check are looked at by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.prepare.prepare_store import PreparedStore, prepare_store
from datasets_spec.sample import SPLITS
from datasets_spec.store.store import Store, open_store
from tests.makers.corpus import (
    encoded,
    mat_pool,
    mat_record,
    mim_record,
    picture,
    save_picture,
    subset_lines,
    write_catalog,
    write_json,
)

ABC = {"A": "left", "B": "right", "C": "neither"}


def spoil(root: Path, pool: list[dict[str, Any]]) -> dict[int, str]:
    """Makes rows of a pool unusable, each for another reason; returns index -> reason."""
    images = root / "images"

    def at(index: int) -> Path:
        return images / str(pool[index]["image"])

    at(0).unlink()
    data = encoded(Image.effect_noise((64, 64), 80), "JPEG")
    at(1).write_bytes(data[: len(data) // 2])
    at(2).write_bytes(b"not an image at all")
    at(3).write_bytes(encoded(Image.new("1", (1100, 1000))))
    at(4).write_bytes(encoded(Image.new("I;16", (4, 4), 999)))
    outside = root / "outside.png"
    outside.write_bytes(encoded(picture(9)))
    at(5).unlink()
    at(5).symlink_to(outside)
    pool[6]["image"] = "../outside.png"
    pool[7]["Question-choice"] = "A: x\nB: y"
    pool[8]["Answer-choice"] = "Q"
    pool[9] = {"nothing": "here"}
    pool[10]["Question-choice"] = "q\nA: x"
    at(11).write_bytes(b"")
    reasons = ["missing_image", "image_truncated", "image_format", "image_too_large", "image_format"]
    reasons += ["path_outside_root"] * 2 + ["empty_question", "answer_not_in_options", "malformed_row"]
    return dict(enumerate([*reasons, "too_few_options", "image_undecodable"]))


@dataclass
class Prepared:
    """The corpus, its store, and what was said on the way."""

    root: Path
    catalog: Catalog
    store: Store
    result: PreparedStore
    spoiled: dict[int, str]
    events: list[str]
    progress: list[str]


def write_corpus(root: Path) -> tuple[Catalog, dict[int, str]]:
    """Write it; returns its catalog, and why rows of `spoiled` cannot be used."""
    clean = mat_pool(root, "clean", 120, first=0, per_patient=3)
    spoiled = mat_pool(root, "spoiled", 60, first=1000)
    reasons = spoil(root, spoiled)
    spoiled[20] = spoiled[19] | {"id": 777}
    tested = mat_pool(root, "tested", 10, first=2000)
    # The planted leaks: a re-encoded copy of a test image, and a darker one.
    leak = root / "images" / "clean" / "leak.bmp"
    leak.write_bytes(encoded(picture(2003), "BMP"))
    clean.append(mat_record(120, "clean/leak.bmp", 0))
    ImageEnhance.Brightness(picture(2005)).enhance(0.9).save(root / "images" / "clean" / "dark.png")
    clean.append(mat_record(121, "clean/dark.png", 0))
    pairs = []
    for n in range(30):
        for side in (0, 1):
            save_picture(root / "images" / "eyes" / f"{n}_{side}.png", 3000 + 2 * n + side)
        names = [f"eyes/{n}_0.png", f"eyes/{n}_1.png"]
        pairs.append(mim_record(names, "Which eye is brighter?", ABC, "BA"[n % 2] + ": x"))
        pairs.append(mim_record(names, "Describe both eyes.", {}, f"Eyes of drawing {n}."))
    write_json(root / "clean.json", clean[:60])
    write_json(root / "more" / "clean-2.json", clean[60:])
    write_json(root / "spoiled.json", spoiled)
    write_json(root / "tested.json", tested)
    write_json(root / "pairs.json", pairs)
    eyes = {"format": "med_mim", "ability": "comparison", "group_pattern": r"/(\d+)_", "group_namespace": "eyes"}
    subsets = [
        subset_lines("02", pool=["clean.json", "more/clean-2.json"], group_pattern=r"/(p\d+)/"),
        subset_lines("spoiled", pool=["spoiled.json"]),
        subset_lines("tested", test=["tested.json"]),
        subset_lines("eyes-closed", pool=["pairs.json"], answer_kind="closed") | eyes,
        subset_lines("eyes-open", pool=["pairs.json"], answer_kind="open") | eyes,
    ]
    return write_catalog(root, subsets), reasons


def prepare_corpus(root: Path) -> Prepared:
    """Write the corpus and prepare it; Ray is connected."""
    catalog, spoiled = write_corpus(root)
    events: list[str] = []
    progress: list[str] = []
    result = prepare_store(
        catalog,
        root / "store",
        quarantine_limit=0.5,
        max_image_mpx=1.0,
        on_event=events.append,
        on_progress=progress.append,
    )
    return Prepared(root, catalog, open_store(root / "store"), result, spoiled, events, progress)


def all_rows(store: Store, *columns: str) -> list[dict[str, Any]]:
    """Some columns of all rows, and where they stand."""
    rows: list[dict[str, Any]] = []
    for subset in store.subsets:
        for split in SPLITS:
            rows += store.read(subset, split, columns=["subset", "split", *columns]).to_pylist()
    return rows
