"""Everything to know about prepared data before a GPU is paid for, and what must be mended first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.catalog.divided_tests import divided_tests
from datasets_spec.catalog.keys import Key
from datasets_spec.check.blind_rules import BlindBaselines, blind_baselines
from datasets_spec.check.remarks import Remark
from datasets_spec.check.words_alone import TextOnly, read_questions, words_alone
from datasets_spec.copies.groups import CopySearch
from datasets_spec.sample import SPLITS, Flag
from datasets_spec.splits.leak_levels import LeakCount
from datasets_spec.store.clusters import few_clusters, row_clusters
from datasets_spec.store.remarks import contradicting_rows, images_not_opened, patients_known_in_part
from datasets_spec.store.store import Store

# A shortcut this far above chance is told; what an image adds must be read against it.
SHORTCUT_MARGIN = 0.15
_EVAL_SPLITS = SPLITS[1:]
_COLUMNS = ["options", "answer_index"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetCheck:
    """One subset of a check.

    Args:
        audit: Counts and blind rules.
        num_closed: Questions with options.
        num_open: Questions answered in words.
        num_box: Questions answered by a box.
        num_options: Closed questions by number of options.
        num_images: Rows by number of images.
        num_questions: Distinct question texts.
        repeated_questions: Evaluation rows whose question text occurs in ``train`` too; told, not a leak.
        text_only: Accuracy from words alone, by evaluation split; for targets and abilities.
        few_clusters: As how many clusters (`row_clusters`) the questions of an evaluation split count, where these are
            few; for targets and abilities.
        licence: Licence as the catalog says.
        origin: Origin as the catalog says.
    """

    audit: SubsetAudit
    num_closed: int
    num_open: int
    num_box: int
    num_options: dict[int, int]
    num_images: dict[int, int]
    num_questions: int
    repeated_questions: int
    text_only: dict[str, TextOnly] = field(default_factory=dict)
    few_clusters: dict[str, float] = field(default_factory=dict)
    licence: str | None = None
    origin: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DataCheck:
    """A check of prepared data.

    Args:
        fingerprint: Fingerprint of the store.
        subsets: Its subsets.
        leaks: Rows that showed what a later split shows.
        copy_search: How the search for copies went.
        common_sources: Pairs of subsets built from the same data set, and its names.
        must_fix: What makes results wrong or a study impossible.
        advice: What to know.
    """

    fingerprint: str
    subsets: tuple[SubsetCheck, ...]
    leaks: tuple[LeakCount, ...]
    copy_search: CopySearch
    common_sources: tuple[tuple[str, str, tuple[str, ...]], ...]
    must_fix: tuple[Remark, ...]
    advice: tuple[Remark, ...]


def check_store(store: Store, catalog: Catalog, *, sources: Sequence[str], eval_sets: Sequence[str]) -> DataCheck:
    """Checks prepared data for a study.

    Args:
        store: The store.
        catalog: What it was prepared from.
        sources: Subsets that compositions are made of.
        eval_sets: Targets and abilities.

    Raises:
        StoreError: Data are damaged.
    """
    subsets = tuple(
        _check_subset(store, catalog, name, is_scored=name in eval_sets) for name in sorted(store.manifest.subsets)
    )
    by_name = {subset.audit.name: subset for subset in subsets}
    must_fix, advice = [], []
    for name in (name for name in eval_sets if name in by_name):
        empty = [split for split in _EVAL_SPLITS if not by_name[name].audit.splits[split]]
        must_fix += [Remark(subset=name, text=f"no row in '{split}'") for split in empty]
        advice += _shortcuts(by_name[name])
    for name, told in divided_tests(catalog, eval_sets).items():
        advice.append(Remark(subset=name, text=told, kind="divided test set"))
    without = [name for name in sources if not by_name[name].audit.splits["train"]]
    must_fix += [Remark(subset=name, text="no row to train on") for name in without]
    for leak in store.manifest.leaks:
        if leak.action == "warn":
            # Neighbouring slices are a guess about patients: no reason to stop anybody.
            (advice if leak.level == "slices" else must_fix).append(_kept_leak(leak))
    for subset in subsets:
        advice += _oddities(subset)
    advice += _twins(store, sources, eval_sets)
    advice += _not_followed(store.manifest.copy_search)
    return DataCheck(
        fingerprint=store.fingerprint,
        subsets=subsets,
        leaks=store.manifest.leaks,
        copy_search=store.manifest.copy_search,
        common_sources=_common_sources(catalog, by_name),
        must_fix=tuple(must_fix),
        advice=tuple(advice),
    )


def _kept_leak(leak: LeakCount) -> Remark:
    todo = "; name patients by `group_pattern`" if leak.level == "slices" else ""
    return Remark(
        subset=leak.subset,
        text=f"{leak.num_rows} rows of '{leak.split}' show what {leak.seen_subset} ('{leak.seen_split}') shows "
        f"({leak.level}), and the catalog keeps them{todo}",
        kind="slices" if todo else f"leak {leak.split} {leak.seen_split} {leak.level}",
    )


def _not_followed(search: CopySearch) -> list[Remark]:
    told = []
    if search.num_cut:
        told.append(f"{search.num_cut} images have more lookalikes than were followed")
    if search.num_over_budget:
        told.append(
            f"{search.num_over_budget} pairs of images that look alike were not compared by pixels, because "
            f"{search.num_compared} look more alike; about {search.num_expected} of them may be copies"
        )
    return [Remark(subset="all", text=text) for text in told]


def _check_subset(store: Store, catalog: Catalog, name: str, *, is_scored: bool) -> SubsetCheck:
    rows = {split: read_questions(store, name, split) for split in SPLITS}
    every = [row for members in rows.values() for row in members]
    seen = {row["question"] for row in rows["train"]}
    scored = _EVAL_SPLITS if is_scored else ()
    found = {split: words_alone(store, name, split) for split in scored}
    few = {split: few_clusters(row_clusters(rows[split])) for split in scored}
    spec = catalog.subset(name)
    return SubsetCheck(
        audit=audit_subset(store, name),
        num_closed=sum(bool(row["options"]) for row in every),
        num_open=sum(row["answer_kind"] == "open" for row in every),
        num_box=sum(row["answer_kind"] == "box" for row in every),
        num_options=dict(sorted(Counter(len(row["options"]) for row in every if row["options"]).items())),
        num_images=dict(sorted(Counter(len(row["image_hashes"]) for row in every).items())),
        num_questions=len({row["question"] for row in every}),
        repeated_questions=sum(row["question"] in seen for split in _EVAL_SPLITS for row in rows[split]),
        text_only={split: score for split, score in found.items() if score is not None},
        few_clusters={split: number for split, number in few.items() if number is not None},
        licence=spec.licence,
        origin=spec.origin,
    )


def _shortcuts(subset: SubsetCheck) -> list[Remark]:
    told = []
    for split, blind in subset.audit.blind.items():
        if split == "train" or blind.chance is None:
            continue
        words = subset.text_only.get(split)
        rules = {
            f"always {blind.letter}": blind.constant_letter,
            "the longest option": blind.longest_option,
            "the shortest option": blind.shortest_option,
            "words alone": words.low if words else None,
        }
        for rule, accuracy in rules.items():
            if accuracy is not None and accuracy > blind.chance + SHORTCUT_MARGIN:
                text = f"{rule} reaches {accuracy:.0%} of '{split}', chance {blind.chance:.0%}"
                told.append(Remark(subset=subset.audit.name, text=text, kind=f"shortcut {rule.rsplit(maxsplit=1)[0]}"))
    return told


def _twins(store: Store, sources: Sequence[str], eval_sets: Sequence[str]) -> list[Remark]:
    """Sources that hold images of a target's own training rows: no leak, but what they teach is the target itself."""
    images = {
        name: {h for row in read_questions(store, name, "train") for h in row["image_hashes"]}
        for name in {*sources, *eval_sets}
        if name in store.manifest.subsets
    }
    told = []
    for target in (name for name in eval_sets if name in images):
        for source in (name for name in sources if name in images and name != target):
            shared = images[source] & images[target]
            if shared:
                text = (
                    f"{len(shared)} of its training images are training images of {target} too; trained on {source}, "
                    f"{target} is held out by name only"
                )
                told.append(Remark(subset=source, text=text, kind=f"twin of {target}"))
    return told


