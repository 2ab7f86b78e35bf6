"""Survey and plan in columns against those of Python rows as they were, on drawn corpora."""

from __future__ import annotations

import random
import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_spec.copies.chunks import ComparedPair, SeenImage
from datasets_spec.copies.groups import CopyGroups, CopySearch
from datasets_spec.errors import LeakageError
from datasets_spec.prepare.counts import flag_counts, label_counts, partition_fingerprint
from datasets_spec.prepare.inputs import DataFile, SubsetSource
from datasets_spec.prepare.staged_rows import staged_table, write_staged
from datasets_spec.prepare.survey import Survey, require_balance, survey_staging
from datasets_spec.prepare.surveying.contradictions import find_contradictions
from datasets_spec.prepare.surveying.seen_images import seen_images
from datasets_spec.prepare.surveying.tied_pairs import tied_rows
from datasets_spec.prepare.surveying.ties import MAX_PATIENTS_PER_IMAGE, known_patients, tie_rows
from datasets_spec.prepare.write_rows import order_table, write_row_list
from datasets_spec.sample import SPLITS, QuarantineReason
from datasets_spec.splits.leak_levels import LEVELS, LeakagePolicy
from datasets_spec.splits.row_plan import RowPlan, make_plan
from datasets_spec.splits.row_table import Rows
from datasets_spec.splits.shares import SamplingSpec, SplitShares
from tests.makers.rows import group_of, hash_of
from tests.reference_plan import found as old_found
from tests.reference_plan import orders as old_orders
from tests.reference_plan import plan as old_plan
from tests.reference_plan import survey as old_survey
from tests.reference_plan.rows import GROUP_LINK, IMAGE_LINK, Row
from tests.reference_plan.rows import RowPlan as OldPlan

PLACES = [
    (subset, role, f"{role}{number}.json") for subset in "abc" for role in ("pool", "test") for number in range(2)
]
NUM_IMAGES = 60
SHARES = st.sampled_from(
    [
        SplitShares(),
        SplitShares(train=0.4, search=0.2, confirm=0.2, sealed=0.2),
        SplitShares(train=0.0, search=0.5, confirm=0.5, sealed=0.0),
        SplitShares(train=1.0, search=0.0, confirm=0.0, sealed=0.0),
    ]
)
SAMPLING = st.sampled_from([SamplingSpec(), SamplingSpec(max_train=2), SamplingSpec(balanced_evaluation=True)])
ACTIONS = st.sampled_from([*["drop", "warn"] * 6, "refuse"])
POLICIES = st.builds(
    lambda actions: LeakagePolicy.model_validate(actions), st.fixed_dictionaries(dict.fromkeys(LEVELS, ACTIONS))
)


@dataclass
class Corpus:
    staged: list[dict[str, Any]]
    block_sizes: list[int]
    copies: list[int]
    slices: list[int]
    shares: dict[str, SplitShares]
    sampling: dict[str, SamplingSpec]
    policy: LeakagePolicy
    seed: int


def staged_row(place: tuple[str, str, str], index: int, chance: random.Random) -> dict[str, Any]:
    images = chance.choices(range(NUM_IMAGES), k=chance.choice([1, 1, 1, 3]))
    paths = [f"{image}{chance.choice('aab')}.png" for image in images]
    row = {**dict(zip(("subset", "role", "file"), place, strict=True)), "index": index, "image_paths": paths}
    reason = chance.choice([None] * 9 + ["missing_image", "not_selected", "malformed_row"])
    if reason is not None:
        return {**row, "reason": reason, "detail": chance.choice([None, "", "image 2"])}
    keys = {name: hash_of(f"{name}{chance.random() < 0.3}") for name in ("question_key", "options_key", "answer_key")}
    return {
        **row,
        "label": chance.choice(["x", "x", "y", "\u00e9 \u6f22"]),
        "flags": chance.choice([[], ["skipped_letter"], ["skipped_letter", "same_image_twice"]]),
        "groups": sorted({group_of(str(chance.randrange(20))) for _ in range(chance.choice([0, 0, 1, 2]))}),
        "image_hashes": [hash_of(f"pixels {image}") for image in images],
        "image_bytes_hashes": [hash_of(path) for path in paths],
        "content_hash": hash_of(f"{sorted(images)} {chance.random() < 0.5}"),
        "row_hash": hash_of(f"{place} {index}"),
        **(keys if chance.random() < 0.7 else {}),
    }


