"""The card of a selection's adapter, with the study's figures as the hub's `model-index`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from search.evidence.inputs.study_facts import StudyFacts
from search.handover.cards.licences import Terms
from search.handover.selection import Selection
from search.report.plain_tables import markdown_table
from search.report.wording import percent

# What an open or a box question counts for, by the study's `score`.
_SCORES = {
    "token_f1": "token F1",
    "rouge_l": "ROUGE-L",
    "exact": "exact answers",
    "iou": "IoU",
    "accuracy": "boxes with IoU of 0.5 or more",
}


def adapter_card(selection: Selection, terms: Terms) -> str:
    """Markdown with a head: base model, how good it is on which questions, what it was trained on."""
    facts, content, backbone = selection.study.facts, selection.content, selection.backbone
    caution = _caution(content)
    split = "sealed" if content["estimates"].get("sealed") else "confirm"
    estimates = [entry for entry in content["estimates"][split] if entry["eval_set"] != "mean"]
    head: dict[str, Any] = {
        "library_name": "peft",
        "base_model": backbone.model,
        "license": "other",
        "license_name": "terms-of-each-source",
        "tags": ["medical", "lora", "recombine"],
        "datasets": [entry.subset for entry in selection.mix.subsets],
        "model-index": [
            {
                "name": facts.spec.name,
                "results": [
                    _result(entry, split, facts.store_fingerprint, _score_name(facts, entry["eval_set"]), caution)
                    for entry in estimates
                ],
            }
        ],
    }
    rows = [
        [
            entry["eval_set"],
            _score_name(facts, entry["eval_set"]),
            f"{100 * entry['accuracy']:.1f}",
            f"{100 * entry['ci_low']:.1f} to {100 * entry['ci_high']:.1f}",
            str(entry["n"]),
            str(len(entry["seeds"]) if isinstance(entry["seeds"], list) else entry["seeds"]),
        ]
        for entry in estimates
    ]
    finding = content.get("finding") or {}
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        f"# Adapter of {facts.spec.name}",
        "",
        str(finding.get("headline", "")),
        "",
        f"LoRA of rank {selection.recipe.lora_rank} on `{backbone.model}`"
        + (f" at `{backbone.revision}`" if backbone.revision else "")
        + f", seed {selection.seed}. Figures are means over the study's seeds on its `{split}` questions.",
        "",
        markdown_table(["target", "score", "in %", "95 % interval", "questions", "seeds"], rows).rstrip(),
        *(["", caution] if caution else []),
        "",
        "For research. It is no medical device; how it does on other patients, scanners or words is not known.",
        "",
        "## Terms of what it was trained on",
        "",
        *(f"- {licence}: {', '.join(names)}" for licence, names in terms.by_licence.items()),
        *(f"- {conflict}" for conflict in terms.conflicts),
    ]
    return "\n".join(lines) + "\n"


def _score_name(facts: StudyFacts, eval_set: str) -> str:
    """What the figures of an evaluation set are, by the kinds of its questions."""
    figure, score = facts.blind.get(eval_set) or {}, facts.spec.score
    kinds = {"num_closed": "accuracy", "num_open": _SCORES[score.open], "num_box": _SCORES[score.box]}
    found = [name for number, name in kinds.items() if figure.get(number)]
    return f"mean of {' and '.join(found)}" if len(found) > 1 else found[0] if found else "accuracy"


def _caution(content: Mapping[str, Any]) -> str | None:
    """What keeps a reader from relying on figures of `confirm`; None where sealed questions were answered."""
    if content["estimates"].get("sealed"):
        return None
    told = "The sealed questions have not been opened: finalists were compared on these questions."
    chosen = (content.get("optimism") or {}).get("confirm") or {}
    if chosen.get("num_finalists", 1) > 1 and chosen["optimism"] > 0:
        told += (
            f" The best of {chosen['num_finalists']} was taken, which flatters it: over the targets "
            f"{percent(chosen['expected'])} is expected of new questions, not {percent(chosen['observed'])}."
        )
    return told


def _result(entry: dict[str, Any], split: str, fingerprint: str, score: str, caution: str | None) -> dict[str, Any]:
    """An entry of the hub's `model-index`, whose metrics have no place for a caution but their name."""
    name = f"{score} ({caution})" if caution else score
    return {
        "task": {"type": "visual-question-answering"},
        "dataset": {"name": entry["eval_set"], "type": entry["eval_set"], "split": split, "revision": fingerprint[:12]},
        "metrics": [
            {
                "type": "accuracy" if score == "accuracy" else "score",
                "name": name,
                "value": round(float(entry["accuracy"]), 4),
            }
        ],
    }