def _oddities(subset: SubsetCheck) -> list[Remark]:
    audit = subset.audit
    told: list[tuple[str, str]] = []  # sentence, kind
    if audit.kept == 0:
        told.append(("nothing is stored of it", ""))
    for split, number in subset.few_clusters.items():
        if number <= 1:
            text = f"nearly all questions of '{split}' share patients or images, so that it can show no difference"
        else:
            text = (
                f"the {audit.splits.get(split, 0)} questions of '{split}' come from patients, or images, that count as "
                f"{number:.3g}: intervals over so few are wide, and only more of them make them narrower"
            )
        told.append((text, f"{'joined' if number <= 1 else 'few'} {split}"))
    contradicting = audit.flags.get(Flag.gold_text_contradicts_option.value, 0)
    if contradicting:
        told.append((f"{contradicting} answers contradict the option their letter names", "letter"))
    if audit.patients_in_part is not None:
        told.append((f"{audit.patients_in_part}, and of these one patient may be in several splits", "in part"))
    elif audit.kept and not audit.groups_known:
        told.append(("patients are unknown, so one may be in several splits", ""))
    if audit.contradiction is not None:
        told.append((f"{audit.contradiction}; one of each two is wrong: look at both", "contradiction"))
    if audit.images_not_opened is not None:
        told.append((audit.images_not_opened, "not opened"))
    if audit.kept and subset.licence is None:
        told.append(("the catalog names no licence", ""))
    return [Remark(subset=audit.name, text=text, kind=kind) for text, kind in told]


