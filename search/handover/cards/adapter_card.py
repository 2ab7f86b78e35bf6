"""The card of a selection's adapter, with the study's figures as the hub's `model-index`."""

from __future__ import annotations

from typing import Any

import yaml

from search.handover.cards.licences import Terms
from search.handover.selection import Selection
from search.report.plain_tables import markdown_table


def adapter_card(selection: Selection, terms: Terms) -> str:
    """Markdown with a head: base model, how good it is on which questions, what it was trained on."""
    facts, content, backbone = selection.study.facts, selection.content, selection.backbone
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
                "results": [_result(entry, split, facts.store_fingerprint) for entry in estimates],
            }
        ],
    }
    rows = [
        [
            entry["eval_set"],
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
        markdown_table(["target", "accuracy in %", "95 % interval", "questions", "seeds"], rows).rstrip(),
        "",
        "For research. It is no medical device; how it does on other patients, scanners or words is not known.",
        "",
        "## Terms of what it was trained on",
        "",
        *(f"- {licence}: {', '.join(names)}" for licence, names in terms.by_licence.items()),
        *(f"- {conflict}" for conflict in terms.conflicts),
    ]
    return "\n".join(lines) + "\n"


def _result(entry: dict[str, Any], split: str, fingerprint: str) -> dict[str, Any]:
    return {
        "task": {"type": "visual-question-answering"},
        "dataset": {"name": entry["eval_set"], "type": entry["eval_set"], "split": split, "revision": fingerprint[:12]},
        "metrics": [
            {"type": "accuracy", "name": "accuracy", "value": round(float(entry["accuracy"]), 4)},
        ],
    }
