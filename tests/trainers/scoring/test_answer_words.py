"""Open answers: what says the same is equal however it is spelt, what says another thing is not."""

from __future__ import annotations

import re
import unicodedata
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.phantom.free_answers import NAMING, free_keys, make_free_sample
from datasets_spec.sample import option_groups
from trainers.scoring.answer_words import answer_words
from trainers.scoring.marks import mark_text

# What the rules look at, often; and any character at all.
SPELLINGS = (
    " \u00a0+-\u2212\u2013./<>=≥≤±≠()[]0123456789½²⁻⁹⁄aAnTtheR*∗˗—'"
    "’ʼïı̈e\u0301İßﬁµμ™\u00ad\u200b^,;:%°\u034f\ufe0f_Ａ５हि"
)
TEXTS = st.text(alphabet=st.one_of(st.sampled_from(SPELLINGS), st.characters()), max_size=14)


@pytest.mark.parametrize(
    "spellings",
    [
        ("A left-sided Mass.", "left sided mass", "left\u2011sided mass", "left\u2014sided \u201cmass\u201d"),
        ("the  cat", "cat", "the\u00a0cat", "c\u00adat\u200b"),
        ("naïve", "nai\u0308ve", "NAÏVE"),
        ("T2 weighted", "Ｔ２ ｗｅｉｇｈｔｅｄ", "T₂ weighted"),
        ("Crohn's disease", "Crohn’s disease", "Crohnʼs disease", "Crohn´s disease"),
        ("5 \u00b5g", "5 \u03bcg"),  # micro sign, Greek letter
        ("fibrosis", "ﬁbrosis"),
        ("Straße", "STRASSE"),
        ("Gadovist™", "Gadovist", "Gadovist®"),
        ("-5", "−5", "–5", "(−5)."),
        ("≥5", "≥ 5", ">= 5", "⩾5", "≧ 5"),
        ("5 ± 2", "5 +/- 2"),
        ("½", "1/2", "1⁄2", "1 / 2"),
        ("1½", "1 1/2"),
        ("10⁹/L", "10^9/L"),
        ("10⁻³", "10^-3"),
        ("3-5 cm", "3–5 cm", "3 - 5 cm"),
        ("5%-10%", "5 % – 10 %"),
        ("L4-5", "L4/5"),
        (".5", "0.5"),
        ("HER2+", "HER2 (+)", "HER2 +."),
        ("HER2-", "her2-", "HER2 (-)", "HER2 –", "HER2 −.", "(HER2-)", "HER2-\n"),
        ("HER2- tumour", "HER2 (-) tumour"),
        ("PR -", "PR-", "pr (–)", "PR −."),
        ("Gram-", "gram -", "Gram (−)"),
        ("CK7+, TTF-1-", "CK7 +, TTF‑1 –", "ck7 (+), ttf-1 (-)"),
        ("ER+, PR-", "ER +, PR −", "ER (+), PR (−)", "ER +; PR -."),
        ("ER-, PR-, HER2-", "ER -, PR -, HER2 -", "er (-), pr (-), her2 (-)", "ER-/PR-/HER2-"),
        ("no", "no -", "No –", "no-", "no —", "no—", "no-, ", "no -.", "- no", "no --"),
        ("left lung", "left lung –", "left lung -", "Left lung—"),
        ("CT", "CT –", "ct -"),
        ("pre and post contrast", "pre- and post-contrast", "pre‐ and post‐contrast", "pre - and post - contrast"),
        ("5 to 10 mm nodule", "a 5- to 10-mm nodule", "5 - to 10 - mm nodule"),
        ("T1 and T2 weighted", "T1- and T2-weighted", "T1- and T2- weighted"),
        ("L4-L5", "L4- L5", "L4 -L5", "L4 – L5"),
        ("supra and infratentorial", "supra- and infratentorial"),
        (
            "Findings: mass, effusion",
            "Findings:\n- mass\n- effusion",
            "findings\n– mass\n– effusion\n–",
            "Findings — mass — effusion",
        ),
        ("mass\neffusion", "mass -\neffusion -", "+ mass\n+ effusion", "* mass\n* effusion", "mass -- effusion"),
        ("T2", "**T2**", "*T2*", "* T2"),
        ("T2*-weighted", "T2* weighted", "T₂∗-weighted", "T2-star weighted", "T2＊ weighted"),
        ("mass in the left lung", "mass in left lung the", "a mass in the left lung. An", "mass in left lung The."),
    ],
)
def test_the_same_however_it_is_spelt(spellings: tuple[str, ...]) -> None:
    for one, other in combinations(spellings, 2):
        assert mark_text(one, other).is_exact, (one, other, answer_words(one), answer_words(other))


