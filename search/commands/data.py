"""`recombine data ...`: prepare, check, relations, init-catalog, unpack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from datasets_spec.catalog import Catalog, load_catalog
from datasets_spec.errors import UserError
from datasets_spec.mat import load_task_map
from datasets_spec.sample import SPLITS
from search.commands.session import connected
from search.console import print_line, print_table
from search.study_files import Study, load_study

if TYPE_CHECKING:
    from datasets_spec.audit import BlindBaselines, SubsetAudit


def prepare(study_file: Path, overrides: Sequence[str], address: str | None) -> None:
    """Prepare the data of a study."""
    from datasets_spec.store_build import prepare_store

    study = load_study(study_file, overrides)
    with connected(address, print_line, dashboard=False):
        prepared = prepare_store(
            study.catalog,
            study.store_dir,
            seed=study.spec.seed,
            quarantine_limit=study.spec.quarantine_limit,
            on_event=print_line,
        )
    done = "up to date, nothing done" if prepared.was_current else "prepared"
    print_line(f"{study.store_dir}: {done}; fingerprint {prepared.manifest.fingerprint[:12]}")


def check(study_file: Path, overrides: Sequence[str], address: str | None) -> None:
    """Prepare the data where needed and show what they are."""
    prepare(study_file, overrides, address)
    show_audit(load_study(study_file, overrides))


def show_audit(study: Study) -> None:
    """Print counts, unusable rows and blind baselines of a prepared store."""
    from datasets_spec.audit import audit_store
    from datasets_spec.store import open_store

    audits = audit_store(open_store(study.store_dir))
    columns = ["subset", "key", "read", "kept", *SPLITS, "copies", "leaked", "unusable", "patients"]
    print_table("Rows", columns, [_count_row(audit) for audit in audits])
    reasons = [[a.name, reason, str(n)] for a in audits for reason, n in sorted(a.quarantined.items())]
    if reasons:
        print_table("Unusable rows (quarantined; named in quarantine.parquet)", ["subset", "reason", "rows"], reasons)
    flags = [[a.name, flag, str(n)] for a in audits for flag, n in sorted(a.flags.items())]
    if flags:
        print_table("Odd rows that are kept", ["subset", "flag", "rows"], flags)
    targets = [audit for audit in audits if audit.name in study.spec.eval_sets]
    blind = [_blind_row(a.name, split, b) for a in targets for split, b in a.blind.items() if split != "train"]
    columns = ["target", "split", "closed", "open", "chance", "constant letter", "longest option", "shortest option"]
    print_table("What needs no image (accuracy on closed questions)", columns, blind)


def _count_row(audit: SubsetAudit) -> list[str]:
    numbers = (audit.read, audit.kept, *(audit.splits.get(s, 0) for s in SPLITS), audit.duplicates, audit.leaked)
    unusable = sum(audit.quarantined.values())
    return [audit.name, str(audit.key), *map(str, numbers), str(unusable), "known" if audit.groups_known else "unknown"]


def _blind_row(name: str, split: str, blind: BlindBaselines) -> list[str]:
    shares = (blind.chance, blind.constant_letter, blind.longest_option, blind.shortest_option)
    return [
        name,
        split,
        str(blind.num_closed),
        str(blind.num_open),
        *("-" if x is None else f"{x:.1%}" for x in shares),
    ]


def show_relations(target: str, catalog_name: str, task_map_name: str | None, *, as_json: bool) -> None:
    """Print what the subsets of a catalog share with a target."""
    from datasets_spec.relations import num_related, relations_of

    catalog = load_catalog(catalog_name)
    task_map = load_task_map(task_map_name) if task_map_name else catalog.task_map
    relations = relations_of(catalog, _full_name(catalog, target), task_map)
    groups = {"all other subsets": list(relations)}
    for role in ("id", "ood"):
        groups[f"with role {role}"] = [relation for relation in relations if relation.role == role]
    counts = {name: num_related(members) for name, members in groups.items() if members}
    if as_json:
        found = [{**asdict(relation), "key": relation.key.model_dump(mode="json")} for relation in relations]
        told = {"task_map": task_map.name, "version": task_map.version, "subsets": found, "related_unrelated": counts}
        print_line(json.dumps(told, indent=1))
        return
    columns = ["subset", "key under the map", "shares", "role", "files", "common sources"]
    print_table(
        f"What subsets share with {_full_name(catalog, target)} (task map {task_map.name} {task_map.version})",
        columns,
        [
            [
                relation.name,
                str(relation.key),
                "the same key" if relation.same_key else "+".join(relation.shared) or "-",
                relation.role or "-",
                "yes" if relation.has_files else "none",
                " ".join(relation.common_sources) or "-",
            ]
            for relation in relations
        ],
    )
    for name, (related, unrelated) in counts.items():
        print_line(f"{name}: {related} related, {unrelated} unrelated")


def init_catalog(folder: Path, out: Path | None) -> None:
    """Draft a catalog for a folder; never overwrites one."""
    from datasets_spec.draft import draft_catalog

    path = out or folder / "catalog.yaml"
    if path.exists():
        raise UserError(f"{path} exists and stays as it is", hint="choose another file with --out")
    if path.resolve().parent != folder.resolve():
        raise UserError("a catalog's paths start from its own folder", hint=f"write it into {folder}")
    draft = draft_catalog(folder)
    path.write_text(draft.text, encoding="utf-8")
    for guess in draft.guesses:
        print_line(
            f"{guess.path}: {guess.format}, {guess.surety} ({guess.num_read} of {guess.num_tried} records read, "
            f"{guess.num_found} of {guess.num_images} images found)"
        )
    for unread in draft.unread:
        print_line(f"{unread}: in no format that is read; left out")
    print_line(f"wrote {path}; fill in its empty fields, then name it as `catalog` of a study")


def unpack(table: Path, folder: Path) -> None:
    """Write the images of a Parquet table to files."""
    from datasets_spec.unpack import unpack_table

    out, num_rows, num_images = unpack_table(table, folder)
    print_line(f"wrote {out}: {num_rows} rows, {num_images} images in {folder / 'images'}")


def _full_name(catalog: Catalog, target: str) -> str:
    # Papers say "subset 03"; a number that begins exactly one name stands for it.
    names = [subset.name for subset in catalog.spec.subsets]
    begun = [name for name in names if name.startswith(f"{target}-")]
    return begun[0] if target not in names and len(begun) == 1 else target
