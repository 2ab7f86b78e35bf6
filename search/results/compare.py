"""Studies beside each other: what differed in their files, what each selected, what its figures are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets_spec.errors import UserError
from search.study.run_dir import RunDir, RunFile, differences, read_identity, read_resolved
from search.study.word_rules import word_rules

# Fields that name a study and its folders, and say nothing of what was asked.
_NAMES = ("name", "store")


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What several studies have come to.

    Attributes:
        names: of the studies, in the order given; a folder's own name where two are called alike.
        settings: setting -> its value in each study, of those that differ.
        compositions: subset -> samples in each selection; 0 where a selection has none of it.
        figures: figure -> its text in each study.
        cautions: why figures may not stand beside each other.
    """

    names: tuple[str, ...]
    settings: dict[str, tuple[str, ...]]
    compositions: dict[str, tuple[int, ...]]
    figures: dict[str, tuple[str, ...]]
    cautions: tuple[str, ...]


def compare_runs(run_dirs: Sequence[RunDir]) -> Compared:
    """Read what finished or unfinished studies hold; nothing is computed anew.

    Args:
        run_dirs: two study directories or more.

    Raises:
        UserError: a directory holds no study, or there is one only.
        LedgerError: a ledger that says by which rules words were compared is damaged.
    """
    if len(run_dirs) < 2:
        raise UserError("one study has nothing to stand beside", hint="give two study directories or more")
    specs = [read_resolved(run_dir).model_dump(mode="json") for run_dir in run_dirs]
    runs = [_json(run_dir / RunFile.run) for run_dir in run_dirs]
    identities = [read_identity(place) for place in run_dirs]
    # run.json is written at the end only; a study that has not come there was begun on known data, too.
    stores = [
        run.get("store_fingerprint") or identity.get("store") for identity, run in zip(identities, runs, strict=True)
    ]
    selections = [_json(run_dir / RunFile.selection) for run_dir in run_dirs]
    names = [str(spec["name"]) for spec in specs]
    if len(set(names)) < len(names):
        names = [str(run_dir) for run_dir in run_dirs]
    subsets = sorted({name for selection in selections for name in selection.get("composition", {})})
    return Compared(
        names=tuple(names),
        settings=_settings(specs),
        compositions={
            name: tuple(int(selection.get("composition", {}).get(name, 0)) for selection in selections)
            for name in subsets
        },
        figures=_figures(runs, selections),
        cautions=tuple(_cautions(specs, stores, word_rules(run_dirs))),
    )


def _json(path: Any) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content


def _settings(specs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """The settings in which any study differs from the first."""
    places = [line.split(":", 1)[0] for other in specs[1:] for line in differences(specs[0], other)]
    wanted = [place for place in dict.fromkeys(places) if place not in _NAMES]
    return {place: tuple(_at(spec, place) for spec in specs) for place in wanted}


def _at(spec: Mapping[str, Any], place: str) -> str:
    value: Any = spec
    for name in place.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _figures(runs: Sequence[Mapping[str, Any]], selections: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    figures: dict[str, tuple[str, ...]] = {}
    for split in ("confirm", "sealed"):
        by_study = [
            {str(entry["eval_set"]): entry for entry in (selection.get("estimates") or {}).get(split) or ()}
            for selection in selections
        ]
        for name in dict.fromkeys(name for entries in by_study for name in entries):
            figures[f"{name}, {split}"] = tuple(_accuracy(entries.get(name)) for entries in by_study)
    figures["finding"] = tuple(str((s.get("finding") or {}).get("headline") or "no selection yet") for s in selections)
    figures["candidates compared"] = tuple(str(s.get("num_compared", "-")) for s in selections)
    figures["wall time in hours"] = tuple(
        f"{run['wall_s'] / 3600:.2f}" if run.get("wall_s") is not None else "-" for run in runs
    )
    return figures


def _accuracy(entry: Mapping[str, Any] | None) -> str:
    if entry is None or entry.get("accuracy") is None:
        return "-"
    low, high = entry.get("ci_low"), entry.get("ci_high")
    bounds = f" ({100 * low:.1f} to {100 * high:.1f})" if low is not None and high is not None else ""
    return f"{100 * entry['accuracy']:.1f} %{bounds}"


def _cautions(
    specs: Sequence[Mapping[str, Any]], stores: Sequence[str | None], rules: Sequence[str | None]
) -> list[str]:
    told = []
    if len({store for store in stores if store is not None}) > 1:
        told.append("the studies have other data: their questions are not the same, so no difference is a comparison")
    if len({json.dumps(spec["backbone"], sort_keys=True) for spec in specs}) > 1:
        told.append("the studies have other backbones")
    if len({json.dumps([spec["targets"], spec["abilities"], spec["objective"]]) for spec in specs}) > 1:
        told.append("the studies ask for other targets")
    elif len({each for each in rules if each is not None}) > 1:
        told.append("answers in words were compared by the rules of another version in one of the studies")
    told.append("intervals are each study's own; no test has judged a difference between studies")
    return told