@st.composite
def corpora(draw: st.DrawFn) -> Corpus:
    # Rows by chance instead of by draw: a draw is a hundred times as slow, and small corpora show little.
    staged, chance = [], draw(st.integers(0, 2**32).map(random.Random))
    for place in draw(st.lists(st.sampled_from(PLACES), unique=True, min_size=4).map(sorted)):
        rows = [staged_row(place, index, chance) for index in range(draw(st.sampled_from([0, 2, 8, 14])))]
        where = dict(zip(("subset", "role", "file"), place, strict=True))
        staged += [*rows, {**where, "index": -1, "num_read": len(rows)}]
    return Corpus(
        staged=staged,
        block_sizes=draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)),
        copies=[chance.randrange(10) for _ in range(NUM_IMAGES)],
        slices=[chance.randrange(10) for _ in range(NUM_IMAGES)],
        shares={name: draw(SHARES) for name in "abc"},
        sampling={name: draw(SAMPLING) for name in draw(st.sets(st.sampled_from("abc")))},
        policy=draw(POLICIES),
        seed=draw(st.integers(0, 9)),
    )


def source(name: str) -> SubsetSource:
    return SubsetSource(
        format="med_mat",
        image_root=f"/{name}",
        answer_kind="any",
        source_pattern=None,
        group_pattern=None,
        namespace=name,
    )


def stage(corpus: Corpus, folder: Path) -> list[DataFile]:
    waiting, number = corpus.staged, 0
    while waiting:
        size = corpus.block_sizes[number % len(corpus.block_sizes)]
        write_staged(staged_table(waiting[:size]), folder, hash_of(str(number)))
        waiting, number = waiting[size:], number + 1
    found = {(row["subset"], row["role"], row["file"]) for row in corpus.staged}
    return [DataFile(subset=s, role=r, file=f, path=Path(f)) for s, r, f in sorted(found)]


def images_of(corpus: Corpus) -> list[tuple[str, SeenImage]]:
    """Images of usable rows, in the order in which they are found, by pixel hash."""
    found: list[tuple[str, SeenImage]] = []
    for row in sorted(corpus.staged, key=lambda row: (row["subset"], row["role"], row["file"], row["index"])):
        for name, path in zip(row.get("image_hashes", ()), row.get("image_paths", ()), strict=False):
            looks = array("q", [len(found)] * (7 * (len(found) % 2)))
            found.append((name, SeenImage(numbers=looks, root=f"/{row['subset']}", published=path)))
    return found


def facts_of(images: Sequence[tuple[str, SeenImage]]) -> pa.Table:
    """What is known of images, refused ones and such that no usable row shows among them."""
    rows = [
        {"pixel_hash": name, "looks": list(image.numbers), "root": image.root, "published": image.published}
        for name, image in images
    ]
    refused: dict[str, Any] = {"pixel_hash": None, "looks": [], "root": "/a", "published": "refused.png"}
    unused = refused | {"pixel_hash": hash_of("shown by none")}
    types = {"pixel_hash": pa.string(), "looks": pa.list_(pa.int64()), "root": pa.string(), "published": pa.string()}
    return pa.Table.from_pylist([refused, unused, *rows, refused], pa.schema(types))


