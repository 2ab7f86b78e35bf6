"""Scores a model on a set of questions: option log-likelihood, strict letters, words, boxes; one outcome a question."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from datasets_spec.boxes import parse_box
from datasets_spec.errors import RecombineError
from datasets_spec.sample import option_groups
from trainers.backbone.chosen_logits import logits_at
from trainers.prompts.encoder import BatchEncoder, Example
from trainers.prompts.text import LETTERS, parse_letter
from trainers.rows.feeds import DirectFeed, Feed
from trainers.rows.lookahead import Lookahead
from trainers.scoring.generation import greedy_tokens
from trainers.scoring.marks import mark_box, mark_text
from trainers.scoring.outcome import Outcome

LETTER_TOKENS = 8  # room for "(B)", "B: text" begins; the strict parser needs no more
OPEN_ANSWER_TOKENS = 64  # mean length of open answers in Med-MIM is 16 to 72 words; longer ones count as wrong
BOX_TOKENS = 32  # four numbers of four digits, a token a digit, with brackets and commas


def score_rows(model: Any, encoder: BatchEncoder, feed: Feed, **options: Any) -> list[Outcome]:
    """Score every question with one model; all options of `score_adapters` but the number of adapters."""
    (outcomes,) = score_adapters(model, encoder, feed, num_adapters=1, **options)
    return outcomes


@torch.inference_mode()
def score_adapters(
    model: Any,
    encoder: BatchEncoder,
    feed: Feed,
    *,
    num_adapters: int,
    eval_set: str,
    split: str,
    batch_size: int,
    generate: bool,
    on_batch: Callable[[], None] = lambda: None,
) -> list[list[Outcome]]:
    """Score every question with each of the adapters that `model` holds side by side.

    Closed questions are answered by the option with the highest log-probability of its letter at the answer
    position, in one forward pass; options with equal text count as one and pool their probability; a tie goes to
    the first. With `generate` the greedy letter is parsed strictly beside it. Open and box questions are always
    answered by greedy generation; words are compared after normalisation, boxes by their overlap, and what is no box
    is wrong.

    Args:
        model: backbone, with or without an adapter, or with packed ones; these take a batch adapter by adapter.
        encoder: of the same backbone.
        feed: the questions, in the order in which outcomes are returned.
        num_adapters: how many adapters are packed; 1 for any other model.
        eval_set: name written into the outcomes.
        split: name written into the outcomes.
        batch_size: questions a forward pass, for each adapter.
        generate: also generate letters for closed questions.
        on_batch: called after every batch and every token of a generated one; may raise to stop.

    Returns:
        One list of outcomes an adapter.
    """
    model.eval()
    outcomes: list[list[Outcome]] = [[] for _ in range(num_adapters)]
    ahead = Lookahead(feed, range(len(feed)), num_threads=torch.get_num_threads())
    for start in range(0, len(feed), batch_size):
        samples = ahead.take(min(batch_size, len(feed) - start))
        examples = [feed.question(sample) for sample in samples]
        closed = [i for i, example in enumerate(examples) if example.is_closed]
        generated = [i for i, example in enumerate(examples) if generate or not example.is_closed]
        log_probs = _log_probs(model, encoder, feed, [samples[i] for i in closed], num_adapters)
        texts = _texts(model, encoder, feed, [samples[i] for i in generated], num_adapters, on_batch)
        for adapter, mine in enumerate(outcomes):
            log_probs_of = dict(zip(closed, log_probs[adapter], strict=True))
            text_of = dict(zip(generated, texts[adapter], strict=True))
            for i, example in enumerate(examples):
                common = {"sample_id": example.sample_id, "eval_set": eval_set, "split": split}
                if example.is_closed:
                    chosen = log_probs_of[i][: len(example.options)]
                    mine.append(_closed_outcome(example, chosen, text_of.get(i), common))
                elif example.is_box:
                    mine.append(_box_outcome(example, encoder, text_of[i], common))
                else:
                    mine.append(_open_outcome(example, text_of[i], common))
        on_batch()
    return outcomes


@torch.inference_mode()
def answer_one(model: Any, encoder: BatchEncoder, row: Mapping[str, Any]) -> tuple[list[float], str]:
    """Answer one stored row, by the rules of `score_adapters`: what each option scores, or the words.

    Args:
        model: backbone with or without an adapter.
        encoder: of the same backbone.
        row: columns of `datasets_spec.sample.ARROW_SCHEMA`; its answer is not looked at.

    Returns:
        The pooled log-probability of each option, those of equal texts under the first of them (the others have minus
        infinity); and the generated text, "" where there are options.
    """
    import pyarrow as pa

    model.eval()
    feed = DirectFeed(encoder, pa.Table.from_pylist([dict(row)]))
    samples = feed.take([0])
    example = feed.question(samples[0])
    if not example.is_closed:
        return [], _texts(model, encoder, feed, samples, 1, lambda: None)[0][0]
    return _pooled(example.options, _log_probs(model, encoder, feed, samples, 1)[0][0]), ""


def _pooled(options: Sequence[str], log_probs: Sequence[float]) -> list[float]:
    """The log-probability of each distinct option at its first place; minus infinity at the others."""
    groups = option_groups(tuple(options))
    return [_log_sum_exp([lp for lp, g in zip(log_probs, groups, strict=True) if g == i]) for i in range(len(groups))]


def _log_probs(
    model: Any, encoder: BatchEncoder, feed: Feed, samples: Sequence[Any], num_adapters: int
) -> list[list[list[float]]]:
    """Return log-probabilities of the letters at the answer position: [adapters][samples][letters]."""
    if not samples:
        return [[] for _ in range(num_adapters)]
    inputs = feed.prompt_inputs([*samples] * num_adapters)
    last = inputs["attention_mask"].sum(dim=1) - 1  # right padding: index of the prompt's last token
    at_answer = _logits_at(model, inputs, last).float()  # [adapters * samples, vocabulary]
    most = max(len(feed.question(sample).options) for sample in samples)
    letters = encoder.letter_ids(most)
    flat: list[list[float]] = at_answer.log_softmax(dim=-1)[:, letters].cpu().tolist()
    return [flat[k * len(samples) : (k + 1) * len(samples)] for k in range(num_adapters)]


def _logits_at(model: Any, inputs: dict[str, Any], place: torch.Tensor) -> torch.Tensor:
    """Return logits of one position of every row: [rows, vocabulary]."""
    rows = torch.arange(len(place), device=place.device)
    if not place.is_cuda:  # see `loop.batch_losses`
        logits: torch.Tensor = model(**inputs, use_cache=False).logits[rows, place]
        return logits
    wanted = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    wanted[rows, place] = True
    return logits_at(model, inputs, wanted)


def _texts(
    model: Any,
    encoder: BatchEncoder,
    feed: Feed,
    samples: Sequence[Any],
    num_adapters: int,
    on_token: Callable[[], None],
) -> list[list[str]]:
    """Return greedily generated texts: [adapters][samples]."""
    found: list[list[str]] = [[""] * len(samples) for _ in range(num_adapters)]
    limits = [_answer_tokens(feed.question(sample)) for sample in samples]
    for limit in dict.fromkeys((LETTER_TOKENS, OPEN_ANSWER_TOKENS, BOX_TOKENS)):
        part = [i for i, own in enumerate(limits) if own == limit]
        if not part:
            continue
        inputs = feed.prompt_inputs([samples[i] for i in part] * num_adapters, "left")
        new = greedy_tokens(model, encoder.tokenizer, inputs, max_new_tokens=limit, on_token=on_token)
        decoded = encoder.tokenizer.batch_decode(new, skip_special_tokens=True)
        for place, text in enumerate(decoded):
            found[place // len(part)][part[place % len(part)]] = text
    return found


def _answer_tokens(example: Example) -> int:
    if example.is_closed:
        return LETTER_TOKENS
    return BOX_TOKENS if example.is_box else OPEN_ANSWER_TOKENS


def _closed_outcome(example: Example, log_probs: list[float], text: str | None, common: dict[str, str]) -> Outcome:
    groups = option_groups(example.options)
    pooled = _pooled(example.options, log_probs)
    finite = all(math.isfinite(lp) for lp in log_probs)
    predicted = max(range(len(pooled)), key=lambda i: (pooled[i], -i)) if finite else -1
    gold = groups[example.answer_index]
    letter = parse_letter(text, len(example.options)) if text is not None else None
    return Outcome(
        sample_id=common["sample_id"],
        eval_set=common["eval_set"],
        split=common["split"],
        predicted=predicted,
        correct=predicted == gold,
        log_probs=log_probs,
        gold_log_prob=pooled[gold],
        generated=None if text is None else ("" if letter is None else LETTERS[letter]),
        generation_correct=None if text is None else (letter is not None and groups[letter] == gold),
        invalid=not finite or (text is not None and letter is None),
    )


def _open_outcome(example: Example, text: str, common: dict[str, str]) -> Outcome:
    mark = mark_text(text, example.answer)
    found = _free_outcome("open", common, correct=mark.is_exact, invalid=not text.strip())
    return replace(found, token_f1=mark.token_f1, rouge_l=mark.rouge_l)


def _box_outcome(example: Example, encoder: BatchEncoder, text: str, common: dict[str, str]) -> Outcome:
    gold = parse_box(example.answer)
    if gold is None:
        raise RecombineError(f"subset {example.subset}: a stored answer is no box")
    box = encoder.boxes.read(text)
    mark = mark_box(box, gold)
    found = _free_outcome("box", common, correct=mark.is_right, invalid=box is None)
    return replace(found, iou=mark.iou, intersection=mark.intersection, union=mark.union)


def _free_outcome(kind: str, common: dict[str, str], *, correct: bool, invalid: bool) -> Outcome:
    return Outcome(
        sample_id=common["sample_id"],
        eval_set=common["eval_set"],
        split=common["split"],
        answer_kind=kind,
        predicted=-1,
        correct=correct,
        log_probs=[],
        gold_log_prob=None,
        generated=None,
        generation_correct=correct,
        invalid=invalid,
    )


def _log_sum_exp(values: Sequence[float]) -> float:
    if not values:
        return -math.inf
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values)) if math.isfinite(top) else top
