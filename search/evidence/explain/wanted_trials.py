"""The trials that an explanation asks for, kept in the study directory until they are run."""

from __future__ import annotations

import json
from collections.abc import Sequence

from datasets_spec.atomic import replace_text
from datasets_spec.errors import UserError
from search.space.composition import Composition
from search.study.run_dir import RunDir, RunFile


def write_wanted(run_dir: RunDir, effect: str, compositions: Sequence[Composition]) -> None:
    """Keep what sharpens an effect; what was asked for before is replaced.

    Args:
        run_dir: the study directory.
        effect: a subset or an element.
        compositions: to train.
    """
    content = {"effect": effect, "compositions": [dict(composition) for composition in compositions]}
    replace_text(run_dir / RunFile.top_up, json.dumps(content, indent=1) + "\n")


def read_wanted(run_dir: RunDir) -> tuple[str, list[Composition]]:
    """The effect and the compositions that sharpen it.

    Raises:
        UserError: nothing was asked for, or the file is damaged.
    """
    path = run_dir / RunFile.top_up
    hint = "`recombine explain STUDY --sharpen EFFECT` chooses trials that sharpen the effect of a subset or an element"
    if not path.is_file():
        raise UserError(f"{run_dir}: no explanation has asked for trials", hint=hint)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["effect"]), [Composition.from_json(entry) for entry in content["compositions"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__}", hint=hint) from error
