"""The table that comes with the package: every composition of eight phantom sources, really fine-tuned, three seeds."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np

from datasets_spec.atomic import replace_file
from datasets_spec.errors import UserError
from search.bench.known_truth.table import KnownTruthTable, load_table

SHIPPED: Final = ("phantom",)
# `phantom@1` is the same table with its second seed first, which is the one that a search sees. Regrets of the three
# orders together vary less than those of one; they count as one table where intervals are drawn.
SEED_MARK: Final = "@"
COLUMNS: Final = ("seed", "sources", "target", "num_val", "correct_val", "num_test", "correct_test")
PROXY: Final = "proxy"  # of (sources, target); absent where merges were not scored


def open_table(name_or_file: Path) -> KnownTruthTable:
    """A shipped table by name (`phantom`, `phantom@1`), else the NPZ or Parquet file of that path.

    Raises:
        UserError: there is no such table, or it is damaged.
    """
    name, mark, order = str(name_or_file).partition(SEED_MARK)
    if name in SHIPPED:
        with resources.as_file(resources.files("search.bench.known_truth") / f"{name}.parquet") as path:
            table = read_parquet(path)
        return _with_first_seed(table, order) if mark else table
    if name_or_file.suffix == ".parquet":
        return read_parquet(name_or_file)
    if not name_or_file.is_file():
        raise UserError(
            f"{name_or_file}: there is no such file", hint=f"tables that are there by name: {', '.join(SHIPPED)}"
        )
    return load_table(name_or_file)


def cluster_name(table: str) -> str:
    """The table without the order of its seeds: what an interval must not count twice."""
    return table.partition(SEED_MARK)[0]


def _with_first_seed(table: KnownTruthTable, order: str) -> KnownTruthTable:
    num_seeds = table.val.shape[0]
    if order not in {str(k) for k in range(num_seeds)}:
        raise UserError(f"{table.name} has no seed {order!r}", hint=f"its seeds are 0 to {num_seeds - 1}")
    rolled = np.roll(np.arange(num_seeds), -int(order))
    name = f"{table.name}{SEED_MARK}{order}"
    return replace(table, name=name, val=table.val[rolled], test=table.test[rolled])


def write_parquet(table: KnownTruthTable, path: Path) -> Path:
    """Write a table: one row for each (seed, composition, target), with counts of correct answers.

    Args:
        table: its keys must be distinct; sources and targets are named by them.
        path: file to write, replaced at once.

    Returns:
        `path`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sources, targets = [_name(k) for k in table.source_mat], [_name(k) for k in table.target_mat]
    names = ["+".join(s for s, held in zip(sources, row, strict=True) if held) for row in table.subsets.tolist()]
    num_seeds, num_compositions, _ = table.val.shape
    seeds, places, columns = np.unravel_index(np.arange(table.val.size), table.val.shape)
    num_val, num_test = np.tile(table.num_val, num_seeds * num_compositions), table.num_test[columns]
    rows = {
        "seed": pa.array(seeds, pa.int8()),
        "sources": pa.array([names[c] for c in places]).dictionary_encode(),
        "target": pa.array([targets[t] for t in columns]).dictionary_encode(),
        "num_val": pa.array(num_val, pa.int32()),
        "correct_val": pa.array(np.rint(table.val.ravel() * num_val), pa.int32()),
        "num_test": pa.array(num_test, pa.int32()),
        "correct_test": pa.array(np.rint(table.test.ravel() * num_test), pa.int32()),
    }
    if table.proxy is not None:
        rows[PROXY] = pa.array(np.tile(table.proxy.ravel(), num_seeds), pa.float32())
    written = pa.table(rows)
    replace_file(path, lambda temporary: pq.write_table(written, temporary, write_page_checksum=True))
    return path


def read_parquet(path: Path) -> KnownTruthTable:
    """Read what `write_parquet` wrote; the table's name is the file's.

    Raises:
        UserError: the file is missing or lacks columns, or a (seed, composition, target) is missing or there twice.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame: pd.DataFrame = pq.read_table(path, page_checksum_verification=True).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: no readable Parquet file ({type(error).__name__})") from error
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}", hint=f"columns: {', '.join(COLUMNS)}")
    frame = frame.astype({"sources": str, "target": str})
    seeds, targets = sorted(frame["seed"].unique()), list(dict.fromkeys(frame["target"]))
    compositions = list(dict.fromkeys(frame["sources"]))
    index = pd.MultiIndex.from_product([seeds, compositions, targets], names=["seed", "sources", "target"])
    keyed = frame.set_index(["seed", "sources", "target"])
    if len(frame) != len(index) or keyed.index.has_duplicates or len(seeds) < 2:
        raise UserError(f"{path}: {len(frame)} rows; every seed, composition and target must be there once")
    keyed = keyed.loc[index]
    shape = (len(seeds), len(compositions), len(targets))
    sources = sorted({source for composition in compositions for source in composition.split("+")})
    return KnownTruthTable(
        name=path.stem,
        subsets=np.array([[s in c.split("+") for s in sources] for c in compositions], dtype=np.int8),
        val=(keyed["correct_val"] / keyed["num_val"]).to_numpy(dtype=np.float64).reshape(shape),
        test=(keyed["correct_test"] / keyed["num_test"]).to_numpy(dtype=np.float64).reshape(shape),
        source_mat=tuple((*source.split("-"), "none")[:4] for source in sources),
        target_mat=tuple((*target.split("-"), "none")[:4] for target in targets),
        num_val=keyed["num_val"].to_numpy(dtype=np.int64)[: len(targets)],
        num_test=keyed["num_test"].to_numpy(dtype=np.int64)[: len(targets)],
        proxy=keyed[PROXY].to_numpy(dtype=np.float64).reshape(shape)[0] if PROXY in keyed else None,
    )


def _name(key: tuple[str, ...]) -> str:
    return "-".join(element for element in key if element != "none")
