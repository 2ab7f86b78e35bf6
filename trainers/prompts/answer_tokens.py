"""How a backbone's chat template writes an answer: the tokens that follow a prompt's in the assistant's turn."""

from __future__ import annotations

import contextlib
from typing import Any

from trainers.prompts.text import LETTERS, chat_messages


class AnswerTokens:
    """Tokens of answers as they stand behind the prompt, and not as they would stand alone.

    SmolVLM's template, for one, writes `Assistant: A`, and ` A` is another token than `A`.

    Args:
        processor: of the backbone.
    """

    def __init__(self, processor: Any) -> None:
        self._tokenizer = processor.tokenizer
        self._prompt, self._lead = _rendered(processor)
        self._prompt_ids = self._plain_ids(self._prompt)
        # A tokenizer that writes the space by itself: its letters are the same tokens with it and without.
        if self._lead and any(len(self.ids(letter)) != 1 for letter in LETTERS):
            self._lead = ""

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a text that the assistant writes, without an end mark."""
        joint = self._plain_ids(self._prompt + self._lead + text)
        start = len(self._prompt_ids)
        if joint[:start] == self._prompt_ids:
            return joint[start:]
        return self._plain_ids(self._lead + text)  # its first token would reach into the prompt's last

    def _plain_ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        return ids


def _rendered(processor: Any) -> tuple[str, str]:
    """Return a prompt as the template writes it, and the spaces that it puts between a prompt and its answer."""
    asked, letter = chat_messages("?", 0), LETTERS[0]
    answered = [*asked, {"role": "assistant", "content": [{"type": "text", "text": letter}]}]
    prompt = whole = ""
    # A template without words alone, or without the assistant's turn, raises whatever its author chose.
    with contextlib.suppress(Exception):
        prompt = str(processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False))
        whole = str(processor.apply_chat_template(answered, tokenize=False))
    before, found, _ = whole.removeprefix(prompt).partition(letter)
    return prompt, before if whole.startswith(prompt) and found and before.isspace() else ""
