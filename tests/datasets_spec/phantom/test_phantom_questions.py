from collections import Counter

import numpy as np
import pytest

from datasets_spec.phantom.questions import PhantomKey, all_keys, make_sample, prompt
from datasets_spec.phantom.world import LABELS


def test_every_triplet_exists_once() -> None:
    names = [key.name for key in all_keys()]
    assert len(names) == len(set(names)) == 6 * 6 * 3 + 2 * 6 * 6


@pytest.mark.parametrize("key", all_keys()[::13], ids=lambda key: key.name)
def test_labels_are_balanced_in_every_prefix(key: PhantomKey) -> None:
    num_labels = len(LABELS[key.form])
    samples = [make_sample(key, seed=1, split="train", index=i) for i in range(4 * num_labels)]
    for end in range(num_labels, len(samples) + 1, num_labels):
        counts = Counter(s.label for s in samples[:end])
        assert set(counts.values()) == {end // num_labels}
    for sample in samples:
        assert sample.options[sample.answer_index] == sample.label
        assert len(sample.images) == (1 if key.ability == "none" else 2)


def test_samples_do_not_depend_on_each_other() -> None:
    key = all_keys()[40]
    alone = make_sample(key, seed=0, split="train", index=7)
    after = [make_sample(key, seed=0, split="train", index=i) for i in range(8)][7]
    assert np.array_equal(alone.images[0], after.images[0])
    assert alone.options == after.options
    for other in (
        make_sample(key, seed=0, split="test", index=7),
        make_sample(key, seed=1, split="train", index=7),
    ):
        assert not np.array_equal(alone.images[0], other.images[0])


def test_gold_letters_are_spread() -> None:
    for key in (all_keys()[2], all_keys()[120]):
        letters = Counter(make_sample(key, seed=0, split="train", index=i).answer_index for i in range(300))
        assert max(letters.values()) < 150  # a constant letter must not pay: 3 options, a third each


def test_prompt_is_question_options_instruction() -> None:
    assert prompt("What?", ("mild", "severe")) == (
        "What?\nA: mild\nB: severe\nAnswer with the option's letter from the given choices directly."
    )
    assert prompt("What?", ()) == "What?"


def test_coreference_asks_one_of_two_independent_images() -> None:
    """The words first and second decide: the image that is not asked about agrees by chance only."""
    key = next(k for k in all_keys() if k.ability == "coreference")
    samples = [make_sample(key, seed=0, split="a", index=i) for i in range(40)]
    assert {len(s.images) for s in samples} == {2}
    asked = ["first" in s.question for s in samples]
    assert 8 < sum(asked) < 32
    assert all(("second" in s.question) != first for s, first in zip(samples, asked, strict=True))
    assert sorted({s.label for s in samples}) == ["no", "yes"]
