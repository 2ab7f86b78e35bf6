from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from datasets_spec.phantom.questions import LETTERS, OPTION_WORDS, TEMPLATES, PhantomKey, all_keys, make_sample, prompt
from search.bench.phantom.rows import key_of
from trainers.backbone_spec import PHANTOM_DIR
from trainers.phantom.architecture import (
    NUM_IMAGE_TOKENS,
    build_processor,
    new_model,
    save_backbone,
    vocabulary,
)
from trainers.phantom.words import CRITERION_WORDS, PATTERN_WORDS, REGION_WORDS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backbone")
    save_backbone(new_model(seed=3), path)
    return path


@pytest.fixture(scope="module")
def processor(folder: Path) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(folder).eval()


def chat(processor: Any, text: str, num_images: int) -> str:
    content = [*({"type": "image"} for _ in range(num_images)), {"type": "text", "text": text}]
    return str(processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True))


def batch_of(processor: Any, keys: list[PhantomKey]) -> dict[str, torch.Tensor]:
    samples = [make_sample(key, seed=0, split="train", index=0) for key in keys]
    texts = [chat(processor, prompt(s.question, s.options), len(s.images)) for s in samples]
    images = [[Image.fromarray(i).convert("RGB") for i in s.images] for s in samples]
    return dict(processor(text=texts, images=images, padding=True, return_tensors="pt"))


def test_every_question_of_the_corpus_is_known_word_by_word(processor: Any) -> None:
    unknown = processor.tokenizer.unk_token_id
    for key in all_keys():
        sample = make_sample(key, seed=0, split="train", index=0)
        text = prompt(sample.question, sample.options)
        ids = processor.tokenizer(text).input_ids
        assert unknown not in ids, key.name
        assert ids.count(vocabulary()["<nl>"]) == text.count("\n") == len(sample.options) + 1
        assert ids[-1] == vocabulary()["<choose>"]
    assert processor.tokenizer("gallbladder").input_ids == [unknown]


def test_generic_questions_are_known_too(processor: Any) -> None:
    for template in TEMPLATES.values():
        for place in range(3):
            words = (
                group[place] for words in (REGION_WORDS, PATTERN_WORDS, CRITERION_WORDS) for group in words.values()
            )
            for word in words:
                text = template.format(area=word, modality=word, task=word, ordinal="third")
                assert processor.tokenizer.unk_token_id not in processor.tokenizer(text).input_ids
    for options in OPTION_WORDS.values():
        assert processor.tokenizer.unk_token_id not in processor.tokenizer(" ".join(options)).input_ids


def test_letters_are_single_tokens_and_special_tokens_differ(processor: Any) -> None:
    tokenizer = processor.tokenizer
    ids = [tokenizer(letter, add_special_tokens=False).input_ids for letter in LETTERS]
    assert all(len(i) == 1 for i in ids)
    specials = {tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id, processor.image_token_id}
    assert len({i[0] for i in ids} | specials) == len(LETTERS) + 4
    assert tokenizer.decode([*ids[1], tokenizer.eos_token_id], skip_special_tokens=True) == "B"


@pytest.mark.parametrize("num_images", [1, 2, 3])
def test_image_tokens_are_counted_for_one_to_three_images(processor: Any, num_images: int) -> None:
    images = [Image.new("RGB", (64, 40), (i, i, i)) for i in range(num_images)]
    text = chat(processor, "Which organ is shown?", num_images)
    batch = processor(text=[text], images=[images], padding=True, return_tensors="pt")
    assert (batch["input_ids"] == processor.image_token_id).sum() == num_images * NUM_IMAGE_TOKENS
    assert batch["pixel_values"].shape == (num_images, 3, 48, 48)
    words = processor.tokenizer.convert_ids_to_tokens(batch["input_ids"][0])
    assert [w for w in words if w in ("first", "second", "third")] == ["first", "second", "third"][
        : num_images if num_images > 1 else 0
    ]


def test_generation_from_the_left_equals_the_forward_pass_from_the_right(model: Any, processor: Any) -> None:
    keys = [key_of("ct-lung-staging"), key_of("ct-lung-staging-temporal")]  # one image and two: one prompt is padded
    left = batch_of(processor, keys)
    generated = model.generate(**left, max_new_tokens=1, do_sample=False)[:, -1]
    processor.tokenizer.padding_side = "right"
    right = batch_of(processor, keys)
    processor.tokenizer.padding_side = "left"
    with torch.no_grad():
        logits = model(**right).logits
    last = right["attention_mask"].sum(dim=1) - 1
    assert torch.equal(logits[torch.arange(2), last].argmax(-1), generated)


def test_different_images_give_different_logits(model: Any, processor: Any) -> None:
    text = chat(processor, "Which organ is shown?", 1)
    logits = []
    for grey in (60, 200):
        batch = processor(text=[text], images=[[Image.new("RGB", (48, 48), (grey,) * 3)]], return_tensors="pt")
        with torch.no_grad():
            logits.append(model(**batch).logits[:, -1])
    assert not torch.allclose(logits[0], logits[1])


def test_training_prompts_equal_the_public_path(processor: Any) -> None:
    """The base is trained on ids made in bulk; they must be the ids that the processor makes."""
    from trainers.phantom.curriculum import MIX, make_items
    from trainers.phantom.tensors import encode_items

    for item in make_items(0, "public path", 16, sorts=tuple(MIX)):
        ids = encode_items([item], [0]).ids[0]
        images = [Image.fromarray(s.pixels).convert("RGB") for s in item.scenes]
        text = chat(build_processor(), prompt(item.question, item.options), len(images))
        public = processor(text=[text], images=[images] if images else None, return_tensors="pt")["input_ids"][0]
        assert ids[: len(public)].tolist() == public.tolist()
        assert ids[-1] == processor.tokenizer.eos_token_id


def test_training_features_equal_the_public_path(model: Any, processor: Any) -> None:
    from trainers.phantom.curriculum import make_items
    from trainers.phantom.vision_stage import to_pixels

    scene = make_items(0, "pixels", 1, sorts=("none",))[0].scenes[0]
    public = processor.image_processor(Image.fromarray(scene.pixels).convert("RGB"), return_tensors="pt")
    assert torch.allclose(to_pixels([scene]), public["pixel_values"], atol=1e-5)


def test_the_shipped_folder_is_small_and_of_the_current_vocabulary() -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = PHANTOM_DIR
    files = [p for p in folder.iterdir() if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 3_000_000
    assert not [p.name for p in files if p.suffix in {".bin", ".pt", ".pkl"}]
    assert AutoProcessor.from_pretrained(folder).tokenizer.get_vocab() == vocabulary()
    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert sum(p.numel() for p in model.parameters()) <= 1_000_000
