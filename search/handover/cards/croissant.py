"""Croissant 1.1: the selection as a data set derived from its sources (PROV-O), with terms of use (DUO, ODRL)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets_spec.catalog.catalog import NOT_STATED
from search.handover.cards.licences import Terms
from search.handover.selection import Selection

FILE_NAME = "croissant.json"
# The context of the specification (appendix 1), with the vocabularies that are used beside it.
_CROISSANT_TERMS = (
    "annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "excludes", "extract", "field",
    "fileProperty", "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
    "parentField", "path", "readLines", "recordSet", "references", "regex", "repeated", "replace", "samplingRate",
    "sdVersion", "separator", "source", "subField", "transform", "unArchive", "value",
)  # fmt: skip
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "duo": "http://purl.obolibrary.org/obo/DUO_",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _CROISSANT_TERMS},
}
_HEALTH_RESEARCH = {"@id": "duo:0000006", "name": "health or medical or biomedical research"}
_NON_COMMERCIAL = ("duo:0000046", "non-commercial use only")
_APPROVED_USERS = ("duo:0000026", "user specific restriction: for those with whom the source has agreed")
_ENCODINGS = {
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".parquet": "application/vnd.apache.parquet",
}


def croissant(selection: Selection, terms: Terms, folder: Path, data_files: Sequence[str]) -> dict[str, Any]:
    """The description of a folder that was exported, as JSON-LD.

    Args:
        selection: what was selected.
        terms: of its sources.
        folder: the exported folder.
        data_files: its files of rows, relative to it.
    """
    facts = selection.study.facts
    run = selection.run
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": f"selection-of-{facts.spec.name}",
        "description": f"The training rows that the study {facts.spec.name} selected for "
        f"{', '.join(facts.spec.objective_sets)}, from {len(selection.mix.subsets)} sources.",
        "version": "1.0.0",
        "citeAs": f"Study {facts.spec.name}, run with recombine {run['recombine_version']}, "
        f"ledger {run['ledger']['sha256'][:12]}; and its sources.",
        "license": sorted(terms.by_licence),
        "url": f"urn:sha256:{run['ledger']['sha256']}",
        "creator": {"@type": "Organization", "name": f"whoever ran the study {facts.spec.name}"},
        "datePublished": str(run.get("finished_at") or run.get("started_at"))[:10],
        "keywords": ["medical", "visual question answering", "data selection"],
        "prov:wasDerivedFrom": [_source(selection, name, rows) for name, rows in selection.mix.composition.items()],
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:label": f"selection by recombine {run['recombine_version']}, study seed {facts.spec.seed}",
            "prov:endedAtTime": run.get("finished_at"),
        },
        "prov:wasAttributedTo": {"@type": "prov:SoftwareAgent", "prov:label": f"recombine {run['recombine_version']}"},
        "usageInfo": usage(terms),
        "distribution": [_file(folder, name) for name in data_files],
    }


def _source(selection: Selection, name: str, rows: int) -> dict[str, Any]:
    subset = selection.study.facts.subsets[name]
    return {
        "@type": "prov:Entity",
        "@id": f"urn:recombine:{selection.study.facts.catalog}:{name}",
        "prov:label": f"{name}: its first {rows} rows in the order of store {selection.mix.store_fingerprint[:12]}",
        "sc:license": subset.licence or NOT_STATED,
        **({"sc:isBasedOn": subset.origin} if subset.origin else {}),
    }


def usage(terms: Terms) -> dict[str, Any]:
    """Health research, under the narrowest of the sources' terms, and what does not go together in words."""
    bounds = []
    if terms.non_commercial:
        bounds.append((*_NON_COMMERCIAL, terms.non_commercial))
    if terms.agreements or terms.not_stated:
        bounds.append((*_APPROVED_USERS, (*terms.agreements, *terms.not_stated)))
    return {
        "@type": ["sc:CreativeWork", "odrl:Offer"],
        "name": "terms of the sources together",
        "description": " ".join(terms.conflicts) or "No conflict shows in the licences' names.",
        "odrl:permission": {
            "@type": "odrl:Permission",
            "odrl:action": _HEALTH_RESEARCH,
            "odrl:constraint": [
                {
                    "@type": "odrl:Constraint",
                    "name": f"{words} ({', '.join(names)})",
                    "odrl:operator": {"@id": "odrl:eq"},
                    "odrl:rightOperand": {"@id": term},
                }
                for term, words, names in bounds
            ],
        },
    }


def _file(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": _ENCODINGS[path.suffix],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def write_croissant(content: dict[str, Any], folder: Path) -> None:
    """Write `croissant.json`."""
    (folder / FILE_NAME).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
