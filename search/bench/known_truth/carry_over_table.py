"""Transfer matrices of several models from one file of values, published or one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from datasets_spec.errors import UserError
from search.statistics.carry_over import Matrix

COLUMNS: Final = ("backbone", "seed", "source", "target", "value")
HINT: Final = f"a CSV file with the columns {', '.join(COLUMNS)}, one row a training and target"


def load_matrices(path: Path) -> list[Matrix]:
    """Read a file of values; all matrices have its sources and targets in one order.

    Args:
        path: CSV with `COLUMNS`; further columns are ignored.

    Raises:
        UserError: no such file, a column is missing, a value is no number, or a training stands there twice.
    """
    import pandas as pd

    if not path.is_file():
        raise UserError(f"{path}: there is no such file", hint=HINT)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no CSV file ({error})", hint=HINT) from error
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise UserError(f"{path}: no column {', '.join(missing)}; found {', '.join(table.columns)}", hint=HINT)
    values = pd.to_numeric(table["value"], errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        line = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UserError(f"{path}:{line + 2}: value is {table['value'][line]!r}, which is no finite number", hint=HINT)
    keys = table[list(COLUMNS[:4])]
    if keys.duplicated().any():
        line = int(np.flatnonzero(keys.duplicated())[0])
        raise UserError(f"{path}:{line + 2}: {', '.join(keys.iloc[line])} stands there twice", hint=HINT)
    sources, targets = (tuple(dict.fromkeys(table[name])) for name in ("source", "target"))
    matrices = []
    for backbone in dict.fromkeys(table["backbone"]):
        own = table["backbone"] == backbone
        seeds = list(dict.fromkeys(table["seed"][own]))
        filled = np.full((len(seeds), len(sources), len(targets)), np.nan)
        for seed, source, target, value in zip(
            table["seed"][own], table["source"][own], table["target"][own], values[own.to_numpy()], strict=True
        ):
            filled[seeds.index(seed), sources.index(source), targets.index(target)] = value
        matrices.append(Matrix(backbone=backbone, values=filled, sources=sources, targets=targets))
    return matrices
