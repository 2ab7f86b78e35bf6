"""No answer may be had without reading the picture by the rules: neither from its pixels in bulk nor from the text."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import compress

import numpy as np
import pytest

from datasets_spec.phantom.questions import PhantomKey, PhantomSample, make_sample, sample_rng
from datasets_spec.phantom.render import render
from datasets_spec.phantom.scenes import sample_scene
from datasets_spec.phantom.world import AREAS, MODALITIES, TASKS, rule_of

NUM_FIT, NUM_TEST = 3_000, 2_000


def draw(key: PhantomKey, num: int) -> list[PhantomSample]:
    return [make_sample(key, seed=3, split="shortcuts", index=index) for index in range(num)]


def ridge_accuracy(inputs: np.ndarray, answers: np.ndarray, penalty: float) -> float:
    """Accuracy in per cent of a linear probe on rows it was not fitted on."""
    fit, test = inputs[:NUM_FIT], inputs[NUM_FIT:]
    mean, spread = fit.mean(axis=0), fit.std(axis=0) + 1e-6
    fit, test = (fit - mean) / spread, (test - mean) / spread
    gram = fit.T @ fit + penalty * np.eye(fit.shape[1])
    weights = np.linalg.solve(gram, fit.T @ answers[:NUM_FIT])
    return float(((test @ weights > 0) == (answers[NUM_FIT:] > 0)).mean() * 100)


@pytest.mark.parametrize("place", range(6))
def test_a_linear_probe_on_pixels_stays_at_chance(place: int) -> None:
    key = PhantomKey(modality=MODALITIES[place], area=AREAS[(place + 2) % 6], task=TASKS[place % 4])
    samples = draw(key, NUM_FIT + NUM_TEST)
    answers = np.array([1.0 if s.label == "yes" else -1.0 for s in samples])
    pixels = np.stack([s.images[0].ravel() for s in samples]).astype(np.float64)
    assert abs(ridge_accuracy(pixels, answers, penalty=3_000.0) - 50) < 3


def test_the_probe_would_find_a_shortcut() -> None:
    """The test that guards the probe: with every blob bright, it finds where a large lesion adds light."""
    rule = rule_of("xray", "brain", "staging")
    answers, pixels = [], []
    for index in range(NUM_FIT + NUM_TEST):
        rng = sample_rng(3, "bright", index)
        blobs = sample_scene(rng, rule, bool(index % 2))
        answers.append(1.0 if index % 2 else -1.0)
        pixels.append(render(tuple(replace(b, bright=True) for b in blobs), "xray", "brain", rng).ravel())
    assert ridge_accuracy(np.stack(pixels).astype(np.float64), np.array(answers), penalty=3_000.0) > 56


@pytest.mark.parametrize("ability", ["none", "temporal", "comparison", "coreference", "reasoning"])
def test_a_reader_of_the_text_alone_stays_at_chance(ability: str) -> None:
    """The best a reader of the text can do is the commonest letter of each text."""
    letters: dict[str, Counter[int]] = defaultdict(Counter)
    samples = [
        sample
        for place in range(12)
        for sample in draw(
            PhantomKey(
                modality=MODALITIES[place % 6], area=AREAS[place * 5 % 6], task=TASKS[place % 4], ability=ability
            ),
            400,
        )
    ]
    texts = [f"{s.question} {s.options}" for s in samples]
    # Every 400 samples are a subset: the first half of each to learn from, the second to judge by.
    halves = [place % 400 < 200 for place in range(len(samples))]
    for text, sample in zip(compress(texts, halves), compress(samples, halves), strict=True):
        letters[text][sample.answer_index] += 1
    right = [
        letters[text].most_common(1)[0][0] == sample.answer_index
        for text, sample, is_first in zip(texts, samples, halves, strict=True)
        if not is_first and text in letters
    ]
    chance = 100 / len(samples[0].options)
    assert len(right) > 2_000
    assert np.mean(right) * 100 < chance + 3