@pytest.mark.parametrize(
    "texts",
    [
        ("no mass", "mass", "not mass"),
        ("left", "right"),
        ("another", "other"),  # the article stands alone, or it is none
        ("hepatitis A", "hepatitis B", "hepatitis"),  # an article stands before a word
        ("-5", "5", "<5", ">5", "≤5", "≥5", "±5", "≠5"),
        ("3.5", "35", "3 5", "-3.5", "3/5"),
        ("1/2", "1-2", "12", "1½"),
        ("10⁹", "109"),
        ("5²", "52"),
        ("HER2+", "HER2-", "HER2"),
        ("HER2+ tumour", "HER2- tumour", "HER2 tumour"),
        ("ER+", "ER-", "ER"),
        ("TTF-1+", "TTF-1-", "TTF-1"),
        ("ER +, PR -", "ER +, PR +", "ER -, PR +", "ER -, PR -", "ER, PR"),
        ("mass (-)", "mass (+)", "mass"),
        ("blood group A-", "blood group A+", "blood group A"),
        ("3+", "2+", "3", "++"),
        ("T2*", "T2", "T1", "R2*", "R2"),
        ("the", "an", "a", ""),
        ("+", "-", "+++", ""),
        ("naïve", "naive"),  # another letter, as Unicode has it
    ],
)
def test_what_says_another_thing_stays_another(texts: tuple[str, ...]) -> None:
    for one, other in combinations(texts, 2):
        assert not mark_text(one, other).is_exact, (one, other, answer_words(one))


@given(TEXTS)
def test_every_way_to_write_the_same_characters_is_equal(text: str) -> None:
    forms = {tuple(answer_words(unicodedata.normalize(form, text))) for form in ("NFC", "NFD")}
    assert forms == {tuple(answer_words(text))} == {tuple(answer_words(text.casefold()))}


@given(TEXTS)
def test_words_have_themselves(text: str) -> None:
    words = answer_words(text)
    assert answer_words(" ".join(words)) == words


@given(st.text(alphabet="abcMnoABC ,!?'\"", max_size=20).filter(lambda text: not re.search(r"\b[Aa]\W*$", text)))
def test_plain_words_are_what_they_were(text: str) -> None:
    """Answers of letters alone have the words that SQuAD's rules, and the first scorer, gave them."""
    words = re.sub(r"[^\w\s]", " ", text.casefold()).split()
    assert answer_words(text) == ([word for word in words if word not in {"a", "an", "the"}] or words or text.split())


def test_the_phantom_is_answered_in_such_words() -> None:
    """So that its published figures are those of either scorer."""
    golds = [make_free_sample(key, seed=0, split="t", index=i).answer for key in free_keys() for i in range(20)]
    assert {tuple(answer_words(gold)) for gold in golds} == {tuple(gold.split()) for gold in golds}
    assert len(set(golds)) > 5
    assert any(key.task == NAMING for key in free_keys())


def test_options_are_told_apart_by_more_than_answers() -> None:
    """A closed question's options are never compared by words: these differ in what an open answer ignores."""
    assert option_groups(["T2", "T₂", "3, 5", "3-5", "½", "1/2", "C. albicans", "C albicans"]) == list(range(8))
