"""What a study needs before it can run, its backbone and enough rows, in one set of words for plan and run."""

from __future__ import annotations

from collections.abc import Callable

from datasets_spec.errors import UserError
from search.study.study import Study


def require_backbones(study: Study) -> None:
    """Refuse a study whose backbone, or one of whose design's backbones, cannot be the same for every trial.

    Raises:
        UserError: a folder is not there or holds no weights, or a hub model has no revision.
    """
    design = study.spec.design
    for backbone in (design.backbones if design is not None else ()) or (study.spec.backbone,):
        study.located(backbone).weight_files()


def require_rows(study: Study, count: Callable[[str, str], int | None]) -> None:
    """Refuse a study whose sources or targets do not have the rows that it needs.

    Args:
        study: the study.
        count: number of rows of (subset, split); None where it is not known yet.

    Raises:
        UserError: everything that is missing, one line each.
    """
    spec = study.spec
    space = spec.space.composition
    rows = {source: count(source, "train") for source in space.available}
    # One that has fewer than it is asked for gives what it has (`with_rows`).
    missing = [f"source {source}: no rows in its `train` split" for source, num in rows.items() if num == 0]
    splits: tuple[str, ...] = ("search", "confirm", "sealed") if spec.confirm.enabled else ("search",)
    if spec.design is not None:
        splits = (spec.design.split,)
    missing += [
        f"target {target}: no rows in its `{split}` split"
        for target in spec.eval_sets
        for split in splits
        if count(target, split) == 0
    ]
    missing += [
        f"retained {name}: no rows in its `search` split"
        for name in spec.retained
        if spec.kept_sets and count(name, "search") == 0
    ]
    if missing:
        raise UserError(
            "the data do not suffice for this study:\n    " + "\n    ".join(missing),
            hint="leave out a source without rows, change the catalog's shares (a target with test files only needs "
            "its own, with `train: 0`), or see `recombine data check`",
        )


def require_runnable(study: Study, count: Callable[[str, str], int | None]) -> None:
    """Refuse what `recombine run` would refuse, all at once.

    Args:
        study: the study.
        count: as for `require_rows`.

    Raises:
        UserError: what is missing, in the words of the run.
    """
    checks: tuple[Callable[[], None], ...] = (lambda: require_backbones(study), lambda: require_rows(study, count))
    errors = []
    for check in checks:
        try:
            check()
        except UserError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        hints = [error.hint for error in errors if error.hint]
        raise UserError("\n".join(error.message for error in errors), hint="; ".join(hints))
