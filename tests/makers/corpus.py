"""A small published-style corpus on disk, with one example of everything that goes wrong in real files."""

from __future__ import annotations

import json
import random
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from datasets_spec.catalog.catalog import Catalog, load_catalog

INSTRUCTION = "Answer with the option's letter from the given choices directly."
LABELS = ("round", "square", "cross")


def picture(number: int, *, size: int = 12) -> Image.Image:
    """Returns a picture unlike that of every other number."""
    return Image.frombytes("RGB", (size, size), random.Random(number).randbytes(3 * size * size))


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def save_picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(number)))


def mat_record(index: int, image: str, gold: int, *, options: tuple[str, ...] = LABELS) -> dict[str, Any]:
    """Returns a record as Med-MAT publishes them."""
    question = "Which shape is drawn here?"
    lines = "\n".join(f"{chr(65 + i)}: {option}" for i, option in enumerate(options))
    return {
        "id": index + 1,
        "caption": options[gold],
        "image": image,
        "Question": question,
        "Answer": options[gold],
        "Question-choice": f"{question}\n{lines}\n{INSTRUCTION}",
        "Answer-choice": chr(65 + gold),
        "data-no": "7",
    }


def mim_record(
    images: list[str], question: str, options: dict[str, str], answer: str, *, tags: int | None = None
) -> dict[str, Any]:
    """Returns a record as Med-MIM publishes them."""
    lines = "".join(f"{letter}: {text}\n" for letter, text in options.items())
    user = "<image>" * (len(images) if tags is None else tags) + question + "\n" + lines
    return {
        "id": "SAME-0",
        "images": images,
        "conversation": [{"role": "user", "content": user}, {"role": "assistant", "content": answer}],
        "source": "drawn",
    }


def write_json(path: Path, records: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records), encoding="utf-8")


def mat_pool(root: Path, name: str, count: int, *, first: int, per_patient: int = 1) -> list[dict[str, Any]]:
    """Writes `count` images and returns their records; patients have `per_patient` images each."""
    records = []
    for index in range(count):
        image = f"{name}/p{index // per_patient}/im (%d).png" % index
        save_picture(root / "images" / image, first + index)
        records.append(mat_record(index, image, index % 3))
    return records


def subset_lines(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "modality": "CT", "area": "Lung", "task": name, "format": "med_mat", **fields}


def write_catalog(root: Path, subsets: list[dict[str, Any]], **fields: Any) -> Catalog:
    """Writes a catalog (JSON is YAML) and loads it the way a user's is loaded."""
    path = root / "catalog.yaml"
    write_json(path, {"name": "drawn", "image_root": "images", "subsets": subsets, **fields})
    return load_catalog(path)
