from collections import Counter
from pathlib import Path

import numpy as np
import yaml

from datasets_spec.phantom.flaws import FLAWS, num_rows
from datasets_spec.phantom.questions import OPTION_WORDS, make_sample, sample_rng
from datasets_spec.phantom.render import render
from datasets_spec.phantom.scenes import lesions, sample_scene
from datasets_spec.phantom.world import rule_of
from datasets_spec.phantom.write import write_phantom
from search.bench.phantom.rows import key_of, make_rows

NUM = 300


def share_of_true_answers(name: str) -> float:
    """How often the file's answer is that of the scene which the image shows."""
    key = key_of(name)
    right = 0
    for index in range(NUM):
        sample = make_sample(key, seed=0, split="train", index=index)
        right += (sample.label == "yes") is _answer_shown(name, index, sample.images[0])
    return right / NUM


def _answer_shown(name: str, index: int, image: np.ndarray) -> bool:
    """The scene is drawn again for both answers; one of them gives the image."""
    key = key_of(name)
    rule = rule_of(key.modality, key.area, key.task)
    for answer in (False, True):
        rng = sample_rng(0, name, "train", index)
        blobs = sample_scene(rng, rule, answer)
        if np.array_equal(render(blobs, key.modality, key.area, rng), image):
            assert [blob.meets(rule.criterion) for blob in lesions(blobs, rule)] == [answer]
            return answer
    raise AssertionError("the image belongs to neither answer")


def test_answers_are_wrong_where_the_catalog_says_so() -> None:
    assert share_of_true_answers("xray-brain-staging") == 1.0
    assert share_of_true_answers("oct-fundus-histology") == 0.0
    noisy = FLAWS["ct-lung-staging"]
    assert abs(share_of_true_answers("ct-lung-staging") - (1 - noisy.amount / 2)) < 0.07


def test_noise_leaves_the_options_balanced() -> None:
    key = key_of("ct-lung-staging")
    labels = Counter(make_sample(key, seed=0, split="train", index=i).label for i in range(600))
    assert set(labels) == set(OPTION_WORDS["none"])
    assert abs(labels["yes"] - 300) < 60


def test_small_and_redundant_subsets() -> None:
    assert num_rows("dermoscopy-kidney-laterality", 240) == 48
    assert make_rows("dermoscopy-kidney-laterality", seed=0, split="train", num=240).num_rows == 48
    assert num_rows("xray-brain-staging", 240) == 240
    key, scenes = key_of("ultrasound-breast-grading"), int(FLAWS["ultrasound-breast-grading"].amount)
    first, again = (make_sample(key, seed=0, split="train", index=i) for i in (3, 3 + scenes))
    assert first.label == again.label
    assert not np.array_equal(first.images[0], again.images[0])  # photographed again
    others = [make_sample(key, seed=0, split="train", index=i).images[0] for i in range(4, 12)]
    alike = np.corrcoef(first.images[0].ravel(), again.images[0].ravel())[0, 1]
    assert alike > max(np.corrcoef(first.images[0].ravel(), other.ravel())[0, 1] for other in others)


def test_the_catalog_tells_the_flaw_and_nothing_else_does(tmp_path: Path) -> None:
    path = write_phantom(tmp_path, subsets=[*FLAWS, "xray-brain-staging"], num_pool=60, num_test=4)
    entries = {entry["name"]: entry for entry in yaml.safe_load(path.read_text())["subsets"]}
    assert {name: entry["metadata"]["flaw"] for name, entry in entries.items() if "metadata" in entry} == {
        name: flaw.kind for name, flaw in FLAWS.items()
    }
    files = list(tmp_path.rglob("*.json"))
    assert len(files) == 2 * len(entries)
    assert not any(flaw.kind in p.read_text() for p in files for flaw in FLAWS.values())
