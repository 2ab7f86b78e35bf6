"""`recombine explain`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from datasets_spec.atomic import replace_text
from datasets_spec.catalog.keys import Key
from datasets_spec.errors import UserError
from datasets_spec.nearest import nearest_of
from search.cli.console import print_line, print_table
from search.evidence.explain.effects import (
    COVERAGE_IN_PRACTICE,
    Effect,
    Explanation,
    Subject,
    banzhaf_weights,
    explain,
    explained_trials,
)
from search.evidence.explain.explain_study import subject_of
from search.evidence.explain.model import EffectsModel, Floats
from search.evidence.explain.top_up import TopUp, top_up
from search.evidence.explain.wanted_trials import write_wanted
from search.ledger.records import Record
from search.statistics.ties import descending
from search.study.load_study import load_study
from search.study.run_dir import (
    IDENTITY_KEY,
    RunDir,
    RunFile,
    differences,
    read_identity,
    read_resolved,
    require_results_of,
    run_dir_of,
)
from search.study.source_rows import with_rows
from search.study.study import Study, row_counts
from search.study.word_rules import SCORER_KEY, word_rules
from search.vocabulary import Estimator

SHOWN_INTERACTIONS = 8
TRIALS_TO_SHARPEN: Final = 6
TITLES = {
    "banzhaf": "What a subset adds to a composition of the others drawn by chance (Banzhaf value), points",
    "interaction": "What two subsets do together beyond what each does, the largest, points",
    "element": "What one more subset that shares it brings, points",
    "adding": "What adding a subset to the selection brings (or brought), points",
    "new dataset": "What a new dataset is expected to bring, from its key alone, points",
}


def explain_study(
    study_file: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    *,
    also: Sequence[Path],
    new: Sequence[str],
    sharpen: str | None,
    num_trials: int | None,
    as_json: bool,
) -> None:
    """Print what the trials say of subsets, pairs and elements.

    Args:
        study_file: the study's YAML file.
        overrides: values that replace the file's.
        run_dir: of the study; the default one where none is given.
        also: directories of other studies on the same data and backbone, whose trials count too.
        new: keys `modality/area/task[/ability]`, or names of the catalog, of datasets that are not in the study.
        sharpen: a subset or an element whose effect is to be known better.
        num_trials: how many trials may be spent on that; `TRIALS_TO_SHARPEN` when None.
        as_json: print JSON, one object.

    Raises:
        UserError: there are too few trials, a key is no key, another study is of other data, the directory is not this
            study's, or trials may be spent on nothing.
    """
    if num_trials is not None and sharpen is None:
        raise UserError(
            "--num-trials says how many trials may sharpen an effect, and no effect was named",
            hint="`recombine explain STUDY --sharpen EFFECT` names one, a subset or an element",
        )
    study = load_study(study_file, overrides)
    directory = run_dir_of(study_file, study.spec, run_dir)
    require_results_of(directory, study.spec)
    records = directory.read_trials() + [record for place in also for record in _same_data(directory, RunDir(place))]
    subject = subject_of(study, directory, {text: _key(text, study) for text in new})
    found = explain(records, subject)
    is_own = not also and not new  # the study's file holds what its own trials say of its own subsets
    if is_own:
        replace_text(directory / RunFile.explanation, json.dumps(found.as_dict(), indent=1) + "\n")
    content = found.as_dict()
    wanted = None
    if sharpen is not None:
        wanted = _sharpen(study, records, subject, sharpen, num_trials or TRIALS_TO_SHARPEN)
        write_wanted(directory, sharpen, wanted.compositions)
        content["sharpen"] = {"effect": sharpen, **wanted.as_dict()}
    if as_json:
        print_line(json.dumps(content))
        return
    _show(found)
    if is_own:
        print_line(f"wrote {directory / RunFile.explanation}")
    if wanted is not None:
        _show_wanted(str(sharpen), wanted)


def _key(text: str, study: Study) -> Key:
    if text in study.catalog.names:
        return study.catalog.subset(text).key
    parts = text.split("/")
    if len(parts) not in (3, 4):
        near = nearest_of(text, study.catalog.names)
        raise UserError(
            f"'{text}' is neither a subset of the catalog nor a key" + (f". Did you mean '{near}'?" if near else ""),
            hint="write a key as modality/area/task or modality/area/task/ability",
        )
    try:
        return Key.model_validate(dict(zip(("modality", "area", "task", "ability"), parts, strict=False)))
    except ValueError as error:
        raise UserError(
            f"'{text}' is no key", hint="the ability is temporal, reasoning, comparison or coreference"
        ) from error


def _same_data(directory: RunDir, other: RunDir) -> list[Record]:
    """Records of another study, if its scores may stand beside this one's."""
    rules = word_rules([directory, other])
    if None in rules:  # where one has no score of words, no rule is behind both
        rules = [None, None]
    here, there = (_foundation(place, of) for place, of in zip((directory, other), rules, strict=True))
    changed = list(differences(here, there))
    if changed:
        raise UserError(
            f"{other} is of other data, another backbone or another recipe than {directory}:\n    "
            + "\n    ".join(changed),
            hint="only trials of the same store, backbone and recipe may be read together",
        )
    return other.read_trials()


