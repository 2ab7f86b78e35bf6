"""Whatever kernel multiplies the matrices, and with however many threads: the same decisions, the same numbers."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
# Kernels that every x86-64 of the last ten years has; the other vector units of numpy's own loops come with one.
ONE_THREAD = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1"}
TWO_THREADS = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "2"}
OTHER_KERNEL = {"OPENBLAS_CORETYPE": "Sandybridge", "OPENBLAS_NUM_THREADS": "1", "NPY_DISABLE_CPU_FEATURES": "all"}
SETTINGS = (ONE_THREAD, TWO_THREADS, OTHER_KERNEL)
# Of the parts of `decisions`, those with matrices so large that OpenBLAS divides them; the others, which take most of
# the time, came out equal to the bit under two threads.
DIVIDED = ("of_explain", "of_evidence", "of_features")
LARGEST_DIFFERENCE = 1e-9  # of the largest magnitude; 4e-12 was measured


def found_under(setting: Mapping[str, str]) -> dict[str, Any]:
    """What `decisions` prints in a process of its own."""
    changed = dict(setting)
    if "NPY_DISABLE_CPU_FEATURES" in changed:
        simd: Mapping[str, Any] = np.show_config(mode="dicts")["SIMD Extensions"]
        changed["NPY_DISABLE_CPU_FEATURES"] = " ".join(simd.get("found", ()))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_", "OMP_"))}
    parts = DIVIDED if setting == TWO_THREADS else ()
    finished = subprocess.run(
        [sys.executable, "-m", "tests.search.decisions", *parts],
        env=environment | changed, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("OpenBLAS's kernels are told apart on Linux on x86-64 only")
    every = [found_under(setting) for setting in SETTINGS]  # side by side, their threads would wait for each other
    for setting, one in zip(SETTINGS, every, strict=True):
        if one["kernel"] is None:
            pytest.skip("numpy's BLAS is no OpenBLAS that names its kernel")
        if one["kernel"] != setting["OPENBLAS_CORETYPE"]:
            pytest.skip(f"OpenBLAS runs {one['kernel']} where {setting['OPENBLAS_CORETYPE']} was asked for")
    return every


def test_decisions_are_the_same(found: list[dict[str, Any]]) -> None:
    first = found[0]["decisions"]
    differing = {name for other in found[1:] for name, said in other["decisions"].items() if said != first[name]}
    assert differing == set()


def test_numbers_are_the_same(found: list[dict[str, Any]]) -> None:
    first = {name: np.array(values) for name, values in found[0]["numbers"].items()}
    assert found[-1]["numbers"] != found[0]["numbers"], "no kernel rounds otherwise"
    for other in found[1:]:
        for name, values in other["numbers"].items():
            difference = np.abs(np.array(values) - first[name]).max()
            assert difference <= LARGEST_DIFFERENCE * np.abs(first[name]).max(), name
