"""Items of the backbone's own training as tensors: token ids, and what the auxiliary losses ask for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from datasets_spec.phantom.questions import prompt
from datasets_spec.phantom.world import ORDINALS
from trainers.phantom.architecture import ANSWER, IMAGE, NEWLINE, NUM_IMAGE_TOKENS, PAD, build_processor, vocabulary
from trainers.phantom.curriculum import Item, letter_of

QUESTION_MARK: Final = "?"
MAX_OPTIONS: Final = 5
MAX_IMAGES: Final = len(ORDINALS)


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedItems:
    """Items of one number of images, right-padded.

    Attributes:
        ids: [items, tokens] prompt, answer and end token.
        answer_at: [items] position of the answer token's predecessor.
        options_at: [items, 5] position of each option's word; -1 where there is none.
        gold: [items] index of the right option; -1 for open items.
        features_at: [items, images] rows of the feature cache.
        question_at: [items] position of the question mark.
        word: [items] id of the right option's word.
        cells: [items, images * 16] 1 where a cell is asked about, else 0; all NaN where no spot is asked about.
        findings: [items, 3] what each image shows of what is asked (`finding_of`); -1 where there is none.
        spelled_ids: [items, tokens] the same texts with the known word in every slot.
        blends: [items, tokens] how much of the known word is in a token's embedding; 0 beside the slots.
    """

    ids: torch.Tensor
    answer_at: torch.Tensor
    options_at: torch.Tensor
    gold: torch.Tensor
    features_at: torch.Tensor
    question_at: torch.Tensor
    word: torch.Tensor
    cells: torch.Tensor
    findings: torch.Tensor
    spelled_ids: torch.Tensor
    blends: torch.Tensor

    def questions_only(self) -> EncodedItems:
        """The items cut after the question mark, for the stages that do not answer yet."""
        end = int(self.question_at.max()) + 1
        return dataclasses.replace(
            self, ids=self.ids[:, :end], spelled_ids=self.spelled_ids[:, :end], blends=self.blends[:, :end]
        )

    def take(self, rows: torch.Tensor) -> EncodedItems:
        """The given items."""
        fields = {field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)}
        return EncodedItems(**fields)


def item_texts(items: Sequence[Item], processor: Any, *, spelled: bool = False) -> list[str]:
    """The items' full texts by the processor's own template, image tokens expanded, answers appended.

    Args:
        items: the items.
        processor: of the backbone.
        spelled: write the known word in every slot.
    """
    texts = []
    for item in items:
        content = [*({"type": "image"} for _ in item.scenes), {"type": "text", "text": ""}]
        content[-1]["text"] = prompt((item.spelled if spelled else None) or item.question, item.options)
        text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        texts.append(text.replace(IMAGE, IMAGE * NUM_IMAGE_TOKENS) + f"{letter_of(item)}<eos>")
    return texts


def encode_items(items: Sequence[Item], first_feature: Sequence[int]) -> EncodedItems:
    """Tokenise items that all have the same number of images.

    Args:
        items: the items.
        first_feature: row of each item's first image in the feature cache.
    """
    words = vocabulary()
    processor = build_processor()
    ids, spelled_ids = (
        _padded(processor.tokenizer(item_texts(items, processor, spelled=spelled), add_special_tokens=False).input_ids)
        for spelled in (False, True)
    )
    answer_at = (ids == words[ANSWER]).int().argmax(dim=1)
    options_at = torch.full((len(items), MAX_OPTIONS), -1)
    for row, item in enumerate(items):
        starts = (ids[row] == words[NEWLINE]).nonzero().flatten()  # newline, letter, word
        for option in range(len(item.options)):
            options_at[row, option] = starts[option] + 2
    images = torch.arange(len(items[0].scenes))
    return EncodedItems(
        ids=ids,
        answer_at=answer_at,
        options_at=options_at,
        gold=torch.tensor([item.answer_index for item in items]),
        features_at=torch.tensor(first_feature).unsqueeze(1) + images,
        question_at=(ids == words[QUESTION_MARK]).int().argmax(dim=1),
        word=torch.tensor([words[item.answer] for item in items]),
        cells=_asked_cells(items),
        findings=_findings(items),
        spelled_ids=spelled_ids,
        blends=_blends(items, ids != spelled_ids),
    )


def _padded(lists: list[list[int]]) -> torch.Tensor:
    length, pad = max(map(len, lists)), vocabulary()[PAD]
    return torch.tensor([ids + [pad] * (length - len(ids)) for ids in lists])


def _blends(items: Sequence[Item], differs: torch.Tensor) -> torch.Tensor:
    """How much of the spelt word is in each token's embedding: [items, tokens]."""
    blends = torch.zeros(differs.shape)
    for row, item in enumerate(items):
        if item.blends:
            blends[row, differs[row]] = torch.tensor(item.blends)
    return blends


def _findings(items: Sequence[Item]) -> torch.Tensor:
    findings = torch.full((len(items), MAX_IMAGES), -1)
    for row, item in enumerate(items):
        if item.findings is not None:
            findings[row, : len(item.findings)] = torch.tensor(item.findings)
    return findings


def _asked_cells(items: Sequence[Item]) -> torch.Tensor:
    cells = torch.full((len(items), len(items[0].scenes), NUM_IMAGE_TOKENS), float("nan"))
    for row, item in enumerate(items):
        for image, asked in enumerate(item.asked_cells or ()):
            cells[row, image] = 0.0
            cells[row, image, sorted(asked)] = 1.0
    return cells.flatten(1)
