"""The digits corpora, on made digits and with few compositions."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from datasets_spec.errors import UserError
from search.bench.known_truth.digits import (
    LABEL_NOISE,
    NUM_SMALL,
    SMALL_PLACES,
    DigitsCorpus,
    build_corpus,
    load_digits,
)
from search.bench.known_truth.digits_training import accuracies, fine_tune, start_network


def made_digits(path: Path, num: int = 900) -> Path:
    """Ten patterns under a little noise, in the file format of the real digits."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 17, size=(10, 64))
    labels = rng.integers(0, 10, size=num)
    pixels = np.clip(patterns[labels] + rng.integers(-2, 3, size=(num, 64)), 0, 16)
    text = "\n".join(",".join(map(str, [*row, label])) for row, label in zip(pixels.tolist(), labels, strict=True))
    path.write_bytes(gzip.compress(text.encode()))
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> DigitsCorpus:
    return build_corpus(*load_digits(made_digits(tmp_path_factory.mktemp("digits") / "digits.csv.gz")), 5)


def test_sources_and_targets_are_36_different_keys(corpus: DigitsCorpus) -> None:
    keys = {*corpus.source_mat, *corpus.target_mat}
    assert (len(corpus.source_mat), len(corpus.target_mat), len(keys)) == (12, 24, 36)


def test_flaws_are_where_they_are_said_to_be(corpus: DigitsCorpus) -> None:
    sizes = [len(items) for items in corpus.sources]
    assert all((size == NUM_SMALL) == (place in SMALL_PLACES) for place, size in enumerate(sizes))
    assert not set(LABEL_NOISE) & set(SMALL_PLACES)


def test_validation_and_test_share_no_image_with_training(corpus: DigitsCorpus) -> None:
    seen = {row.tobytes() for items in corpus.sources for row in items.inputs}
    assert not any(row.tobytes() in seen for items in (*corpus.val, *corpus.test) for row in items.inputs)


def test_another_seed_is_another_corpus(tmp_path: Path, corpus: DigitsCorpus) -> None:
    images, labels = load_digits(made_digits(tmp_path / "digits.csv.gz"))
    same, other = build_corpus(images, labels, 5), build_corpus(images, labels, 6)
    assert same.source_mat == corpus.source_mat != other.source_mat
    np.testing.assert_array_equal(same.sources[0].inputs, corpus.sources[0].inputs)


def test_training_learns_its_own_source_and_depends_on_composition_and_seed_only(corpus: DigitsCorpus) -> None:
    start = start_network(corpus.start)
    subsets = np.eye(12, dtype=np.int8)[[1, 3, 6]]
    trained = fine_tune(start, corpus.sources, subsets, seed=0)
    own = accuracies(trained, [corpus.sources[k] for k in (1, 3, 6)])
    assert np.diag(own).min() > accuracies(start, [corpus.sources[k] for k in (1, 3, 6)])[0].max()
    alone = fine_tune(start, corpus.sources, subsets[1:2], seed=0)
    np.testing.assert_allclose(accuracies(alone, corpus.val)[0], accuracies(trained, corpus.val)[1], atol=0.02)
    again = fine_tune(start, corpus.sources, subsets, seed=1)
    assert (accuracies(again, corpus.val) != accuracies(trained, corpus.val)).any()


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("1,2,3\n")
    (tmp_path / "words.csv").write_text("a,b\n")
    for name in ("few.csv", "words.csv", "missing.csv"):
        with pytest.raises(UserError, match=name):
            load_digits(tmp_path / name)
