"""Two reporting checklists, prefilled: what a study's files can state, and what only its authors can.

The numbers are those of the published forms; the topics are in our own words. CLAIM 2024: Tejani et al., Radiology:
Artificial Intelligence 2024, doi 10.1148/ryai.240300 (44 items). TRIPOD-LLM: Gallifant et al., Nature Medicine 2025,
doi 10.1038/s41591-024-03425-5 (19 main items; its lettered parts are to be taken from the form).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from search.report.appendix.blocks import Table

NOTHING = "Nothing: its files do not say."


class Item(NamedTuple):
    """An item of a checklist.

    Attributes:
        number: in the published form.
        topic: what it asks for, in our words.
        stated: topics of `statements` that say something to it.
        to_fill: what the authors must add.
    """

    number: int
    topic: str
    stated: tuple[str, ...]
    to_fill: str


CLAIM_2024 = (
    Item(1, "Title: a study of AI, and of which kind", (), "The title."),
    Item(2, "Abstract", ("finding",), "Design, methods, results and conclusions in short."),
    Item(3, "Background and the role meant for the model", (), "The clinical question and the intended use."),
    Item(4, "Aims and hypotheses", ("goal",), "The hypotheses, and whether they were written down before."),
    Item(5, "Prospective or retrospective", (), "How and when each source was collected."),
    Item(6, "Goal of the study", ("goal",), "Exploration, development or evaluation."),
    Item(7, "Where the data come from", ("sources",), "Institutions, dates, ethics approval, earlier publications."),
    Item(8, "Inclusion and exclusion", ("unusable",), "Criteria for patients and examinations in each source."),
    Item(9, "Preparation of the data", ("rows",), "What was done to images before they came into the files."),
    Item(10, "Use of a part of the data", ("subsets",), "Why these sources were offered to the search."),
    Item(11, "Removal of identity", (), "How each source was de-identified; metadata of images are not stored."),
    Item(12, "Missing data", ("unusable",), "What is missing in the sources themselves."),
    Item(13, "Acquisition of images", (), "Scanners, protocols, contrast, by source."),
    Item(14, "How reference answers were obtained", (), "The reference standard of each target."),
    Item(15, "Why this reference", (), "Reasons, and its known errors."),
    Item(16, "Who gave the reference answers", (), "Number and qualification of annotators, by source."),
    Item(17, "Labels of the test questions", (), "How rows of search, confirm and sealed were labelled."),
    Item(18, "Agreement of annotators", (), "Between and within annotators."),
    Item(19, "How rows came into partitions", ("rows",), "Published partitions that were kept, if any."),
    Item(20, "Level at which partitions are disjoint", ("patients",), "Whether institutions are disjoint."),
    Item(21, "Size of the test set", ("sample_size",), "Whether that size was intended, and why."),
    Item(22, "The model", ("model",), "Its reference, architecture, inputs and outputs."),
    Item(23, "Software", ("software",), "Where code and environment can be had."),
    Item(24, "Initial weights", ("model",), "What the backbone had been trained on, and whether on test images."),
    Item(25, "Training", ("training", "subsets"), "Augmentation outside of this program, if any."),
    Item(26, "Choice of the final model", ("selection",), "Choices that were made outside of this study."),
    Item(27, "Ensembles", (), "Whether models were combined; the selection is one adapter."),
    Item(28, "Measures of performance", ("statistics",), "Why these fit the clinical question."),
    Item(29, "Significance and uncertainty", ("statistics",), "Analyses beyond those listed."),
    Item(30, "Robustness", ("by_stratum",), "Sensitivity analyses; strata (site, scanner) that are not listed here."),
    Item(31, "Explanation of the model", (), "Methods, if any, and how they were validated."),
    Item(32, "Evaluation on data of the same origin", ("selection",), "Which splits count as internal testing."),
    Item(33, "Tests on data of another origin", (), "External data; held-out keys are no external institution."),
    Item(34, "Registration of a trial", (), "Registry and number, if any."),
    Item(35, "Numbers included and excluded", ("rows", "unusable"), "Patients and examinations, as a flow diagram."),
    Item(36, "Patients by partition", ("patients",), "Age, sex, findings in each partition."),
    Item(37, "Performance with its uncertainty", ("finding",), "The tables of this appendix, where they belong."),
    Item(38, "Diagnostic performance", ("by_class",), "The figures that matter, and at which operating point."),
    Item(39, "Analysis of errors", (), "Wrong answers, looked at by an expert."),
    Item(40, "Limits", ("limits",), "Bias of the sources, and what cannot be generalised."),
    Item(41, "What follows for practice", (), "Intended use, and what is missing for it."),
    Item(42, "Protocol and further details", ("availability",), "Where protocol and study file can be had."),
    Item(43, "Availability of software, weights, data", ("availability",), "Addresses and terms."),
    Item(44, "Funding", (), "Sources, and the funders' part."),
)

TRIPOD_LLM = (
    Item(1, "Title: model, task, population", (), "The title."),
    Item(2, "Abstract", ("finding",), "The parts that the form lists for an abstract."),
    Item(3, "Background", (), "Context of care, population, users, existing models."),
    Item(4, "Objectives", ("goal",), "Whether this is development, fine-tuning or evaluation."),
    Item(5, "Data", ("sources", "rows", "unusable"), "Languages, countries, dates of the oldest and newest item."),
    Item(6, "Model and methods", ("model", "training", "subsets"), "Date of the last training, inference settings."),
    Item(7, "Output and its evaluation", ("statistics", "selection"), "Relevance of the measures to the use."),
    Item(8, "Annotation", (), "Guidelines, number and experience of annotators, agreement."),
    Item(9, "Prompts", ("prompts",), "How questions and options were written in each source."),
    Item(10, "Summaries", (), "Not applicable, unless sources were summarised."),
    Item(11, "Instruction tuning and alignment", ("training",), "Alignment of the backbone before this study."),
    Item(12, "Compute", ("compute",), "Costs; hardware of the workers, if it was another machine."),
    Item(13, "Ethics approval", (), "Board, number, consent or waiver."),
    Item(14, "Open science", ("availability",), "Funding, conflicts, protocol, registration, data, code."),
    Item(15, "Patients' and public's part", (), "Involvement, or that there was none."),
    Item(16, "Participants", ("rows", "patients"), "Flow and characteristics of patients, distributions by split."),
    Item(17, "Performance", ("finding", "by_class", "by_stratum"), "Evaluation by people, if there was any."),
    Item(18, "Updates of the model", (), "Whether the model was updated after its evaluation."),
    Item(19, "Discussion", ("limits",), "Interpretation, fairness, usability, next steps."),
)
DISCLAIMER = (
    "This is help with filling in the published forms: it states what the study's files hold and names what only the "
    "authors can say. It is no statement that a form's requirements are met, and topics are in our own words: the "
    "published forms (CLAIM 2024, doi 10.1148/ryai.240300; TRIPOD-LLM, doi 10.1038/s41591-024-03425-5) decide."
)


def checklist_table(name: str, items: tuple[Item, ...], stated: Mapping[str, str]) -> Table:
    """A checklist with what a study can state.

    Args:
        name: of the checklist.
        items: its items.
        stated: what `statements` returned.
    """
    first: dict[str, int] = {}  # what was said once is named by its item
    rows = []
    for item in items:
        told = []
        for topic in item.stated:
            if topic in stated:
                told.append(f"As in item {first[topic]}." if topic in first else stated[topic])
                first.setdefault(topic, item.number)
        rows.append((str(item.number), item.topic, " ".join(told) or NOTHING, item.to_fill))
    return Table(
        caption=f"{name}: what this study can state, and what you must fill in.",
        head=("item", "topic", "what this study can state", "what you must fill in"),
        rows=tuple(rows),
        widths=(0.06, 0.2, 0.48, 0.26),
    )