def groups_of(corpus: Corpus, images: set[str]) -> CopyGroups:
    """Images of one drawn number are tied, those of numbers from 8 to nothing."""
    names = {n: hash_of(f"pixels {n}") for n in range(NUM_IMAGES) if hash_of(f"pixels {n}") in images}
    tied: dict[str, dict[str, str]] = {}
    pairs = []
    relations: list[tuple[Literal["copy", "slice"], list[int]]] = [("copy", corpus.copies), ("slice", corpus.slices)]
    for relation, numbers in relations:
        tied[relation] = {}
        for group in range(1, 8):
            members = sorted(name for n, name in names.items() if numbers[n] == group)
            if len(members) > 1:
                tied[relation].update(dict.fromkeys(members, members[0]))
                pairs += [
                    ComparedPair(one=members[0], two=name, relation=relation, local=0.9, detail=group / 8)
                    for name in members[1:]
                ]
    pairs.sort(key=lambda pair: (pair.one, pair.two))
    return CopyGroups(copies=tied["copy"], slices=tied["slice"], pairs=tuple(pairs), search=CopySearch())


def row_names(rows: Rows) -> list[tuple[str, str, str, int]]:
    table = rows.table
    return [(*table.places[table.place[at]], int(table.index[at])) for at in rows.positions]


