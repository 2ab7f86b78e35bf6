"""Write the corpus to disk in Med-MAT's and Med-MIM's own file formats, with a catalog.

The demo then walks the same way in as real data: JSON files, image folders and a catalog file.
Record formats: Med-MAT README (https://github.com/FreedomIntelligence/Med-MAT at d7721ae) and the files of
https://github.com/Xikai97/Med-MIM at c1cdc25.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from datasets_spec.errors import UserError
from datasets_spec.phantom.flaws import FLAWS, num_rows
from datasets_spec.phantom.free_answers import FREE_TASKS, LOCATING, FreeSample, free_keys, make_free_sample
from datasets_spec.phantom.questions import (
    INSTRUCTION,
    LETTERS,
    PhantomKey,
    PhantomSample,
    all_keys,
    make_sample,
    option_lines,
)
from datasets_spec.phantom.render import encode_png

CATALOG_FILE: Final = "catalog.yaml"
POOL, TEST = "train", "test"


def list_subsets() -> tuple[str, ...]:
    """Names of the subsets that are written when none is named: those answered by a letter."""
    return tuple(key.name for key in all_keys())


def _chosen(subsets: Sequence[str] | None) -> list[tuple[int, PhantomKey]]:
    """Number and key of each subset; the number is its place in the whole corpus, whatever is chosen."""
    numbered = {key.name: (number, key) for number, key in enumerate((*all_keys(), *free_keys()), start=1)}
    if subsets is None:
        return [numbered[name] for name in list_subsets()]
    for name in subsets:
        if name not in numbered:
            nearest = difflib.get_close_matches(name, numbered, n=1)
            hint = f"Did you mean '{nearest[0]}'?" if nearest else "Names look like 'xray-lung-staging'."
            raise UserError(f"The phantom corpus has no subset '{name}'.", hint=hint)
    return sorted({numbered[name] for name in subsets}, key=lambda pair: pair[0])


def _write_images(out_dir: Path, folder: str, index: int, images: Sequence[NDArray[np.uint8]]) -> list[str]:
    """Write a sample's images; returns their paths relative to the corpus folder."""
    suffixes = [""] if len(images) == 1 else [f"_{i + 1}" for i in range(len(images))]
    paths = [f"images/{folder}/{index:05d}{suffix}.png" for suffix in suffixes]
    for path, image in zip(paths, images, strict=True):
        (out_dir / path).write_bytes(encode_png(image))
    return paths


# The test file is sealed as a whole, so the pool makes the other three splits.
POOL_SHARES = {"train": 0.5, "search": 0.25, "confirm": 0.25, "sealed": 0.0}


def _med_mat_record(number: int, index: int, sample: PhantomSample, paths: list[str]) -> dict[str, Any]:
    answer = sample.options[sample.answer_index]
    return {
        "id": index + 1,
        "caption": sample.label,
        "image": paths[0],
        "Question": sample.question,
        "Answer": answer,
        "Question-choice": f"{sample.question}\n{option_lines(sample.options)}\n{INSTRUCTION}",
        "Answer-choice": LETTERS[sample.answer_index],
        "data-no": str(number),
    }


def _free_record(number: int, index: int, sample: FreeSample, paths: list[str]) -> dict[str, Any]:
    answer = {"Answer": sample.answer} if sample.answer else {"box": list(sample.box)}
    return {"id": index + 1, "image": paths[0], "Question": sample.question, **answer, "data-no": str(number)}


def _med_mim_record(key: PhantomKey, index: int, sample: PhantomSample, paths: list[str]) -> dict[str, Any]:
    gold = f"{LETTERS[sample.answer_index]}: {sample.options[sample.answer_index]}"
    question = f"{'<image>' * len(paths)}{sample.question}\n{option_lines(sample.options)}\n"
    return {
        "id": f"{key.name}-{index}",
        "images": paths,
        "conversation": [{"role": "user", "content": question}, {"role": "assistant", "content": gold}],
        "source": f"PHANTOM_multichoice_{key.modality}_{key.area}",
    }


