"""`recombine data ...`: prepare, check, verify, gc, relations, init-catalog, unpack, export."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from datasets_spec.catalog.catalog import Catalog, load_catalog
from datasets_spec.catalog.keys import load_task_map
from datasets_spec.errors import UserError
from datasets_spec.sample import SPLITS
from search.cli.connection import connected
from search.cli.console import print_line, print_table, renewed_line
from search.study.load_study import load_study
from search.study.run_dir import RunFile, run_dir_of
from search.study.study import Study

if TYPE_CHECKING:
    from datasets_spec.check.blind_rules import BlindBaselines
    from datasets_spec.check.check import DataCheck, SubsetCheck
    from datasets_spec.prepare.prepare_store import PreparedStore
    from datasets_spec.splits.leak_levels import LeakCount
    from datasets_spec.store.export import ExportFormat

MIB = 2**20


def prepare(study_file: Path, overrides: Sequence[str], address: str | None, *, retry_images: bool = False) -> None:
    """Prepare the data of a study."""
    study = load_study(study_file, overrides)
    # Whoever asks for it by name may have been sent here by a damaged file, which has its size.
    prepared = _prepared(study, address, print_line, check_hashes=True, retry_images=retry_images)
    done = "up to date, nothing done" if prepared.was_current else "prepared"
    print_line(f"{study.store_dir}: {done}; fingerprint {prepared.manifest.fingerprint[:12]}")


def _prepared(
    study: Study,
    address: str | None,
    say: Callable[[str], None],
    *,
    check_hashes: bool = False,
    retry_images: bool = False,
) -> PreparedStore:
    from datasets_spec.prepare.prepare_store import prepare_store

    with connected(address, say, dashboard=False), renewed_line() as renew:
        return prepare_store(
            study.catalog,
            study.store_dir,
            seed=study.spec.seed,
            quarantine_limit=study.spec.quarantine_limit,
            check_hashes=check_hashes,
            retry_images=retry_images,
            on_event=say,
            on_progress=renew,
        )


def verify(study_file: Path, overrides: Sequence[str]) -> int:
    """Compare every file of the prepared data with its hash; returns 1 when one is damaged."""
    from datasets_spec.store.damages import find_damages
    from datasets_spec.store.store import open_store

    study = load_study(study_file, overrides)
    store = open_store(study.store_dir)
    damages = find_damages(store.directory, store.manifest, check_hashes=True)
    for damage in damages:
        print_line(f"damaged: {damage}")
    if damages:
        print_line(
            f"{len(damages)} of {store.num_files} files in {store.directory} are damaged. "
            f"Write them again: recombine data prepare {shlex.join([str(study_file), *overrides])}"
        )
        return 1
    print_line(f"{store.directory}: all {store.num_files} files are as they were written; {store.fingerprint[:12]}")
    return 0


def gc(study_file: Path, overrides: Sequence[str]) -> None:
    """Remove earlier generations of the prepared data that nobody reads."""
    from datasets_spec.store.generations import collect_garbage

    store_dir = load_study(study_file, overrides).store_dir
    found = collect_garbage(store_dir)
    for old in found.removed:
        print_line(f"removed: {old.name}, {old.num_bytes / MIB:.1f} MiB")
    for old in found.held:
        print_line(f"stays: {old.name}, {old.num_bytes / MIB:.1f} MiB; a running study reads it")
    print_line(f"{store_dir}: {found.num_bytes / MIB:.1f} MiB freed, {len(found.removed)} generations removed")


def check(study_file: Path, overrides: Sequence[str], address: str | None, *, as_json: bool) -> int:
    """Prepare the data where needed and show what they are; returns 1 when something must be fixed."""
    from datasets_spec.check.check import check_store
    from datasets_spec.store.store import open_store

    study = load_study(study_file, overrides)
    _prepared(study, address, _say_nothing if as_json else print_line)
    found = check_store(
        open_store(study.store_dir),
        study.catalog,
        sources=study.spec.space.composition.sources,
        eval_sets=study.spec.eval_sets,
    )
    if as_json:
        print_line(json.dumps(as_plain(found), indent=1))
    else:
        show_check(found, study.spec.eval_sets)
    return 1 if found.must_fix else 0


def _say_nothing(text: str) -> None:
    """Progress would spoil the JSON."""


def as_plain(found: DataCheck) -> dict[str, Any]:
    """Return a check as JSON can hold it."""
    told = asdict(found)
    told["leaks"] = [leak.model_dump(mode="json") for leak in found.leaks]
    told["must_fix"], told["advice"] = [*map(str, found.must_fix)], [*map(str, found.advice)]
    told["copy_search"] = found.copy_search.model_dump(mode="json")
    for plain, subset in zip(told["subsets"], found.subsets, strict=True):
        plain["audit"]["key"] = subset.audit.key.model_dump(mode="json")
    return told


def show_check(found: DataCheck, eval_sets: Sequence[str]) -> None:
    """Print a check on one screen: counts, what was set aside, leaks, shortcuts, what to decide, what to know."""
    from datasets_spec.check.remarks import folded

    columns = ["subset", "key", "read", "kept", *SPLITS, "closed", "open", "box", "options", "images", "questions"]
    columns += ["copies", "leaked", "unsampled", "unusable", "patients", "licence"]
    print_table("Rows", columns, [_count_row(subset) for subset in found.subsets])
    audits = [subset.audit for subset in found.subsets]
    reasons = [[a.name, reason, str(n)] for a in audits for reason, n in sorted(a.quarantined.items())]
    _print_filled("Unusable rows (quarantined; named in quarantine.parquet)", ["subset", "reason", "rows"], reasons)
    flags = [[a.name, flag, str(n)] for a in audits for flag, n in sorted(a.flags.items())]
    _print_filled("Odd rows that are kept", ["subset", "flag", "rows"], flags)
    columns = ["level", "rows of", "show what is in", "rows", "what was done"]
    _print_filled("Leakage", columns, [_leak_row(leak) for leak in found.leaks])
    search = found.copy_search
    print_line(
        f"Copies: {search.num_images} images, {search.num_shortlisted} pairs alike, {search.num_compared} compared, "
        f"{search.num_copies} confirmed, {search.num_slices} neighbouring slices; largest group {search.largest_group}"
    )
    shared = [[one, two, " ".join(names)] for one, two, names in found.common_sources]
    _print_filled("Built from the same data set", ["subset", "and", "data sets"], shared)
    scored = [subset for subset in found.subsets if subset.audit.name in eval_sets]
    rows = [_blind_row(s, split, b) for s in scored for split, b in s.audit.blind.items() if split != "train"]
    columns = ["target", "split", "closed", "open", "chance", "constant letter", "longest option", "shortest option"]
    columns += ["words alone", "95 % (clusters)", "questions seen in train"]
    print_table("What needs no image (accuracy on closed questions)", columns, rows)
    for text in folded(found.must_fix) or ["nothing"]:
        print_line(f"must be fixed: {text}")
    for text in folded(found.advice):
        print_line(f"note: {text}")


def _print_filled(title: str, columns: list[str], rows: list[list[str]]) -> None:
    if rows:
        print_table(title, columns, rows)


def _leak_row(leak: LeakCount) -> list[str]:
    later = f"{leak.seen_subset} {leak.seen_split}"
    return [leak.level, f"{leak.subset} {leak.split}", later, str(leak.num_rows), leak.action]


def _count_row(subset: SubsetCheck) -> list[str]:
    audit = subset.audit
    splits = (audit.splits.get(split, 0) for split in SPLITS)
    shapes = [" ".join(f"{size}:{num}" for size, num in n.items()) for n in (subset.num_options, subset.num_images)]
    numbers = (audit.read, audit.kept, *splits, subset.num_closed, subset.num_open, subset.num_box)
    aside = (audit.duplicates, audit.leaked, audit.not_sampled, sum(audit.quarantined.values()))
    in_part = f"{audit.num_grouped} of {audit.kept} rows" if audit.num_grouped else "unknown"
    patients = "known" if audit.groups_known else in_part
    counts = [*map(str, numbers), *shapes, str(subset.num_questions), *map(str, aside)]
    return [audit.name, str(audit.key), *counts, patients, subset.licence or "-"]


def _blind_row(subset: SubsetCheck, split: str, blind: BlindBaselines) -> list[str]:
    shares = (blind.chance, blind.constant_letter, blind.longest_option, blind.shortest_option)
    words = subset.text_only.get(split)
    return [
        subset.audit.name,
        split,
        str(blind.num_closed),
        str(blind.num_open),
        *("-" if x is None else f"{x:.1%}" for x in shares),
        f"{words.accuracy:.1%}" if words else "-",
        f"{words.low:.0%} to {words.high:.0%} ({words.num_clusters})" if words else "-",
        str(subset.repeated_questions),
    ]


def show_relations(target: str, catalog_name: str, task_map_name: str | None, *, as_json: bool) -> None:
    """Print what the subsets of a catalog share with a target."""
    from datasets_spec.catalog.relations import num_related, relations_of

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
    from datasets_spec.catalog.draft import draft_catalog

    path = out or folder / "catalog.yaml"
    if path.exists():
        raise UserError(f"{path} exists and stays as it is", hint="choose another file with --out")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent} is no folder", hint="make it first, or choose another file with --out")
    draft = draft_catalog(folder, path.parent)
    path.write_text(draft.text, encoding="utf-8")
    for guess in draft.guesses:
        print_line(
            f"{guess.path}: {guess.format}, {guess.surety} ({guess.num_read} of {guess.num_tried} records read, "
            f"{guess.num_found} of {guess.num_images} images found)"
        )
    for found in draft.folders:
        print_line(f"{found.place}: image_folder, {found.surety} ({len(found.classes)} classes)")
    for unread in draft.unread:
        print_line(f"{unread}: in no format that is read; left out")
    num_empty, num_doubtful = draft.text.count(":  # fill in"), draft.text.count("  # doubtful")
    left = [f"fill in its {num_empty} empty fields"] if num_empty else []
    left += [f"look at its {num_doubtful} doubtful guesses"] if num_doubtful else []
    print_line(f"wrote {path}; {' and '.join([*left, 'name it as `catalog` of a study'])}")


def unpack(table: Path, folder: Path) -> None:
    """Write the images of a Parquet table to files."""
    from datasets_spec.readers.unpack import unpack_table

    out, num_rows, num_images = unpack_table(table, folder)
    print_line(f"wrote {out}: {num_rows} rows, {num_images} images in {folder / 'images'}")


def export(study_file: Path, folder: Path, export_format: str, mix_file: Path | None, run_dir: Path | None) -> None:
    """Write the rows of a mix for another tool."""
    from datasets_spec.store.export import EXPORT_FORMATS, export_rows
    from datasets_spec.store.store import open_store
    from search.evidence.mix_file import load_mix

    if export_format not in EXPORT_FORMATS:
        raise UserError(f"no export format '{export_format}'", hint=f"formats: {', '.join(EXPORT_FORMATS)}")
    study = load_study(study_file)
    path = mix_file or run_dir_of(study_file, study.spec, run_dir) / RunFile.mix
    mix = load_mix(path)
    store = open_store(study.store_dir)
    if mix.store_fingerprint != store.fingerprint:
        raise UserError(
            f"{path} names rows of another store ({mix.store_fingerprint[:12]}, this is {store.fingerprint[:12]})",
            hint="prepare the data as they were, or select again",
        )
    rows = {entry.subset: entry.rows for entry in mix.subsets}
    total = export_rows(store, study.catalog, rows, folder, cast("ExportFormat", export_format))
    print_line(f"wrote {total} rows of {len(rows)} subsets to {folder} ({export_format})")


def _full_name(catalog: Catalog, target: str) -> str:
    # Papers say "subset 03"; a number that begins exactly one name stands for it.
    names = [subset.name for subset in catalog.spec.subsets]
    begun = [name for name in names if name.startswith(f"{target}-")]
    return begun[0] if target not in names and len(begun) == 1 else target