def _common_sources(catalog: Catalog, by_name: dict[str, SubsetCheck]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Pairs of subsets with a data set in common, by its id or by its address."""
    urls = {source.id: source.url or source.id for source in catalog.spec.sources}
    published = {name: {urls.get(s, s): s for s in catalog.subset(name).sources} for name in by_name}
    names = sorted(by_name)
    return tuple(
        (one, two, shared)
        for number, one in enumerate(names)
        for two in names[number + 1 :]
        if (shared := tuple(sorted(published[one][url] for url in published[one].keys() & published[two].keys())))
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetAudit:
    """One subset of an audit.

    Args:
        name: Its name.
        key: Its key.
        read: Rows found.
        kept: Rows stored.
        splits: Rows by split.
        quarantined: Unusable rows by reason.
        duplicates: Copies removed.
        leaked: Rows removed by the leakage guard.
        not_selected: Rows the spec does not ask for.
        not_sampled: Usable rows beyond what the spec's sampling keeps.
        flags: Odd rows that are kept, by flag.
        groups_known: Whether every patient is known.
        num_grouped: Rows whose patient is known; None where they were not counted.
        contradicting: Rows of which a copy is asked the same and answered differently.
        patients_in_part: What is said where patients are known in part.
        contradiction: What is said where rows contradict each other, with an example by file and row.
        images_not_opened: What is said where images could not be opened for the time being.
        num_labels: Distinct labels; None where they are as free as answers.
        blind: Baselines of each split that has rows.
    """

    name: str
    key: Key
    read: int
    kept: int
    splits: dict[str, int]
    quarantined: dict[str, int]
    duplicates: int
    leaked: int
    not_selected: int
    not_sampled: int
    flags: dict[str, int]
    groups_known: bool
    num_grouped: int | None
    contradicting: int
    patients_in_part: str | None
    contradiction: str | None
    images_not_opened: str | None
    num_labels: int | None
    blind: dict[str, BlindBaselines] = field(default_factory=dict)


def audit_subset(store: Store, name: str) -> SubsetAudit:
    """Audits one subset.

    Args:
        store: The store.
        name: Name of the subset.

    Raises:
        StoreError: There is no such subset, or its data are damaged.
    """
    blind: dict[str, BlindBaselines] = {}
    for split in SPLITS:
        if store.count(name, split):
            table: Any = store.read(name, split, columns=_COLUMNS)
            blind[split] = blind_baselines(*(table.column(column).to_pylist() for column in _COLUMNS))
    counts = store.manifest.subsets[name]
    labels = None if counts.labels is None else len(set().union(*counts.labels.values()))
    return SubsetAudit(
        name=name,
        key=counts.key,
        read=counts.read,
        kept=counts.kept,
        splits=counts.splits,
        quarantined=counts.quarantined,
        duplicates=counts.duplicates,
        leaked=counts.leaked,
        not_selected=counts.not_selected,
        not_sampled=counts.not_sampled,
        flags=counts.flags,
        groups_known=counts.groups_known,
        num_grouped=counts.num_grouped,
        contradicting=counts.contradicting,
        patients_in_part=patients_known_in_part(counts),
        contradiction=contradicting_rows(counts, name),
        images_not_opened=images_not_opened(counts),
        num_labels=labels,
        blind=blind,
    )
