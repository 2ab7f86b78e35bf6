"""Answers are trained and scored as the tokens that the backbone's own template would write."""

from __future__ import annotations

import pytest

from tests.makers.families import FAMILIES, smolvlm_backbone, tiny_backbone, toy_row, toy_rows
from trainers.backbone.adapters import add_adapter
from trainers.prompts.answer_tokens import AnswerTokens
from trainers.prompts.encoder import example_from_row
from trainers.prompts.text import LETTERS, chat_messages
from trainers.recipe import Recipe
from trainers.rows.feeds import DirectFeed
from trainers.scoring.scorer import score_rows
from trainers.training.loop import finetune


@pytest.mark.parametrize("answer", ["A", "Q", "yes", "left lower lobe"])
def test_a_prompt_with_its_answer_is_what_the_template_writes(answer: str) -> None:
    backbone = smolvlm_backbone()
    tokenizer = backbone.encoder.tokenizer
    turns = [*chat_messages("what is it ?", 0), {"role": "assistant", "content": [{"type": "text", "text": answer}]}]
    prompt = backbone.processor.apply_chat_template(turns[:1], add_generation_prompt=True, tokenize=False)
    whole = backbone.processor.apply_chat_template(turns, tokenize=False)
    ids = tokenizer(prompt, add_special_tokens=False).input_ids + AnswerTokens(backbone.processor).ids(answer)
    assert ids == tokenizer(whole.removesuffix("<end_of_utterance>\n"), add_special_tokens=False).input_ids


def test_letters_are_scored_with_the_space_that_the_template_writes() -> None:
    encoder = smolvlm_backbone().encoder
    assert encoder.tokenizer.convert_ids_to_tokens(encoder.letter_ids(3)) == ["\u0120A", "\u0120B", "\u0120C"]
    example = example_from_row(toy_row(0))
    assert encoder.answer_ids(example)[0] in encoder.letter_ids(2)  # what is trained is what is scored


@pytest.mark.parametrize("family", list(FAMILIES))
def test_templates_without_a_space_are_read_as_before(family: str) -> None:
    encoder = tiny_backbone(family).encoder
    assert encoder.letter_ids(26) == [encoder.tokenizer(x, add_special_tokens=False).input_ids[0] for x in LETTERS]
    example = example_from_row(toy_row(2, is_open=True))
    plain, box = (encoder.tokenizer(x, add_special_tokens=False).input_ids for x in (example.answer, "A B D E"))
    assert encoder._answers.ids("A B D E") == box  # as a coarse grid's boxes are written
    assert encoder.answer_ids(example) == [*plain, encoder.tokenizer.eos_token_id]


def test_letters_that_the_space_would_split_are_scored_without_it() -> None:
    """A tokenizer whose space is a token of its own."""
    backbone = smolvlm_backbone()
    plain = tiny_backbone("idefics3").processor
    plain.chat_template = backbone.processor.chat_template
    assert AnswerTokens(plain).ids("A") == plain.tokenizer("A", add_special_tokens=False).input_ids


@pytest.mark.parametrize("refused", ["m['role'] != 'user'", "m['content'][0]['type'] != 'image'"])
def test_a_template_that_refuses_an_assistants_turn_or_words_alone_is_read_without(refused: str) -> None:
    processor = tiny_backbone("idefics3").processor
    processor.chat_template = (
        f"{{% for m in messages %}}{{% if {refused} %}}{{{{ raise_exception('not so') }}}}{{% endif %}}"
        "{{ m['content'][0]['text'] }}{% endfor %}:"
    )
    assert AnswerTokens(processor).ids("A") == processor.tokenizer("A", add_special_tokens=False).input_ids


def test_what_was_learned_is_scored_and_written_behind_the_space() -> None:
    backbone = smolvlm_backbone()
    recipe = Recipe(learning_rate=2e-2, num_steps=40, batch_size=8, lora_rank=4, lora_modules="language")
    rows = toy_rows(8)
    model = add_adapter(backbone, recipe, seed=0)
    finetune(model, DirectFeed(backbone.encoder, rows), recipe, seed=0)
    outcomes = score_rows(
        model, backbone.encoder, DirectFeed(backbone.encoder, rows), eval_set="t", split="search", batch_size=8,
        generate=True,
    )  # fmt: skip
    assert all(outcome.correct and outcome.generation_correct and not outcome.invalid for outcome in outcomes)
