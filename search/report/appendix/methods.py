"""The methods of a study as sentences, each from what is recorded; what is not recorded is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.report.appendix.blocks import Table
from search.report.run_files import RunRecords
from search.report.sections.data import compute_data_table
from search.report.sections.sealed_cautions import sealed_cautions
from search.report.wording import NOT_KNOWN, amount, as_mapping, count, duration, is_number, recipe_text
from search.vocabulary import Stage

TOLD_PACKAGES = ("recombine", "ray", "torch", "transformers", "peft")


def methods_text(records: RunRecords) -> str:
    """One paragraph: question, data, training, search, confirmation, statistics, software.

    Args:
        records: a run's files.
    """
    said = (
        question_sentence(records),
        data_sentence(records),
        training_sentence(records),
        search_sentence(records),
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
        f"Data came from {amount(len(subsets), 'subset')} with {count(num_rows(records, 'train'))} training rows. Pool "
        "rows were divided by a seeded draw into the splits train, search, confirm and sealed; rows of published test "
        "files are sealed, but for subsets that have no others and divide them. Under the catalog's rules on leakage, "
        "rows with an image or a known patient in common were kept in one split (patients are known in "
        f"{count(known)} of {amount(len(subsets), 'subset')}). Set aside were {count(set_aside)} unusable rows, "
        f"{count(duplicates)} repeated rows, and {count(leaked)} rows an image or known patient of which is evaluated "
        "in a later split."
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
        f"Every trained trial fine-tuned low-rank adapters (LoRA) on {backbone.get('model')}{revision} with AdamW, a "
        f"linear warm-up and a cosine decay.{how}"
    )


def known(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that say something."""
    return {name: value for name, value in settings.items() if value is not None}


def search_sentence(records: RunRecords) -> str:
    """How compositions were proposed, and how many were tried; that there was no search in a design."""
    if design := as_mapping(records.study.get("design")):
        return f"A fixed design ({design.get('kind')}) was run instead of a search."
    strategy, space = (as_mapping(records.study.get(name)) for name in ("strategy", "space"))
    composition = as_mapping(space.get("composition"))
    if not (strategy and composition):
        return ""
    searched = sorted(as_mapping(space.get("recipe")))
    beside = f" and over {', '.join(searched)}" if searched else ""
    tried = (records.selection or {}).get("num_compared")
    scored = f" {count(tried)} different candidates were scored." if is_number(tried) else ""
    budget = composition.get("budget")
    within = f" of at most {count(budget)} samples" if is_number(budget) else ""
    proposed = records.trials.loc[records.trials["stage"] == Stage.search, "train_id"].nunique()
    return (
        f"The strategy {strategy.get('name')} proposed {amount(proposed, 'trial')} over compositions{within} from "
        f"{amount(len(composition.get('sources') or ()), 'source')}{beside} (seed "
        f"{records.run.get('seed', NOT_KNOWN)}), by their accuracy on the split search.{scored}"
    )


def confirmation_sentence(records: RunRecords) -> str:
    """How the selection was made, and on which questions its final figures stand."""
    selection = records.selection
    if selection is None:
        return ""
    seeds = ", ".join(map(str, records.run.get("confirm_seeds") or ())) or NOT_KNOWN
    number = selection.get("num_finalists")
    finalists = amount(number, "finalist") if is_number(number) else "Finalists"
    section = as_mapping(records.study.get("confirm"))
    given_up = " (finalists that fell behind with fewer of them)" if section.get("racing") else ""
    further = ", ".join(map(str, section.get("further_seeds") or ()))
    alone = f", the selected one with {further} besides," if further else ""
    return (
        f"{finalists} and the comparators that need training were trained anew with the fresh seeds {seeds}{given_up}"
        f"{alone} and compared on the split confirm; {_sealed_part(records.run)}"
    )


def _sealed_part(run: Mapping[str, Any]) -> str:
    """Which part the sealed questions had: none in a choice only where they were opened once, and by this study."""
    if not run.get("sealed_openings"):
        return "the split sealed was not opened, so that the figures are of questions that had a part in the choice."
    if cautions := sealed_cautions(run):
        return f"the split sealed was opened after the choice. {' '.join(cautions)}"
    return "the split sealed had no part in any choice and was opened once."


def statistics_sentence(records: RunRecords) -> str:
    """How differences were judged."""
    selection = records.selection or {}
    alpha = selection.get("alpha")
    finalists: Any = selection.get("num_finalists")
    if not is_number(alpha):
        return ""
    of_several = (
        f"; on the split confirm the level is divided by the {count(finalists)} finalists that the selected one was "
        "chosen among"
        if is_number(finalists) and finalists > 1
        else ""
    )
    return (
        "Accuracy is the share of questions that are answered rightly (of words and boxes, the mean mark); what could "
        "not be scored counts as wrong. "
        "Differences are paired by question; intervals are from a bootstrap over questions (patients, where they are "
        "known, with Student's t for their number) and training seeds; comparisons that share the selection are judged "
        f"together by one step of Dunnett's procedure at the level {alpha}{of_several}."
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
