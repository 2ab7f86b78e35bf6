"""Rows of the store -> chat template -> tensors, with proof that the images reach the model."""

import copy
import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from PIL import Image, ImageOps

from datasets_spec.boxes import parse_box
from datasets_spec.errors import RecombineError
from trainers.prompts.answer_tokens import AnswerTokens
from trainers.prompts.box_language import box_language_of
from trainers.prompts.text import LETTERS, chat_messages, render_prompt

IGNORED = -100  # torch's cross-entropy skips this label


class ImagesDidNotReachModelError(RecombineError):
    """The number of image placeholders or image tokens does not fit the number of images, or text was cut."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One question as the model sees it."""

    sample_id: str
    subset: str
    prompt: str
    options: tuple[str, ...]
    answer_index: int  # -1 when open
    answer: str  # a letter when closed, a box on the store's grid, or the words the model should write
    images: tuple[Image.Image, ...]
    is_box: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether the question is answered by a letter."""
        return self.answer_index >= 0


def decode_image(data: bytes) -> Image.Image:
    """Return an upright RGB image from stored bytes (checked when the store was made)."""
    with Image.open(io.BytesIO(data)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def example_from_row(row: Mapping[str, Any]) -> Example:
    """Build the example of a stored row (columns of `datasets_spec.sample.ARROW_SCHEMA`)."""
    options = tuple(row["options"])
    index = int(row["answer_index"])
    return Example(
        sample_id=row["sample_id"],
        subset=row["subset"],
        prompt=render_prompt(row["question"], options),
        options=options,
        answer_index=index,
        answer=LETTERS[index] if index >= 0 else row["answer"],
        images=tuple(decode_image(data) for data in row["images"]),
        is_box=row.get("answer_kind") == "box",
    )


class BatchEncoder:
    """Turns examples into model inputs by the backbone's own processor and chat template.

    Training and scoring use the same prompt ids: a training sequence is the prompt's ids followed by the answer's,
    so the answer position is known without searching for it in the text.
    """

    def __init__(
        self,
        processor: Any,
        *,
        image_token_id: int,
        max_tokens: int | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._processor = processor
        self.image_token_id = image_token_id
        self._max_tokens = max_tokens
        self.device = device
        self.dtype = dtype
        self._thread = threading.get_ident()
        self._of_thread = threading.local()
        self.tokenizer = processor.tokenizer
        self.boxes = box_language_of(self.tokenizer)
        self._answers = AnswerTokens(processor)
        pad = self.tokenizer.pad_token_id
        self.pad_id = int(pad if pad is not None else self.tokenizer.eos_token_id)

    @property
    def processor(self) -> Any:
        """The backbone's processor, with images limited as its spec says."""
        return self._processor

    @property
    def max_tokens(self) -> int | None:
        """Most tokens of a row, question and answer together; None where the model has no such limit."""
        return self._max_tokens

    def for_this_thread(self) -> "BatchEncoder":
        """Return this encoder, or a copy that is this thread's alone: tokenizers cannot be used by two at once."""
        if threading.get_ident() == self._thread:
            return self
        if not hasattr(self._of_thread, "encoder"):
            self._of_thread.encoder = BatchEncoder(
                copy.deepcopy(self._processor),
                image_token_id=self.image_token_id,
                max_tokens=self._max_tokens,
                device=self.device,
                dtype=self.dtype,
            )
        own: BatchEncoder = self._of_thread.encoder
        return own

    def encode_prompts(
        self,
        examples: Sequence[Example],
        *,
        padding_side: Literal["left", "right"] = "right",
        device: torch.device | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return the processor's tensors for the prompts; `input_ids` is [batch, tokens].

        Args:
            examples: with their images.
            padding_side: of the shorter ones.
            device: where the tensors go; None: the backbone's.

        Raises:
            ImagesDidNotReachModelError: placeholders, image tokens or length do not fit.
        """
        texts = [
            self._processor.apply_chat_template(
                chat_messages(self._asked(e), len(e.images)), add_generation_prompt=True, tokenize=False
            )
            for e in examples
        ]
        self.tokenizer.padding_side = padding_side
        batch = self._processor(
            text=texts, images=[list(e.images) for e in examples], padding=True, return_tensors="pt"
        )
        inputs = {name: value for name, value in batch.items() if isinstance(value, torch.Tensor)}
        self._check_images(examples, texts, inputs)
        place = self.device if device is None else device
        return {
            name: value.to(place, self.dtype) if value.is_floating_point() else value.to(place)
            for name, value in inputs.items()
        }

    def encode_training(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """Return prompts with their answers appended and `labels` [batch, tokens], ignored outside the answers."""
        inputs = self.encode_prompts(examples)
        prompt_lengths = inputs["attention_mask"].sum(dim=1).tolist()
        answers = [self.answer_ids(e) for e in examples]
        length = max(p + len(a) for p, a in zip(prompt_lengths, answers, strict=True))
        self.check_length(length)
        shape = inputs["input_ids"].shape
        aligned = [n for n, v in inputs.items() if v.shape == shape and not v.is_floating_point()]
        extended = dict(inputs)
        for name in aligned:
            fill = self.pad_id if name == "input_ids" else 0
            extended[name] = inputs[name].new_full((shape[0], length), fill)  # [batch, tokens + answer]
        labels = inputs["input_ids"].new_full((shape[0], length), IGNORED)
        for i, (start, answer) in enumerate(zip(prompt_lengths, answers, strict=True)):
            for name in aligned:
                extended[name][i, :start] = inputs[name][i, :start]
            ids = torch.tensor(answer, device=self.device)
            end = start + len(answer)
            extended["input_ids"][i, start:end] = ids
            extended["attention_mask"][i, start:end] = 1
            labels[i, start:end] = ids
        extended["labels"] = labels
        return extended

    def letter_ids(self, num_options: int) -> list[int]:
        """Return the token id of each option letter, as the chat template writes it behind a prompt.

        Raises:
            RecombineError: a letter is not exactly one token for this tokenizer, so option scoring has no meaning.
        """
        ids = [self._answers.ids(letter) for letter in LETTERS[:num_options]]
        bad = [letter for letter, tokens in zip(LETTERS, ids, strict=False) if len(tokens) != 1]
        if bad:
            raise RecombineError(f"the tokenizer writes the option letters {', '.join(bad)} with more than one token")
        return [tokens[0] for tokens in ids]

    def answer_ids(self, example: Example) -> list[int]:
        """Return the tokens of what the model should write, and the end mark.

        Raises:
            RecombineError: the stored answer of a box question is no box.
        """
        text = example.answer
        if example.is_box:
            box = parse_box(text)
            if box is None:
                raise RecombineError(f"subset {example.subset}: a stored answer is no box")
            text = self.boxes.write(box)
        return [*self._answers.ids(text), int(self.tokenizer.eos_token_id)]

    def _asked(self, example: Example) -> str:
        return "\n".join(filter(None, (example.prompt, self.boxes.instruction if example.is_box else "")))

    def _check_images(
        self, examples: Sequence[Example], texts: Sequence[str], inputs: Mapping[str, torch.Tensor]
    ) -> None:
        counts = (inputs["input_ids"] == self.image_token_id).sum(dim=1).tolist()
        placeholder = self._processor.image_token
        for example, text, num_tokens in zip(examples, texts, counts, strict=True):
            num_images, num_placeholders = len(example.images), text.count(placeholder)
            if num_placeholders != num_images or num_tokens < num_images:
                raise ImagesDidNotReachModelError(
                    f"subset {example.subset}: {num_images} images, {num_placeholders} placeholders and {num_tokens} "
                    "image tokens in a prompt; the chat template of this backbone does not take these images"
                )
        self.check_length(int(inputs["input_ids"].shape[1]))

    def check_length(self, length: int) -> None:
        """Refuse what the backbone would cut.

        Raises:
            ImagesDidNotReachModelError: more tokens than the backbone takes.
        """
        if self._max_tokens is not None and length > self._max_tokens:
            raise ImagesDidNotReachModelError(
                f"a prompt has {length} tokens, the backbone takes {self._max_tokens}; nothing is cut silently"
            )
