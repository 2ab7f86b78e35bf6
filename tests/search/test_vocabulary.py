"""The enumerations are the ones trials are written with, and importing them is cheap."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

from search.vocabulary import Exposure, Stage, Status
from trainers.trial.result import TrialStatus
from trainers.trial.spec import ExposureName


def test_trials_and_search_use_the_same_words() -> None:
    assert {status.value for status in Status} == set(get_args(TrialStatus))
    assert {exposure.value for exposure in Exposure} == set(get_args(ExposureName))
    stages = ["baseline", "search", "single", "merge", "reused", "control", "confirm", "sealed", "design", "top_up"]
    assert [str(stage) for stage in Stage] == stages


def test_the_core_loads_no_heavy_library() -> None:
    modules = (
        "search.vocabulary search.space.composition search.ledger.ledger search.strategies.interface "
        "search.evidence.mix_file search.evidence.trials_table"
    )
    code = f"import {', '.join(modules.split())}, sys\n"
    code += (
        "heavy = {'torch', 'ray', 'transformers', 'optuna', 'scipy', 'statsmodels', 'pandas', 'pyarrow', 'altair'}\n"
    )
    code += "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or None)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")
