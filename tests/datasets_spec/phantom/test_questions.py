import hashlib
from collections import Counter

import numpy as np
import pytest

from datasets_spec.phantom.flaws import FLAWS
from datasets_spec.phantom.questions import (
    ABILITIES,
    OPTION_WORDS,
    PhantomKey,
    all_keys,
    image_answers,
    make_sample,
    prompt,
)
from datasets_spec.phantom.world import AREAS, MODALITIES, TASKS, WORLD_VERSION
from search.bench.phantom.rows import key_of, make_rows

SOUND_KEYS = [key for key in all_keys() if key.name not in FLAWS]


def test_the_world_is_as_large_as_it_says() -> None:
    assert (len(MODALITIES), len(AREAS), len(TASKS)) == (6, 6, 4)
    names = [key.name for key in all_keys()]
    assert len(names) == len(set(names)) == 6 * 6 * 4 * (1 + len(ABILITIES)) == 720
    assert [key_of(name) for name in names] == list(all_keys())


@pytest.mark.parametrize("key", SOUND_KEYS[::31], ids=lambda key: key.name)
def test_labels_are_balanced_in_every_prefix(key: PhantomKey) -> None:
    num_labels = len(OPTION_WORDS[key.ability])
    samples = [make_sample(key, seed=1, split="train", index=i) for i in range(4 * num_labels)]
    for end in range(num_labels, len(samples) + 1, num_labels):
        counts = Counter(s.label for s in samples[:end])
        assert set(counts.values()) == {end // num_labels}
    for sample in samples:
        assert sample.options[sample.answer_index] == sample.label
        assert len(sample.images) == {"none": 1, "reasoning": 3}.get(key.ability, 2)


def test_samples_do_not_depend_on_each_other() -> None:
    key = SOUND_KEYS[40]
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
    for key in (SOUND_KEYS[2], key_of("mri-bone-staging-temporal")):
        letters = Counter(make_sample(key, seed=0, split="train", index=i).answer_index for i in range(300))
        assert max(letters.values()) < 300 / len(OPTION_WORDS[key.ability]) + 30  # a constant letter must not pay


def test_prompt_is_question_options_instruction() -> None:
    assert prompt("What?", ("no", "yes")) == (
        "What?\nA: no\nB: yes\nAnswer with the option's letter from the given choices directly."
    )
    assert prompt("What?", ()) == "What?"


@pytest.mark.parametrize("ability", ABILITIES)
def test_answers_of_the_images_make_the_answer_of_the_question(ability: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        for label, word in enumerate(OPTION_WORDS[ability]):
            truths, asked = image_answers(rng, ability, label)
            says = {
                "temporal": "stable" if truths[0] == truths[-1] else "better" if truths[0] else "worse",
                "comparison": "first" if truths[0] else "second",
                "coreference": "yes" if truths[asked] else "no",
                "reasoning": "yes" if sum(truths) >= 2 else "no",
            }[ability]
            assert says == word
            assert ability != "comparison" or sum(truths) == 1


@pytest.mark.parametrize(("ability", "best"), [("temporal", 2 / 3), ("coreference", 3 / 4), ("reasoning", 2 / 3)])
def test_no_image_alone_decides(ability: str, best: float) -> None:
    """A reader of the first image only; of a comparison every image decides, if one knows which one it is."""
    rng, counts = np.random.default_rng(1), Counter[tuple[bool, int]]()
    num_labels, num = len(OPTION_WORDS[ability]), 6_000
    for index in range(num):
        truths, _ = image_answers(rng, ability, index % num_labels)
        counts[truths[0], index % num_labels] += 1
    right = sum(max(counts[first, label] for label in range(num_labels)) for first in (False, True)) / num
    assert right == pytest.approx(best, abs=0.02)


def test_coreference_asks_one_of_two_independent_images() -> None:
    key = key_of("xray-lung-staging-coreference")
    samples = [make_sample(key, seed=0, split="a", index=i) for i in range(40)]
    asked = ["first" in s.question for s in samples]
    assert 8 < sum(asked) < 32
    assert all(("second" in s.question) != first for s, first in zip(samples, asked, strict=True))


def test_rows_in_memory_are_the_samples() -> None:
    rows = make_rows("mri-bone-staging-reasoning", seed=2, split="train", num=5).to_pylist()
    sample = make_sample(key_of("mri-bone-staging-reasoning"), seed=2, split="train", index=3)
    assert rows[3]["question"] == sample.question
    assert tuple(rows[3]["options"]) == sample.options
    assert (rows[3]["answer_index"], rows[3]["answer"]) == (sample.answer_index, sample.label)
    assert len(rows[3]["images"]) == 3


def test_the_corpus_is_what_its_version_says() -> None:
    """Shipped weights, tables and figures belong to these samples: whoever changes them raises ``WORLD_VERSION``."""
    digest = hashlib.sha256()
    for key in (*all_keys()[::7], *map(key_of, FLAWS)):
        sample = make_sample(key, seed=0, split="train", index=50)
        digest.update(repr((sample.question, sample.options, sample.answer_index)).encode())
        for image in sample.images:
            digest.update(image.tobytes())
    assert (WORLD_VERSION, digest.hexdigest()) == (
        2,
        "5bfb726369f68a9a3319fae476bb602300dff9db9e8fea4e1cd7327fe684c538",
    )