def _foundation(directory: RunDir, rules: str | None) -> dict[str, Any]:
    """What a score stands on; of the data and the weights by their fingerprints, which a study that runs has, too."""
    spec = read_resolved(directory).model_dump(mode="json", include={"backbone", "recipe"})
    return {**spec, IDENTITY_KEY: {**read_identity(directory), SCORER_KEY: rules}}


def _show(found: Explanation) -> None:
    kind = "random or single" if found.estimator == Estimator.random else "chosen by what came before (exploratory)"
    print_line(f"{found.num_trials} trials, {kind}; intervals are 95 % and not adjusted for the number of lines")
    print_line(COVERAGE_IN_PRACTICE)
    if not found.has_pairs:
        print_line("too many subsets and targets for pair effects: single effects only")
    for name, title in TITLES.items():
        effects = [effect for effect in found.effects if effect.kind == name]
        if name == "interaction":
            largest = descending([abs(effect.value) for effect in effects])[:SHOWN_INTERACTIONS]
            effects = [effects[place] for place in largest]
        if effects:
            print_table(title, ["subject", "target", "points", "95 % interval", "clear"], [_cells(e) for e in effects])


def _cells(effect: Effect) -> list[str]:
    span = f"{100 * effect.ci_low:+.1f} to {100 * effect.ci_high:+.1f}"
    subject = effect.subject if effect.extrapolation is None else f"{effect.subject} ({effect.extrapolation})"
    return [subject, effect.target, f"{100 * effect.value:+.1f}", span, "yes" if effect.is_clear else ""]


def _sharpen(
    study: Study,
    records: Sequence[Mapping[str, Any]],
    subject: Subject,
    wanted: str,
    num_trials: int,
) -> TopUp:
    trials, _ = explained_trials(records, subject)
    counted = row_counts(study)
    if counted:
        study = with_rows(study, lambda name, split: counted.get(name, {}).get(split, 0))
    model = EffectsModel(trials)
    weights = _weights(model, wanted)
    taken = {frozenset(record["composition"]) for record in records}
    return top_up(
        model, weights, study.spec.space.composition, num_trials=num_trials, seed=study.spec.seed, taken=taken
    )


def _show_wanted(wanted: str, found: TopUp) -> None:
    rows = [[str(k), str(composition)] for k, composition in enumerate(found.compositions, start=1)]
    print_table(f"Trials that sharpen the effect of {wanted}", ["trial", "composition"], rows)
    print_line(
        f"its interval: +-{100 * found.half_width_before:.1f} points now, "
        f"+-{100 * found.half_width_after:.1f} expected after these {len(rows)}"
    )
    print_line("`recombine run STUDY --topup` trains them (on a cluster `recombine submit` with that option)")


def _weights(model: EffectsModel, wanted: str) -> Floats:
    trials = model.trials
    if wanted in trials.elements:
        return model.element_weights(trials.elements.index(wanted))
    if wanted in trials.subsets:
        place = trials.subsets.index(wanted)
        values = [banzhaf_weights(model, place, t) for t in range(len(trials.targets))]
        mean: Floats = sum(values[1:], values[0]) / len(values)
        return mean
    known = (*trials.subsets, *trials.elements)
    near = nearest_of(wanted, known)
    raise UserError(
        f"'{wanted}' is no subset of the space and no element" + (f". Did you mean '{near}'?" if near else ""),
        hint=f"one of: {', '.join(known)}",
    )