@settings(max_examples=60)
@given(corpora())
def test_survey_plan_and_orders_are_those_of_python_rows(corpus: Corpus) -> None:
    sources = {name: source(name) for name in "abc"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = stage(corpus, folder)
        old = old_survey.survey_staging(folder, files, sources)
        found = survey_staging(folder, files, sources)
        images = images_of(corpus)
        new = replace(found, images=seen_images(facts_of(images), found.rows.images.names))
        for name, image in reversed(images):
            old.images[name] = image
        assert_same_survey(old, new)
        groups = groups_of(corpus, set(old.images))
        name_patients(old.rows, groups, corpus.policy)
        old_survey.tie_rows(old.rows, groups, corpus.policy)
        links = tie_rows(new.rows, groups, corpus.policy)
        assert find_contradictions(links) == old_found.find_contradictions(old.rows)
        how: dict[str, Any] = {"seed": corpus.seed, "sampling": corpus.sampling, "policy": corpus.policy}
        refused = refusal(lambda: old_plan.make_plan(old.rows, corpus.shares, **how))
        assert refusal(lambda: make_plan(links, corpus.shares, **how)) == refused
        if refused is not None:
            return
        old_made, made = old_plan.make_plan(old.rows, corpus.shares, **how), make_plan(links, corpus.shares, **how)
        lost = assert_same_plan(old.rows, old_made, made)
        tied = tied_rows(new, made, groups)
        old_tied = old_found.tied_rows(old.rows, old.images, old_made, groups)
        assert lost or tied == old_tied
        assert_same_orders(old_made, made, folder)
        new.set_aside(made.removed)
        require_balance(new, made)
        if not lost:
            old.set_aside(old_made.removed)
            assert_same_aside(old, new)


def patients_of(rows: list[Row], called: Callable[[str], str | None]) -> dict[str, set[str]]:
    """The patients that rows name for what they show, by picture; what too many are named for is nobody's."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for picture in {called(link.removeprefix(IMAGE_LINK)) for link in row.links if link.startswith(IMAGE_LINK)}:
            if picture is not None:
                found[picture].update(link for link in row.links if link.startswith(GROUP_LINK))
    return {picture: links for picture, links in found.items() if 0 < len(links) <= MAX_PATIENTS_PER_IMAGE}


def name_patients(rows: list[Row], groups: CopyGroups, policy: LeakagePolicy) -> None:
    """What Python rows did not do: gives every row the patients of its pictures, and of what is tied to these."""
    ties = {"near": groups.copies, "slices": groups.slices}
    ways: list[Callable[[str], str | None]] = [str, *(ties[level].get for level in ties if level in policy.acted)]
    for called in ways:
        patients = patients_of(rows, called)
        for row in rows:
            images = [link.removeprefix(IMAGE_LINK) for link in row.links if link.startswith(IMAGE_LINK)]
            row.links |= {link for image in images for link in patients.get(called(image) or "", ())}


def patients_with_most_images(rows: list[Row]) -> dict[str, str]:
    patients = patients_of(rows, str)
    num_images = Counter(link for links in patients.values() for link in links)
    return {image: min(links, key=lambda link: (-num_images[link], link)) for image, links in patients.items()}


def refusal(make: Callable[[], object]) -> tuple[str, str | None] | None:
    """What is said where a plan is refused."""
    try:
        make()
    except LeakageError as error:
        return str(error), error.hint
    return None


def assert_same_survey(old: old_survey.Survey, new: Survey) -> None:
    every = Rows(table=new.rows, positions=np.arange(len(new.rows)))
    assert row_names(every) == [row.place for row in old.rows]
    assert dict(new.images) == old.images
    assert new.num_read == old.num_read
    assert known_patients(new.rows) == patients_with_most_images(old.rows)
    assert_same_aside(old, new)


def assert_same_aside(old: old_survey.Survey, new: Survey) -> None:
    assert new.tallies == old.tallies
    orders = [{name: list(tally.faults.items()) for name, tally in found.tallies.items()} for found in (old, new)]
    assert orders[0] == orders[1]
    listed = sorted(old.quarantined, key=lambda row: (row.subset, row.file, row.index))
    assert new.aside.table().to_pylist() == [
        {name: getattr(row, name) for name in ("subset", "file", "index", "reason", "detail")} for row in listed
    ]


def assert_same_plan(rows: list[Row], old: OldPlan, new: RowPlan) -> set[tuple[str, str, str, int]]:
    """Returns what the plan of Python rows lost: sealed rows of a pool that are copies of test rows of their subset."""
    assert list(new.partitions) == list(old.partitions)
    for key, part in old.partitions.items():
        assert row_names(new.partitions[key]) == [row.place for row in part]
    assert new.leaks == old.leaks
    told = {row.place for part in old.partitions.values() for row in part} | {row.place for row, _ in old.removed}
    lost = {row.place for row in rows} - told
    removed = [(name, reason) for part, reason in new.removed for name in row_names(part)]
    assert {(name, QuarantineReason.duplicate_row) for name in lost} <= set(removed)
    assert [(name, reason) for name, reason in removed if name not in lost] == [
        (row.place, reason) for row, reason in old.removed
    ]
    return lost


def assert_same_orders(old: OldPlan, new: RowPlan, folder: Path) -> None:
    for (subset, split), rows in old.partitions.items():
        table = order_table(subset, split, new.partitions[subset, split])
        assert table.drop_columns("groups").equals(old_orders.order_table(subset, split, rows))
        groups = [groups for part in table.column("groups").to_pylist() for groups in part]
        named = [
            {link.removeprefix(GROUP_LINK) for link in row.all_links if link.startswith(GROUP_LINK)} for row in rows
        ]
        assert list(map(set, groups)) == named
    write_row_list(new, folder / "new.parquet")
    old_orders.write_row_list(old, folder / "old.parquet")
    assert pq.read_table(folder / "new.parquet").equals(pq.read_table(folder / "old.parquet"))
    for subset in "abc":
        told = old_orders.counted(old, subset)
        kept = {split: new.partitions[subset, split].positions for split in SPLITS if (subset, split) in new.partitions}
        if kept:
            table = next(iter(new.partitions.values())).table
            whole = {split: kept.get(split, np.empty(0, np.int64)) for split in SPLITS}
            assert label_counts(table, whole) == told["labels"]
            assert flag_counts(table, np.concatenate(list(whole.values()))) == told["flags"]
            for split, positions in whole.items():
                assert partition_fingerprint(table.row_hash[positions]) == told["partition_fingerprints"][split]
