"""The table type: accuracy of every composition on every target, and the file it lives in."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.atomic import replace_file
from datasets_spec.errors import UserError

NPZ_HINT: Final = (
    "arrays: subsets [C, N] of 0 and 1; val and test [seeds, C, targets] accuracies; source_mat [N, 3]; "
    "target_mat [targets, 3]; num_val and num_test [targets]; optional proxy [C, targets]"
)
REQUIRED: Final = ("subsets", "val", "test", "source_mat", "target_mat", "num_val", "num_test")

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownTruthTable:
    """What training on each of C compositions of N sources gave on each target, for several seeds.

    Attributes:
        name: of the table, as figures quote it.
        subsets: [C, N] 0/1, which sources a composition holds; each with an equal share.
        val: [seeds, C, targets] accuracy (0 to 1) on the questions that guide a search.
        test: [seeds, C, targets] accuracy on other questions, from which regret is taken.
        source_mat: [N] keys of the sources: modality, area, task and, where there is one, ability.
        target_mat: [targets] keys of the targets, likewise.
        num_val: [targets] questions behind `val`.
        num_test: [targets] questions behind `test`.
        proxy: [C, targets] score of the merged single-source models on the questions of `val`, or None.
    """

    name: str
    subsets: NDArray[np.int8]
    val: Floats
    test: Floats
    source_mat: tuple[tuple[str, ...], ...]
    target_mat: tuple[tuple[str, ...], ...]
    num_val: NDArray[np.int64]
    num_test: NDArray[np.int64]
    proxy: Floats | None = None

    @property
    def num_sources(self) -> int:
        """N."""
        return int(self.subsets.shape[1])

    @property
    def num_targets(self) -> int:
        """How many targets every composition is scored on."""
        return int(self.val.shape[2])

    @property
    def search_seeds(self) -> range:
        """The first half of the seeds: what a search may see and what the oracle is chosen on."""
        return range(self.val.shape[0] // 2)

    @property
    def regret_seeds(self) -> range:
        """The second half: what regret is scored on."""
        return range(self.val.shape[0] // 2, self.val.shape[0])


def save_table(table: KnownTruthTable, path: Path) -> Path:
    """Write a table as NPZ without pickles; the file is replaced at once. Returns the path."""
    arrays = {
        "subsets": table.subsets.astype(np.int8),
        "val": table.val.astype(np.float32),
        "test": table.test.astype(np.float32),
        "source_mat": np.array(table.source_mat, dtype=np.str_),
        "target_mat": np.array(table.target_mat, dtype=np.str_),
        "num_val": table.num_val,
        "num_test": table.num_test,
    }
    if table.proxy is not None:
        arrays["proxy"] = table.proxy.astype(np.float32)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as sink:  # given a name, NumPy would add a suffix to it
            np.savez_compressed(sink, **arrays)  # type: ignore[arg-type]

    replace_file(path, write)
    return path


def load_table(path: Path) -> KnownTruthTable:
    """Read a table from NPZ; its name is the file's.

    Args:
        path: a file with the arrays of `NPZ_HINT`. Nothing in it is unpickled.

    Raises:
        UserError: the file is missing, no NPZ, or its arrays do not fit each other; says which and how.
    """
    arrays = _read_arrays(path)
    missing = [name for name in REQUIRED if name not in arrays]
    if missing:
        raise UserError(f"{path}: no array {', '.join(missing)}; found {sorted(arrays)}", hint=NPZ_HINT)
    problems = _shape_problems(arrays) or _value_problems(arrays)
    if problems:
        raise UserError(f"{path}: {'; '.join(problems)}", hint=NPZ_HINT)
    proxy = arrays.get("proxy")
    return KnownTruthTable(
        name=path.stem,
        subsets=arrays["subsets"].astype(np.int8),
        val=arrays["val"].astype(np.float64),
        test=arrays["test"].astype(np.float64),
        source_mat=_keys(arrays["source_mat"]),
        target_mat=_keys(arrays["target_mat"]),
        num_val=arrays["num_val"].astype(np.int64),
        num_test=arrays["num_test"].astype(np.int64),
        proxy=None if proxy is None else proxy.astype(np.float64),
    )


def _read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file", hint="`recombine bench digits DIR` makes tables")
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (ValueError, OSError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not an NPZ file of plain arrays ({error})", hint=NPZ_HINT) from error


def _shape_problems(arrays: dict[str, NDArray[np.generic]]) -> list[str]:
    """What does not fit, by the sizes that `subsets` and `val` give."""
    if arrays["subsets"].ndim != 2 or arrays["val"].ndim != 3:
        return [f"subsets has shape {arrays['subsets'].shape} and val {arrays['val'].shape}"]
    num_compositions, num_sources = arrays["subsets"].shape
    num_seeds, _, num_targets = arrays["val"].shape
    expected: dict[str, tuple[tuple[int, ...], ...]] = {
        "val": ((num_seeds, num_compositions, num_targets),),
        "test": ((num_seeds, num_compositions, num_targets),),
        "proxy": ((num_compositions, num_targets),),
        "source_mat": ((num_sources, 3), (num_sources, 4)),
        "target_mat": ((num_targets, 3), (num_targets, 4)),
        "num_val": ((num_targets,),),
        "num_test": ((num_targets,),),
    }
    problems = [
        f"{name} has shape {arrays[name].shape}, needed is {' or '.join(map(str, shapes))}"
        for name, shapes in expected.items()
        if name in arrays and arrays[name].shape not in shapes
    ]
    if num_seeds < 2:
        problems.append("val holds one seed; two are the least, one to search on and one to judge by")
    return problems


def _value_problems(arrays: dict[str, NDArray[np.generic]]) -> list[str]:
    problems = [
        f"{name} holds no numbers"
        for name in ("subsets", "val", "test", "proxy", "num_val", "num_test")
        if name in arrays and arrays[name].dtype.kind not in "biuf"
    ]
    if problems:
        return problems
    subsets = arrays["subsets"].astype(np.float64)
    if not np.isin(subsets, (0, 1)).all():
        problems.append("subsets holds other values than 0 and 1")
    elif not subsets.any(axis=1).all():
        problems.append("subsets holds an empty composition; the untrained model is not part of a table")
    elif len(np.unique(subsets, axis=0)) < len(subsets):
        problems.append("subsets holds a composition twice")
    for name in ("val", "test"):
        values = arrays[name].astype(np.float64)
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            problems.append(f"{name} holds values that are no accuracies between 0 and 1")
    if "proxy" in arrays and not np.isfinite(arrays["proxy"].astype(np.float64)).all():
        problems.append("proxy holds values that are not finite")
    problems += [
        f"{name} holds a number below 1" for name in ("num_val", "num_test") if (arrays[name].astype(float) < 1).any()
    ]
    return problems


def _keys(mat: NDArray[np.generic]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(str(element) for element in row) for row in mat.tolist())
