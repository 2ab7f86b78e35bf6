"""The explanation of one study directory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from datasets_spec.atomic import replace_text
from datasets_spec.catalog.keys import Key
from search.evidence.explain.effects import Explanation, Subject, explain, usable
from search.study.run_dir import RunDir, RunFile
from search.study.study import KeyedStudy


def subject_of(study: KeyedStudy, run_dir: RunDir, new_keys: Mapping[str, Key] | None = None) -> Subject:
    """What is to be explained of a study: its sources, the targets of its objective, its selection.

    Args:
        study: the study.
        run_dir: its directory.
        new_keys: of datasets that are not in it, by name.
    """
    selection = run_dir / RunFile.selection
    selected = json.loads(selection.read_text(encoding="utf-8"))["composition"] if selection.is_file() else {}
    return Subject(
        keys=study.keys,
        sources=study.spec.space.composition.allowed,
        targets=study.spec.objective_sets,
        task_map=study.task_map,
        selected=tuple(selected),
        new_keys=new_keys,
        score=study.spec.score,
    )


def write_explanation(study: KeyedStudy, run_dir: RunDir, records: Sequence[Mapping[str, Any]]) -> Explanation | None:
    """Explain a study where it has trials enough, and keep that beside its report.

    Args:
        study: the study.
        run_dir: its directory.
        records: the ledger's trial records.
    """
    subject = subject_of(study, run_dir)
    if not usable(records, subject):
        return None
    found = explain(records, subject)
    replace_text(run_dir / RunFile.explanation, json.dumps(found.as_dict(), indent=1) + "\n")
    return found
