"""Form: what an output looks like."""

from __future__ import annotations

import pytest

from featurizers.form import Casing, HasCodeBlock, HasHeading, HasList, HasTable, Script, ScriptSwitch
from metamodel.analysis.languages import guess_language
from metamodel.analysis.markdown import code_blocks, without_code_blocks
from metamodel.protocols import Featurizer
from metamodel.text import text_batch


def label(featurizer: Featurizer, text: str, prompt: str = "") -> float:
    """Return the label of one output."""
    return float(featurizer.label(text_batch([text], prompts=[prompt]))[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b", 1),
        ("Buy:\n\n  * a\n  * b", 1),
        ("1. a\n2. b", 1),
        ("(a) x\n(b) y", 1),
        ("i) x\nii) y", 1),
        ("• a\n• b", 1),
        ("- a", 0),
        ("-a\n-b", 0),
        ("**a**\n**b**", 0),
        ("3.14\n2.71", 0),
        ("a - b\nc - d", 0),
        ("---\n---", 0),
    ],
)
def test_lists(text: str, expected: float) -> None:
    """Lines that begin with a bullet or a number make a list from the second one on."""
    assert label(HasList(), text) == expected


def test_fewest_items() -> None:
    """How many lines make a list is the user's choice."""
    assert label(HasList(min_items=1), "- a") == 1
    assert label(HasList(min_items=3), "- a\n- b") == 0
    with pytest.raises(ValueError, match="min_items is 0"):
        HasList(min_items=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 |", 1),
        ("Here:\n a | b\n:-:|--\n1|2", 1),
        ("a b\n|---|---|", 0),
        ("P(a|b)\n---", 0),
        ("|---|---|", 0),
        ("| a |\n\n|---|", 0),
    ],
)
def test_tables(text: str, expected: float) -> None:
    """A header line with bars above a delimiter row makes a table; bars or dashes alone do not."""
    assert label(HasTable(), text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A", 1),
        ("x\n### A\ny", 1),
        ("Title\n=====", 1),
        ("#1 in the world", 0),
        ("####### A", 0),
        ("#", 0),
        ("```\n# a comment\n```", 0),
        ("```\n# a comment\n```\n# A", 1),
        ("a == b\n", 0),
    ],
)
def test_headings(text: str, expected: float) -> None:
    """Markdown headings count, hashes in code and in front of numbers do not."""
    assert label(HasHeading(), text) == expected


def test_code_blocks() -> None:
    """Fences open and close as in CommonMark: by the same mark, at least as many, and by the end of the text."""
    text = "a\n~~~~ py x\n~~~\n```\n~~~~\nb\n  ```\nc"
    first, second = code_blocks(text)
    assert (first.language, first.code, first.is_closed) == ("py", "~~~\n```\n", True)
    assert (second.language, second.code, second.is_closed) == ("", "c\n", False)
    assert without_code_blocks(text) == "a\nb"
    assert code_blocks("a ``` b ```") == code_blocks("```x``` y") == []
    assert label(HasCodeBlock(), "```\nx") == 1
    assert label(HasCodeBlock(), "`x`") == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "none"),
        ("42 ?!", "none"),
        ("漢字", "none"),
        ("all low, 42", "lower"),
        ("ALL UP!", "upper"),
        ("The Lord of the Rings", "title"),
        ("Title", "mixed"),
        ("An ordinary sentence.", "mixed"),
        ("ÜBER ALLES", "upper"),
    ],
)
def test_casing(text: str, expected: str) -> None:
    """Every output has one casing, in any script."""
    assert Casing().space.outcomes[int(label(Casing(), text))] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "none"),
        ("42", "none"),
        ("yes", "latin"),
        ("ｙｅｓ", "latin"),  # noqa: RUF001 - full width is what is tested
        ("да", "cyrillic"),
        ("नहीं", "devanagari"),
        ("ひらがなカタカナ", "kana"),
        ("ქართული", "other"),
        ("\ud800", "none"),
    ],
)
def test_scripts(text: str, expected: str) -> None:
    """A letter's script is read off its name; what no list knows is "other"."""
    assert Script().space.outcomes[int(label(Script(), text))] == expected


@pytest.mark.parametrize(
    ("text", "prompt", "share", "expected"),
    [
        ("да", "yes?", 0.5, 1),
        ("yes да", "да?", 0.5, 1),
        ("yes да", "да?", 0.9, 0),
        ("the angle is π", "the angle?", 0.5, 0),
        ("東京", "とうきょうは東にある", 0.5, 0),
        ("yes", "yes?", 0.01, 0),
        ("42", "yes?", 0.5, float("nan")),
        ("yes", "42", 0.5, float("nan")),
    ],
)
def test_script_switch(text: str, prompt: str, share: float, expected: float) -> None:
    """Only letters of scripts that the prompt does not use count, and enough of them."""
    assert label(ScriptSwitch(min_share=share), text, prompt) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The dog is in the house and it will not come out.", "en"),
        ("El perro está en la casa y no quiere salir.", "es"),
        ("O cachorro está na casa e não quer sair.", "pt"),
        ("Le chien est dans la maison et il ne veut pas sortir.", "fr"),
        ("Der Hund ist im Haus und will nicht heraus.", "de"),
        ("Il cane è nella casa e non vuole uscire.", "it"),
        ("Pies jest w domu i nie chce wyjść.", "pl"),
        ("Con chó ở trong nhà và không muốn ra ngoài, đó là của tôi.", "vi"),
        ("Mbwa ni wa nyumba hii na hataki kutoka kwa nje.", "sw"),
        ("Koira on talossa ja se ei halua ulos.", "fi"),
        ("Собака в доме, и мы не можем её вывести.", "ru"),
        ("Собака в будинку, її немає на дворі.", "uk"),
        ("Кучето стои вкъщи, защото вън вали.", "bg"),
        ("الكلب في البيت", "ar"),
        ("سگ در خانه است و بیرون نمی‌آید چون گرسنه است", "fa"),
        ("کتا گھر میں ہے", "ur"),
        ("कुत्ता घर में है और बाहर नहीं आता", "hi"),
        ("कुत्रा घरात आहे आणि बाहेर येत नाही", "mr"),
        ("कुकुर घरमा छ र बाहिर आउँदैन, यो भोको छ", "ne"),
        ("犬は家にいます", "ja"),
        ("개가 집에 있습니다", "ko"),
        ("x = 1", None),
        ("", None),
    ],
)
def test_languages(text: str, language: str | None) -> None:
    """Sentences in the languages of IFEval's prompts are told apart, and formulas are in none."""
    assert guess_language(text) == language


@pytest.mark.parametrize(
    "piece", ["- ", "-\n", "- a\n", "|", "|\n", "|-|\n", "#", "# \n", "=", "a\n===", "```\n", "\n", "Ab "]
)
@pytest.mark.parametrize(
    "featurizer", [HasList(min_items=10**9), HasTable(), HasHeading(), HasCodeBlock(), Casing(), Script()]
)
def test_a_megabyte_is_read_in_linear_time(featurizer: Featurizer, piece: str) -> None:
    """A runaway output must not stall a run: quadratic time would not end within the suite's patience."""
    assert label(featurizer, piece * (1_000_000 // len(piece))) >= 0
