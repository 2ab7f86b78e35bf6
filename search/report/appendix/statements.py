"""What a study can state under a heading of a checklist: short sentences from what is recorded."""

from __future__ import annotations

from collections.abc import Mapping

from search.report.appendix.methods import (
    confirmation_sentence,
    data_sentence,
    question_sentence,
    search_sentence,
    software_sentence,
    statistics_sentence,
    training_sentence,
)
from search.report.run_files import RunRecords
from search.report.sections.data import compute_data_table
from search.report.sections.sealed_cautions import sealed_cautions
from search.report.wording import amount, as_mapping, count, is_number
from search.statistics.verdicts import Verdict
from search.study.run_dir import RunFile


def statements(records: RunRecords, terms: Mapping[str, str]) -> dict[str, str]:
    """What the study can state, by the topics of `checklists`; topics of which nothing is recorded are missing.

    Args:
        records: a run's files.
        terms: licence by subset, as catalogs name it.
    """
    said = {
        "goal": question_sentence(records),
        "sources": _sources(records, terms),
        "rows": data_sentence(records),
        "unusable": _unusable(records),
        "subsets": search_sentence(records),
        "patients": _patients(records),
        "sample_size": _sample_size(records),
        "model": _model(records),
        "software": software_sentence(records),
        "training": training_sentence(records),
        "selection": confirmation_sentence(records),
        "statistics": statistics_sentence(records),
        "prompts": _prompts(records),
        "finding": _finding(records),
        "by_class": _by_class(records),
        "by_stratum": _by_stratum(records),
        "limits": _limits(records),
        "compute": _compute(records),
        "availability": (
            "The study directory holds the answers to every question and the adapters that were kept; the verb verify "
            "computes every figure again from them."
        ),
    }
    return {topic: text for topic, text in said.items() if text}


def _sources(records: RunRecords, terms: Mapping[str, str]) -> str:
    subsets = records.run.get("subsets") or {}
    if not subsets:
        return ""
    stated = sum(bool(terms.get(name)) for name in subsets)
    return (
        f"{amount(len(subsets), 'subset')}, listed with key, rows and licence in the table of subsets; the licence is "
        f"stated for {count(stated)} of them."
    )


def _unusable(records: RunRecords) -> str:
    table = compute_data_table(records)
    if not table.subsets:
        return ""
    if not table.num_quarantined:
        return "No row was unusable."
    return (
        f"{count(table.num_quarantined)} rows were unusable and set aside before splits were drawn, for these reasons: "
        f"{', '.join(reason.replace('_', ' ') for reason in table.reasons)}. The page counts them by subset."
    )


def _patients(records: RunRecords) -> str:
    subsets = records.run.get("subsets") or {}
    if not subsets:
        return ""
    known = [name for name, subset in subsets.items() if subset.get("groups_known")]
    told = (
        "Splits are disjoint by patient where patients are known, and by image (the same file, the same pixels, near "
        f"copies, as far as the catalog's rules say) elsewhere. Patients are known in {count(len(known))} of "
        f"{amount(len(subsets), 'subset')}."
    )
    return told if len(known) == len(subsets) else told + " In the others one patient may be in several splits."


def _sample_size(records: RunRecords) -> str:
    found = [
        entry
        for entry in (records.selection or {}).get("comparisons") or ()
        if entry.get("eval_set") == "mean" and is_number(entry.get("minimum_detectable"))
    ]
    if not found:
        return ""
    splits = [entry for entry in found if entry["split"] == "sealed"] or found
    largest = max(splits, key=lambda entry: entry["minimum_detectable"])
    return (
        f"{count(largest['n'])} questions over all targets on the split {largest['split']}; a true difference of "
        f"{100 * largest['minimum_detectable']:.1f} points of the mean would have been found four times in five "
        "even in the least sharp comparison."
    )


def _model(records: RunRecords) -> str:
    backbone = as_mapping(records.run.get("backbone"))
    recipe = as_mapping((records.selection or {}).get("recipe"))
    if not backbone:
        return ""
    adapted = f", LoRA on the {recipe['lora_modules']} layers" if recipe.get("lora_modules") else ""
    rank = f" of rank {recipe['lora_rank']}" if recipe.get("lora_rank") else ""
    revision = f", revision {backbone['revision']}" if backbone.get("revision") else ""
    return f"Image-text-to-text model {backbone.get('model')}{revision}{adapted}{rank}."


def _prompts(records: RunRecords) -> str:
    if not records.run:
        return ""
    return (
        "Questions are asked as the data give them, options as lettered lines; the answer to a closed question is the "
        "option whose letter has the highest probability. No prompt was searched."
    )


def _finding(records: RunRecords) -> str:
    finding = as_mapping((records.selection or {}).get("finding"))
    return " ".join(str(finding[name]) for name in ("headline", "detail") if finding.get(name))


def _by_class(records: RunRecords) -> str:
    findings = records.findings or {}
    told = []
    if findings.get("classes"):
        told.append(
            "Sensitivity and specificity with 95 % intervals, and AUROC, by class on the split "
            f"{findings.get('split')}: {RunFile.findings}, and on the page."
        )
    if not records.trial_classes.empty:
        told.append(f"Right answers of every trial by class: {RunFile.trial_classes}.")
    return " ".join(told)


def _by_stratum(records: RunRecords) -> str:
    findings = records.findings or {}
    columns = dict.fromkeys(str(entry["column"]) for entry in findings.get("strata") or ())
    if not columns:
        return ""
    return (
        f"Accuracy by {', '.join(columns)} with 95 % intervals on the split {findings.get('split')}: "
        f"{RunFile.findings}, and on the page."
    )


def _limits(records: RunRecords) -> str:
    selection = records.selection or {}
    told = [str(caution) for caution in as_mapping(selection.get("finding")).get("cautions") or ()]
    told += sealed_cautions(records.run)
    told += [str(records.run[name]) for name in ("foreign_catalog", "divided_tests") if records.run.get(name)]
    comparisons = selection.get("comparisons") or ()
    open_ended = sum(entry.get("verdict") == Verdict.no_difference_detected for entry in comparisons)
    if open_ended:
        told.append(f"{amount(open_ended, 'comparison')} detected no difference, which is no proof that there is none.")
    if selection:
        told.append("The figures are those of this backbone, and of no other.")
    return " ".join(told)


def _compute(records: RunRecords) -> str:
    heads = records.trials.drop_duplicates("train_id")
    if heads.empty:
        return ""
    hours = float(heads["train_s"].sum()) / 3600
    return f"{amount(len(heads), 'trial')}, {hours:.2f} hours of training in all. {software_sentence(records)}"
