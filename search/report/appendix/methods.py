"""The methods of a study as sentences, each from what is recorded; what is not recorded is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.report.appendix.blocks import Table
from search.report.run_files import RunRecords
from search.report.sections.data import compute_data_table
from search.report.wording import NOT_KNOWN, amount, as_mapping, count, duration, is_number, recipe_text

TOLD_PACKAGES = ("recombine", "ray", "torch", "transformers", "peft")


def methods_text(records: RunRecords) -> str:
    """One paragraph: question, data, training, search, confirmation, statistics, software.

    Args:
        records: a run's files.
    """
    design = as_mapping(records.study.get("design"))
    said = (
        question_sentence(records),
        data_sentence(records),
        training_sentence(records),
        f"A fixed design ({design.get('kind')}) was run instead of a search." if design else search_sentence(records),
        confirmation_sentence(records),
        statistics_sentence(records),
        software_sentence(records),
    )
    return " ".join(sentence for sentence in said if sentence)


def question_sentence(records: RunRecords) -> str:
    """What was asked."""
    targets = ", ".join(records.targets)
    return (
        f"The study {records.name} asked which training data raise the accuracy of a vision-language model on "
        f"{amount(len(records.targets), 'evaluation set')}: {targets}."
    )


def data_sentence(records: RunRecords) -> str:
    """How many subsets and rows there were, how they were divided, what was set aside."""
    subsets: Mapping[str, Mapping[str, Any]] = records.run.get("subsets") or {}
    if not subsets:
        return ""
    set_aside = compute_data_table(records).num_quarantined
    leaked, duplicates = (sum((records.run.get(name) or {}).values()) for name in ("leaked", "duplicates"))
    known = sum(bool(subset.get("groups_known")) for subset in subsets.values())
    return (
        f"Data came from {amount(len(subsets), 'subset')} with {count(num_rows(records, 'train'))} training rows. Each "
        "subset's rows were divided by a seeded draw into the splits train, search, confirm and sealed; under the "
        "catalog's rules on leakage, rows with an image or a known patient in common were kept in one split "
        f"(patients are known in {count(known)} of {amount(len(subsets), 'subset')}). Set aside were "
        f"{count(set_aside)} unusable rows, {count(duplicates)} repeated rows, and {count(leaked)} training rows of "
        "which a copy is evaluated."
    )


def num_rows(records: RunRecords, split: str) -> int:
    """Rows of a split over all subsets of the study."""
    subsets: Mapping[str, Mapping[str, Any]] = records.run.get("subsets") or {}
    return sum(int((subset.get("rows") or {}).get(split, 0)) for subset in subsets.values())


def training_sentence(records: RunRecords) -> str:
    """What was trained, from which weights, how."""
    backbone = as_mapping(records.run.get("backbone"))
    recipe = as_mapping((records.selection or {}).get("recipe")) or as_mapping(records.study.get("recipe"))
    if not backbone:
        return ""
    revision = f" (revision {backbone['revision']})" if backbone.get("revision") else ""
    how = f" The recipe of the selection: {recipe_text(known(recipe))}." if recipe else ""
    return (
        f"Every trial fine-tuned low-rank adapters (LoRA) on {backbone.get('model')}{revision} with AdamW, a linear "
        f"warm-up and a cosine decay.{how}"
    )


def known(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that say something."""
    return {name: value for name, value in settings.items() if value is not None}


def search_sentence(records: RunRecords) -> str:
    """How compositions were proposed, and how many were tried."""
    strategy, space = (as_mapping(records.study.get(name)) for name in ("strategy", "space"))
    composition = as_mapping(space.get("composition"))
    if not (strategy and composition):
        return ""
    searched = sorted(as_mapping(space.get("recipe")))
    beside = f" and over {', '.join(searched)}" if searched else ""
    tried = (records.selection or {}).get("num_compared")
    scored = f" {count(tried)} different candidates were scored." if is_number(tried) else ""
    budget = composition.get("budget")
    within = f"of at most {count(budget)} samples" if is_number(budget) else ""
    return (
        f"The strategy {strategy.get('name')} proposed {count(strategy.get('num_trials'))} trials over compositions "
        f"{within} from {amount(len(composition.get('sources') or ()), 'source')}{beside} (seed "
        f"{records.run.get('seed', NOT_KNOWN)}), by their accuracy on the split search.{scored}"
    )


def confirmation_sentence(records: RunRecords) -> str:
    """How the selection was made, and on which questions its final figures stand."""
    selection = records.selection
    if selection is None:
        return ""
    seeds = ", ".join(map(str, records.run.get("confirm_seeds") or ())) or NOT_KNOWN
    openings = records.run.get("sealed_openings")
    told = (
        f"{amount(selection.get('num_finalists'), 'finalist')} and the comparators were trained anew with the fresh "
        f"seeds {seeds} and compared on the split confirm"
        if is_number(selection.get("num_finalists"))
        else f"Finalists and comparators were trained anew with the fresh seeds {seeds} and compared on the split "
        "confirm"
    )
    opened = (
        f"; the split sealed had no part in any choice and was opened {amount(openings, 'time')}."
        if is_number(openings) and openings
        else "; the split sealed was not opened, so that the figures are of questions that had a part in the choice."
    )
    return told + opened


def statistics_sentence(records: RunRecords) -> str:
    """How differences were judged."""
    alpha = (records.selection or {}).get("alpha")
    if not is_number(alpha):
        return ""
    return (
        "Accuracy is the share of questions that are answered rightly (of words and boxes, the mean mark); what could "
        "not be scored counts as wrong. "
        "Differences are paired by question; intervals are from a bootstrap over questions (patients, where they are "
        "known) and training seeds; comparisons that share the selection are judged together by one step of "
        f"Dunnett's procedure at the level {alpha}."
    )


def software_sentence(records: RunRecords) -> str:
    """Versions, machine, time, and the digest that names the evidence."""
    versions = as_mapping(records.run.get("versions"))
    hardware, ledger = (as_mapping(records.run.get(name)) for name in ("hardware", "ledger"))
    named = [f"{name} {versions[name]}" for name in TOLD_PACKAGES if name in versions]
    machine = f"{hardware.get('processor')}, {amount(hardware.get('processors'), 'processor')}"
    parts = [
        f"Software: {', '.join(named)}, Python {hardware.get('python', NOT_KNOWN)}." if named else "",
        f"Machine that wrote the results: {machine}." if hardware.get("processor") else "",
        f"Wall time {duration(records.run.get('wall_s'))}." if is_number(records.run.get("wall_s")) else "",
        f"The results are made from the ledger with the digest {ledger['sha256']}." if ledger.get("sha256") else "",
    ]
    return " ".join(filter(None, parts))


def data_table(records: RunRecords, terms: Mapping[str, str]) -> Table | None:
    """The subsets with key, rows by split and licence; None where they are not recorded.

    Args:
        records: a run's files.
        terms: licence by subset, as catalogs name it.
    """
    data = compute_data_table(records)
    rows = [
        (
            row.name, row.roles, " · ".join(filter(lambda name: name != NOT_KNOWN, row[2:6])), *row.rows, row.patients,
            terms.get(row.name) or "not stated",
        )
        for row in data.subsets
    ]  # fmt: skip
    if not rows:
        return None
    return Table(
        caption="Subsets of the study: modality, area, task (and ability), rows by split, whether patients are known, "
        "licence as the catalog names it.",
        head=("subset", "role", "key", *data.row_columns, "patients", "licence"),
        rows=tuple(rows),
    )
