"""What `recombine data ...` prints, over a store written without Ray."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets_spec.check.check import DataCheck, check_store
from datasets_spec.copies.groups import CopySearch
from datasets_spec.errors import UserError
from datasets_spec.splits.leak_levels import LeakCount
from datasets_spec.store.generations import GENERATIONS
from datasets_spec.store.lease import take_lease
from search.cli.data import as_plain, export, gc, init_catalog, show_check, show_relations, unpack, verify
from tests.makers.on_disk import on_disk, part_paths
from tests.makers.study_fixture import open_study, write_store, write_study


def checked(root: Path, **num_rows: int) -> DataCheck:
    study = open_study(root)
    store = write_store(study, {name.replace("__", "/").replace("_", "-"): num for name, num in num_rows.items()})
    sources = study.spec.space.composition.sources
    return check_store(store, study.catalog, sources=sources, eval_sets=study.spec.eval_sets)


def test_the_screen_names_every_subset_and_says_first_what_must_be_fixed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = checked(tmp_path)
    study = open_study(tmp_path)
    show_check(found, study.spec.eval_sets)
    shown = capsys.readouterr().out
    for name in study.catalog.names:
        assert name in shown
    assert "What needs no image" in shown
    assert "words alone" in shown
    lines = shown.rstrip().splitlines()
    first = lines.index("must be fixed: nothing")
    assert all(line.startswith("note: ") for line in lines[first + 1 :])
    assert not any(line.startswith("note: ") for line in lines[:first])
    alike = "(8 such lines; the others: ct-brain-new, ct-lung, mr-brain, ...)"
    assert f"note: ct-brain: patients are unknown, so one may be in several splits {alike}" in lines
    assert f"note: ct-brain: the catalog names no licence {alike}" in lines
    # All rows of this store show one image.
    assert "nearly all questions of 'confirm' share patients or images, so that it can show no difference" in shown
    advice = as_plain(found)["advice"]
    assert sum("patients are unknown" in line for line in advice) == 8


def test_few_patients_are_told_before_a_gpu_is_paid_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = open_study(tmp_path)
    store = write_store(study, {"sealed": 30}, num_patients=3)
    found = check_store(store, study.catalog, sources=(), eval_sets=study.spec.eval_sets)
    show_check(found, study.spec.eval_sets)
    shown = capsys.readouterr().out
    assert "the 30 questions of 'sealed' come from patients, or images, that count as 3: intervals over so few" in shown
    assert "the 4 questions of 'confirm' come from patients, or images, that count as 2.67" in shown  # of 2, 1 and 1
    assert "share patients or images" not in shown
    many = check_store(
        write_store(study, {"sealed": 30}, num_patients=12), study.catalog, sources=(), eval_sets=study.spec.eval_sets
    )
    assert not any("'sealed' come from patients" in line for line in as_plain(many)["advice"])


def test_a_leak_that_is_kept_is_on_the_screen_and_in_the_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = open_study(tmp_path)
    store = write_store(study)
    one, two = study.catalog.names[:2]
    leak = LeakCount(
        level="near", subset=one, split="train", seen_subset=two, seen_split="sealed", num_rows=3, action="warn"
    )
    store.manifest = store.manifest.model_copy(update={"leaks": (leak,)})
    found = check_store(store, study.catalog, sources=[], eval_sets=[])
    show_check(found, [])
    shown = capsys.readouterr().out
    assert f"must be fixed: {one}: 3 rows of 'train' show what {two} ('sealed') shows (near)" in shown
    told = json.loads(json.dumps(as_plain(found)))
    assert told["must_fix"] == [str(remark) for remark in found.must_fix]
    assert told["leaks"][0]["level"] == "near"


def test_neighbouring_slices_and_pairs_not_compared_are_notes(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    store = write_store(study)
    one, two = study.catalog.names[:2]
    leak = LeakCount(
        level="slices", subset=one, split="train", seen_subset=two, seen_split="sealed", num_rows=3, action="warn"
    )
    search = CopySearch(num_compared=900, num_over_budget=70, num_expected=2)
    store.manifest = store.manifest.model_copy(update={"leaks": (leak,), "copy_search": search})
    found = check_store(store, study.catalog, sources=[], eval_sets=[])
    assert found.must_fix == ()
    notes = [str(remark) for remark in found.advice]
    assert any("(slices), and the catalog keeps them; name patients by `group_pattern`" in note for note in notes)
    assert any("70 pairs of images that look alike were not compared" in note for note in notes)
    assert any("about 2 of them may be copies" in note for note in notes)


def test_a_source_with_a_targets_own_training_images_is_named(tmp_path: Path) -> None:
    # Every row of the written store shows one image, so every source shares it with the target.
    study = open_study(tmp_path)
    store = write_store(study)
    (target,) = study.spec.eval_sets
    found = check_store(store, study.catalog, sources=["ct-lung", "ct-brain"], eval_sets=[target])
    told = [note for note in found.advice if "held out by name only" in note.text]
    assert [note.subset for note in told] == ["ct-lung", "ct-brain"]
    assert not [
        n for n in check_store(store, study.catalog, sources=[], eval_sets=[target]).advice if "by name" in n.text
    ]


def test_a_damaged_file_is_named_with_the_command_that_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study_file = write_study(tmp_path)
    store = write_store(open_study(tmp_path))
    assert verify(study_file, []) == 0
    assert f"all {store.num_files} files are as they were written" in capsys.readouterr().out
    flipped, cut, gone = (part_paths(store, "ct-lung", split)[0] for split in ("train", "search", "confirm"))
    data = flipped.read_bytes()
    flipped.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    cut.write_bytes(cut.read_bytes()[:-1])
    gone.unlink()
    assert verify(study_file, ["seed=0"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert (
        lines[0]
        == "damaged: data/ct-lung-train.parquet (ct-lung, train, 12 rows) does not have the hash it was written with"
    )
    assert "(ct-lung, search, 4 rows) has " in lines[1]
    assert lines[2].endswith("(ct-lung, confirm, 4 rows) is missing")
    assert last.startswith(f"3 of {store.num_files} files in ")
    assert last.endswith(f"recombine data prepare {study_file} seed=0")


def test_what_earlier_preparations_left_is_removed_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study_file = write_study(tmp_path)
    store = write_store(open_study(tmp_path))
    gc(study_file, [])
    assert "0.0 MiB freed, 0 generations removed" in capsys.readouterr().out
    for name in ("old", "read"):
        (store.directory / GENERATIONS / name).mkdir(parents=True)
        (on_disk(store.directory) / GENERATIONS / name / "part").write_bytes(bytes(3 * 2**20))
    lease = take_lease(store.directory / GENERATIONS / "read")
    gc(study_file, [])
    removed, held, last = capsys.readouterr().out.splitlines()
    assert (removed, held) == ("removed: old, 3.0 MiB", "stays: read, 3.0 MiB; a running study reads it")
    assert last.endswith(": 3.0 MiB freed, 1 generations removed")
    assert lease is not None
    lease.release()


def test_relations_accept_a_number_and_count(capsys: pytest.CaptureFixture[str]) -> None:
    show_relations("03", "med_mat", "med_mat_broad", as_json=False)
    assert "with role id: 8 related, 16 unrelated" in capsys.readouterr().out
    show_relations("28", "med_mat", None, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["related_unrelated"]["with role id"] == [9, 15]
    with pytest.raises(UserError, match="no subset 'lungs'"):
        show_relations("lungs", "med_mat", None, as_json=False)


def test_a_draft_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("image,question,answer\nx.png,Is it?,It is.\n")
    init_catalog(tmp_path, None)
    shown = capsys.readouterr().out
    assert "table, doubtful (1 of 1 records read, 0 of 1 images found)" in shown
    assert "fill in its 4 empty fields" in shown
    with pytest.raises(UserError, match="stays as it is"):
        init_catalog(tmp_path, None)
    (tmp_path / "elsewhere").mkdir()
    init_catalog(tmp_path, tmp_path / "elsewhere" / "other.yaml")
    assert 'pool: ["../a.csv"]' in (tmp_path / "elsewhere" / "other.yaml").read_text()
    with pytest.raises(UserError, match="is no folder"):
        init_catalog(tmp_path, tmp_path / "none" / "other.yaml")


def test_an_export_needs_a_known_format_and_the_store_of_its_mix(tmp_path: Path) -> None:
    study_file = write_study(tmp_path)
    with pytest.raises(UserError, match="no export format 'csv'"):
        export(study_file, tmp_path / "out", "csv", None, None)
    write_store(open_study(tmp_path))
    source = open_study(tmp_path).spec.space.composition.sources[0]
    mix = tmp_path / "mix.yaml"
    mix.write_text(f"version: 1\nsubsets: [{{subset: {source}, rows: 2}}]\norder_seed: 0\nstore_fingerprint: other\n")
    with pytest.raises(UserError, match="rows of another store"):
        export(study_file, tmp_path / "out", "llava", mix, None)
    mix.write_text(mix.read_text().replace("other", "f"))
    export(study_file, tmp_path / "out", "llava", mix, None)
    assert len(json.loads((tmp_path / "out" / "train.json").read_text())) == 2


def test_unpacking_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"images": [[{"bytes": b"x", "path": "a"}]]}), tmp_path / "t.parquet")
    unpack(tmp_path / "t.parquet", tmp_path / "out")
    assert "1 rows, 1 images" in capsys.readouterr().out
