"""Scores a model on a set of questions: option log-likelihood, strict letters, open answers; one outcome a question."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import torch

from datasets_spec.sample import option_groups
from trainers.batches import BatchEncoder, Example, example_from_row
from trainers.prompts import LETTERS, normalise_answer, parse_letter

# Part of a score's identity: raise it when the meaning of an outcome changes.
SCORER_VERSION = 1
LETTER_TOKENS = 8  # room for "(B)", "B: text" begins; the strict parser needs no more
OPEN_ANSWER_TOKENS = 64  # mean length of open answers in Med-MIM is 16 to 72 words; longer ones count as wrong

OUTCOME_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("eval_set", pa.string()),
        ("split", pa.string()),
        ("predicted", pa.int32()),
        ("correct", pa.bool_()),
        ("log_probs", pa.list_(pa.float32())),
        ("gold_log_prob", pa.float32()),
        ("generated", pa.string()),
        ("generation_correct", pa.bool_()),
        ("invalid", pa.bool_()),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one question; holds no question or answer text, only option numbers and letters."""

    sample_id: str
    eval_set: str
    split: str
    predicted: int
    correct: bool
    log_probs: list[float]
    gold_log_prob: float | None
    generated: str | None
    generation_correct: bool | None
    invalid: bool


def outcomes_table(outcomes: Sequence[Outcome]) -> pa.Table:
    """Return outcomes as an Arrow table with `OUTCOME_SCHEMA`."""
    return pa.Table.from_pylist([asdict(outcome) for outcome in outcomes], schema=OUTCOME_SCHEMA)


@torch.inference_mode()
def score_rows(
    model: Any,
    encoder: BatchEncoder,
    rows: pa.Table,
    *,
    eval_set: str,
    split: str,
    batch_size: int,
    generate: bool,
) -> list[Outcome]:
    """Score every row.

    Closed questions are answered by the option with the highest log-probability of its letter at the answer
    position, in one forward pass; options with equal text count as one and pool their probability; a tie goes to
    the first. With `generate` the greedy letter is parsed strictly beside it. Open questions are always answered by
    greedy generation and compared after normalisation.

    Args:
        model: backbone, with or without an adapter.
        encoder: of the same backbone.
        rows: stored rows, in the order in which outcomes are returned.
        eval_set: name written into the outcomes.
        split: name written into the outcomes.
        batch_size: questions a forward pass.
        generate: also generate letters for closed questions.
    """
    model.eval()
    outcomes: list[Outcome] = []
    for start in range(0, rows.num_rows, batch_size):
        examples = [example_from_row(row) for row in rows.slice(start, batch_size).to_pylist()]
        closed = {id(e): log_probs for e, log_probs in _closed_log_probs(model, encoder, examples)}
        texts = dict(_generated(model, encoder, [e for e in examples if generate or not e.is_closed]))
        for example in examples:
            common = {"sample_id": example.sample_id, "eval_set": eval_set, "split": split}
            if example.is_closed:
                outcomes.append(_closed_outcome(example, closed[id(example)], texts.get(id(example)), common))
            else:
                outcomes.append(_open_outcome(example, texts[id(example)], common))
    return outcomes


def _closed_log_probs(
    model: Any, encoder: BatchEncoder, examples: Sequence[Example]
) -> Iterator[tuple[Example, list[float]]]:
    closed = [e for e in examples if e.is_closed]
    if not closed:
        return
    inputs = encoder.encode_prompts(closed)
    logits = model(**inputs, use_cache=False).logits  # [batch, tokens, vocabulary]
    last = inputs["attention_mask"].sum(dim=1) - 1  # right padding: index of the prompt's last token
    at_answer = logits[torch.arange(len(closed), device=logits.device), last].float()  # [batch, vocabulary]
    log_probs = at_answer.log_softmax(dim=-1).cpu()
    for example, row in zip(closed, log_probs, strict=True):
        yield example, row[encoder.letter_ids(len(example.options))].tolist()


def _generated(model: Any, encoder: BatchEncoder, examples: Sequence[Example]) -> Iterator[tuple[int, str]]:
    for wanted, limit in ((True, LETTER_TOKENS), (False, OPEN_ANSWER_TOKENS)):
        part = [e for e in examples if e.is_closed is wanted]
        if not part:
            continue
        inputs = encoder.encode_prompts(part, padding_side="left")
        tokens = model.generate(
            **inputs,
            max_new_tokens=limit,
            do_sample=False,
            pad_token_id=encoder.tokenizer.pad_token_id,
            eos_token_id=encoder.tokenizer.eos_token_id,
        )
        new = tokens[:, inputs["input_ids"].shape[1] :]  # [batch, new tokens]
        for example, text in zip(part, encoder.tokenizer.batch_decode(new, skip_special_tokens=True), strict=True):
            yield id(example), text


def _closed_outcome(example: Example, log_probs: list[float], text: str | None, common: dict[str, str]) -> Outcome:
    groups = option_groups(example.options)
    pooled = [_log_sum_exp([lp for lp, g in zip(log_probs, groups, strict=True) if g == i]) for i in range(len(groups))]
    finite = all(math.isfinite(lp) for lp in log_probs)
    predicted = max(range(len(pooled)), key=lambda i: (pooled[i], -i)) if finite else -1
    gold = groups[example.answer_index]
    letter = parse_letter(text, len(example.options)) if text is not None else None
    return Outcome(
        **common,
        predicted=predicted,
        correct=predicted == gold,
        log_probs=log_probs,
        gold_log_prob=pooled[gold],
        generated=None if text is None else ("" if letter is None else LETTERS[letter]),
        generation_correct=None if text is None else (letter is not None and groups[letter] == gold),
        invalid=not finite or (text is not None and letter is None),
    )


def _open_outcome(example: Example, text: str, common: dict[str, str]) -> Outcome:
    correct = normalise_answer(text) == normalise_answer(example.answer)
    return Outcome(
        **common,
        predicted=-1,
        correct=correct,
        log_probs=[],
        gold_log_prob=None,
        generated=None,
        generation_correct=correct,
        invalid=not text.strip(),
    )


def _log_sum_exp(values: Sequence[float]) -> float:
    if not values:
        return -math.inf
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values)) if math.isfinite(top) else top
