"""Stored rows for other tools: a Hugging Face dataset folder, LLaVA JSON, or ShareGPT with ``dataset_info.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from datasets_spec.boxes import BOX_INSTRUCTION
from datasets_spec.catalog.catalog import NOT_STATED, Catalog
from datasets_spec.errors import UserError
from datasets_spec.store.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

ExportFormat = Literal["hf", "llava", "sharegpt"]
EXPORT_FORMATS: tuple[str, ...] = get_args(ExportFormat)
INSTRUCTION = "Answer with the option's letter from the given choices directly."
_ROWS_PER_PART = 1000
# Half of what the library `datasets` makes a shard of, and far from the 2 GiB that an Arrow array of bytes can hold.
_BYTES_PER_PART = 256 * 1024 * 1024
_COLUMNS = ["sample_id", "question", "options", "answer", "answer_index", "answer_kind", "images"]
# What the library `datasets` reads a column's type from.
_FEATURES = {
    "id": {"dtype": "string", "_type": "Value"},
    "subset": {"dtype": "string", "_type": "Value"},
    "images": {"feature": {"_type": "Image"}, "_type": "List"},
    "messages": {
        "feature": {
            "role": {"dtype": "string", "_type": "Value"},
            "content": {"dtype": "string", "_type": "Value"},
        },
        "_type": "List",
    },
}


def export_rows(
    store: Store, catalog: Catalog, num_rows: Mapping[str, int], folder: Path, export_format: ExportFormat
) -> int:
    """Writes the first training rows of subsets for another tool.

    Args:
        store: The store.
        catalog: What it was prepared from; licences and origins come from it.
        num_rows: Rows by subset: a composition.
        folder: Where to; must not exist, or be empty.
        export_format: For which tool.

    Returns:
        The number of rows written.

    Raises:
        UserError: The folder is not empty.
        StoreError: There are fewer rows, or no such subset.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty and stays as it is", hint="choose a new folder")
    for name, num in num_rows.items():
        store.read(name, "train", num_rows=num, columns=["sample_id"])
    folder.mkdir(parents=True, exist_ok=True)
    write: Callable[[Path, Iterator[dict[str, Any]]], int] = {
        "hf": _write_hf,
        "llava": _write_llava,
        "sharegpt": _write_sharegpt,
    }[export_format]
    total = write(folder, _rows(store, num_rows))
    (folder / "README.md").write_text(_card(catalog, num_rows, export_format), encoding="utf-8")
    return total


def _rows(store: Store, num_rows: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    for name, num in num_rows.items():
        for table in store.read_groups(name, "train", num_rows=num, columns=_COLUMNS):
            for row in table.to_pylist():
                yield {**row, "subset": name}


def _asked(row: Mapping[str, Any]) -> str:
    lines = [f"{chr(65 + index)}: {option}" for index, option in enumerate(row["options"])]
    closing = INSTRUCTION if lines else BOX_INSTRUCTION if row["answer_kind"] == "box" else None
    return "\n".join([row["question"], *lines, *([closing] if closing else [])])


def _answered(row: Mapping[str, Any]) -> str:
    return chr(65 + row["answer_index"]) if row["options"] else str(row["answer"])


def _saved(folder: Path, row: Mapping[str, Any]) -> list[str]:
    """Writes the images of a row, equal ones once; returns their paths."""
    paths = []
    for data in row["images"]:
        suffix = ".png" if data.startswith(b"\x89PNG") else ".jpg"
        path = folder / "images" / (hashlib.sha256(data).hexdigest()[:24] + suffix)
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            path.write_bytes(data)
        paths.append(path.relative_to(folder).as_posix())
    return paths


def _turns(row: Mapping[str, Any]) -> list[dict[str, str]]:
    tags = "<image>" * len(row["images"]) + "\n"
    return [{"from": "human", "value": tags + _asked(row)}, {"from": "gpt", "value": _answered(row)}]


def _write_array(path: Path, records: Iterator[dict[str, Any]]) -> int:
    num = 0
    with path.open("w", encoding="utf-8") as file:
        for num, record in enumerate(records, start=1):
            file.write(("[\n" if num == 1 else ",\n") + json.dumps(record, ensure_ascii=False))
        file.write("\n]\n" if num else "[]\n")
    return num


def _write_llava(folder: Path, rows: Iterator[dict[str, Any]]) -> int:
    def record(row: dict[str, Any]) -> dict[str, Any]:
        paths = _saved(folder, row)
        # The tool takes a text for one image and a list for several.
        return {
            "id": row["sample_id"],
            "image": paths[0] if len(paths) == 1 else paths,
            "conversations": _turns(row),
        }

    return _write_array(folder / "train.json", map(record, rows))


def _write_sharegpt(folder: Path, rows: Iterator[dict[str, Any]]) -> int:
    num = _write_array(
        folder / "train.json", ({"conversations": _turns(row), "images": _saved(folder, row)} for row in rows)
    )
    described = {
        "file_name": "train.json",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "images": "images"},
        "tags": {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"},
    }
    (folder / "dataset_info.json").write_text(json.dumps({"recombine": described}, indent=1) + "\n", encoding="utf-8")
    return num


def _hf_schema() -> pa.Schema:
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    fields = {"id": pa.string(), "subset": pa.string(), "images": pa.list_(image), "messages": pa.list_(message)}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})})


def _write_hf(folder: Path, rows: Iterator[dict[str, Any]]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def record(row: dict[str, Any]) -> dict[str, Any]:
        tags = "<image>" * len(row["images"])
        return {
            "id": row["sample_id"],
            "subset": row["subset"],
            "images": [{"bytes": data, "path": None} for data in row["images"]],
            "messages": [
                {"role": "user", "content": tags + _asked(row)},
                {"role": "assistant", "content": _answered(row)},
            ],
        }

    (folder / "data").mkdir()
    records = map(record, rows)
    total = number = 0
    while True:
        part = _next_part(records)
        if not part and number:
            return total
        path = folder / "data" / f"train-{number:05d}.parquet"
        pq.write_table(pa.Table.from_pylist(part, schema=_hf_schema()), path, row_group_size=100)
        total, number = total + len(part), number + 1


def _next_part(records: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    part: list[dict[str, Any]] = []
    num_bytes = 0
    for record in islice(records, _ROWS_PER_PART):
        part.append(record)
        num_bytes += sum(len(image["bytes"]) for image in record["images"])
        if num_bytes >= _BYTES_PER_PART:
            break
    return part


def _card(catalog: Catalog, num_rows: Mapping[str, int], export_format: str) -> str:
    """A dataset card: what is in it, from where, under which terms; no question and no path of an image."""
    import yaml

    head: dict[str, Any] = {"task_categories": ["visual-question-answering"], "tags": ["medical"], "license": "other"}
    if export_format == "hf":
        files = [{"split": "train", "path": "data/train-*.parquet"}]
        head["configs"] = [{"config_name": "default", "data_files": files}]
    lines = ["---", yaml.safe_dump(head, sort_keys=False).rstrip(), "---", ""]
    lines += [f"# Training mix of {catalog.spec.name}", ""]
    lines += ["Selected by Recombine. Images are upright and carry no metadata. Terms are those of each source.", ""]
    lines += ["| subset | modality | area | task | rows | licence | origin |", "|---|---|---|---|---|---|---|"]
    for name, num in num_rows.items():
        spec = catalog.subset(name)
        licence = catalog.licence_of(name) or NOT_STATED
        cells = (name, spec.modality, spec.area, spec.task, str(num), licence, spec.origin or "")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