def _file_name(number: int, key: PhantomKey, split: str) -> str:
    if key.ability == "none":
        return f"subsets/Subset--{number:02d}-{split}.json"
    return f"subsets/Med_MIM_{split}_{key.ability.capitalize()}_{key.modality}_{key.area}_{key.task}.json"


def _write_split(out_dir: Path, number: int, key: PhantomKey, split: str, *, seed: int, num: int) -> str:
    folder = f"{key.name}/{split}"
    (out_dir / "images" / folder).mkdir(parents=True, exist_ok=True)
    records = []
    for index in range(num):
        if key.task in FREE_TASKS:
            free = make_free_sample(key, seed=seed, split=split, index=index)
            records.append(_free_record(number, index, free, _write_images(out_dir, folder, index, [free.image])))
            continue
        sample = make_sample(key, seed=seed, split=split, index=index)
        paths = _write_images(out_dir, folder, index, sample.images)
        is_single = key.ability == "none"
        records.append(
            _med_mat_record(number, index, sample, paths) if is_single else _med_mim_record(key, index, sample, paths)
        )
    name = _file_name(number, key, split)
    (out_dir / name).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return name


def _answers(key: PhantomKey) -> dict[str, str]:
    if key.task == LOCATING:
        return {"answer_kind": "box", "box_form": "corners_pixels"}
    return {"answer_kind": "open" if key.task in FREE_TASKS else "closed"}


def _subset_entry(key: PhantomKey, pool: str, test: str) -> dict[str, Any]:
    return {
        "name": key.name,
        "modality": key.modality,
        "area": key.area,
        "task": key.task,
        "ability": key.ability,
        "format": "med_mat" if key.ability == "none" else "med_mim",
        "pool": [pool],
        "test": [test],
        **_answers(key),
        "origin": "phantom",
        **({"metadata": {"flaw": FLAWS[key.name].kind}} if key.name in FLAWS else {}),
    }


def write_phantom(
    out_dir: Path,
    *,
    seed: int = 0,
    subsets: Sequence[str] | None = None,
    num_pool: int = 400,
    num_test: int = 300,
) -> Path:
    """Write the corpus, or part of it, with a catalog beside it.

    The same arguments give byte-identical files; a larger ``num_pool`` only adds rows at the end; a subset's
    files do not depend on which others are written.

    Args:
        out_dir: folder to write into; made if it is missing.
        seed: of the whole corpus.
        subsets: names from ``list_subsets()`` or of ``free_keys()`` (naming, locating); the former, all 720, when None.
        num_pool: samples in each subset's train file, to be divided into train, search and confirm; a subset that is
            small on purpose has fewer.
        num_test: samples in each subset's test file, which stays sealed.

    Returns:
        Path of the catalog file.

    Raises:
        UserError: for a subset the corpus does not have, or counts below one.
    """
    if num_pool < 1 or num_test < 1:
        raise UserError(f"num_pool and num_test must be at least 1 (found {num_pool} and {num_test}).")
    entries = []
    (out_dir / "subsets").mkdir(parents=True, exist_ok=True)
    for number, key in _chosen(subsets):
        pool = _write_split(out_dir, number, key, POOL, seed=seed, num=num_rows(key.name, num_pool))
        test = _write_split(out_dir, number, key, TEST, seed=seed, num=num_test)
        entries.append(_subset_entry(key, pool, test))
    catalog = {
        "name": "phantom",
        "image_root": ".",
        "task_map": "identity",
        "shares": POOL_SHARES,
        # It asks for left and right: a mirrored scene is another one.
        "leakage": {"flips": False},
        "subsets": entries,
    }
    path = out_dir / CATALOG_FILE
    path.write_text(yaml.safe_dump(catalog, sort_keys=False), encoding="utf-8")
    return path
