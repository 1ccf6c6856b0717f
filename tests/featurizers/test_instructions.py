"""Obedience: the verifiable instructions of IFEval and the number of words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from featurizers.instructions import FollowsInstructions, InstructionShare, WordCountObeyed
from metamodel.analysis.obedience import CHECKS, UnusableInstructionError, count_sentences, obeys, obeys_loosely
from metamodel.text import text_batch
from metamodel.types import JSONValue

NAN = float("nan")
AT_LEAST_2 = {"relation": "at least"}

# Instruction, arguments, texts that obey it, texts that do not.
CASES: list[tuple[str, Mapping[str, JSONValue], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["cat", "C++"]}, ["Cats use c++"], ["cats", ""]),
    ("keywords:frequency", {"keyword": "a.", "frequency": 2, "relation": "at least"}, ["a. A."], ["a. ab"]),
    ("keywords:forbidden_words", {"forbidden_words": ["cat"]}, ["concatenate"], ["A CAT!"]),
    ("keywords:letter_frequency", {"letter": "A", "let_frequency": 2, "let_relation": "less than"}, ["a"], ["aA"]),
    ("language:response_language", {"language": "de"}, ["Das ist nicht die Frage."], ["That is the question."]),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, ["Mr. X?"], ["A cat. B!"]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, ["a\n***\nb", "***a***b***"], ["a", "a******b"]),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, ["it's me"], ["two words"]),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "So"},
        ["a\n\nso, b", 'a\n\n"So b'],
        ["so\n\na", "a\n\nsore", "a\n\nso\n\nc"],
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, ["[a] [b c]"], ["[a]", "[a [b]"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["a\np. s. b"], ["a\nPS b"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["P.P.S b"], ["P.S. b"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, ["* a\n - b"], ["* a", "**a**\n* b\n* c\n* d"]),
    ("detectable_format:constrained_response", {}, ["Well. My answer is no."], ["No."]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, ["*a* and **b**"], ["*a* ****"]),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Part", "num_sections": 2},
        ["Part 1\nPart2"],
        ["Part 1"],
    ),
    ("detectable_format:json_format", {}, ['```json\n{"a": 1}\n```'], ["a"]),
    ("detectable_format:title", {}, ["<<A title>>"], ["<<>>", ">>a<<", "<<a\nb>>"]),
    ("combination:two_responses", {}, ["a******b", "******a******b"], ["a******a", "a", "a******b******c"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it"}, [" say it! It."], ["It. Say it"]),
    ("startend:end_checker", {"end_phrase": "The end."}, ['"It is the end."'], ["The end. Or not"]),
    (
        "startend:quotation",
        {},
        [' "a" '],
        ['"', '"a'],
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        ["(NO), I"],
        ["NO"],
    ),
    ("change_case:english_capital", {}, ["THIS IS THE END"], ["This", "DAS IST NICHT DAS ENDE"]),
    ("change_case:english_lowercase", {}, ["this is the end"], ["This", "das ist nicht das ende"]),
    ("punctuation:no_comma", {}, ["a; b"], ["a, b"]),
]


def test_every_type_has_a_case() -> None:
    """IFEval has 25 types of instructions; each is checked below."""
    assert {name for name, *_ in CASES} == set(CHECKS)
    assert len(CHECKS) == 25


@pytest.mark.parametrize(("name", "arguments", "obeying", "disobeying"), CASES)
def test_instructions(name: str, arguments: Mapping[str, JSONValue], obeying: list[str], disobeying: list[str]) -> None:
    """Each instruction tells texts that obey it from texts that nearly do; an empty text obeys none."""
    for text in obeying:
        assert obeys(name, arguments, text), text
    for text in [*disobeying, "", " \n"]:
        assert not obeys(name, arguments, text), text


@pytest.mark.parametrize("name", sorted({name for name, arguments, *_ in CASES if arguments}))
def test_absent_arguments_give_no_verdict(name: str) -> None:
    """An instruction without its arguments cannot be checked; it must not be counted as obeyed or not."""
    with pytest.raises(UnusableInstructionError):
        obeys(name, {"keyword": None}, "a")


@pytest.mark.parametrize("name", sorted(CHECKS))
@pytest.mark.parametrize("piece", ["<<", "[", "*", "* \n", ".", '."', "-", "\n", "Ab. ", "******", "p."])
def test_a_megabyte_is_read_in_linear_time(name: str, piece: str) -> None:
    """A runaway output must not stall a run: quadratic time would not end within the suite's patience."""
    arguments = next(arguments for case, arguments, *_ in CASES if case == name)
    assert obeys(name, arguments, piece * (300_000 // len(piece))) in (True, False)


def test_sentences() -> None:
    """Abbreviations, initials, decimals and numbered lines end no sentence; CJK full stops do."""
    assert count_sentences("Dr. J. S. Bach paid 3.50, i.e. much. Really?! Yes... 1. no") == 5
    assert count_sentences("1. First\n2. Second") == 1
    assert count_sentences("是。不是。") == 2
    assert count_sentences("") == 0


def test_loose_reading() -> None:
    """IFEval's loose reading forgives a first line, a last line and emphasis."""
    text = "Sure, here it is:\n*quiet* please\nAnything else, friend?"
    assert not obeys("punctuation:no_comma", {}, text)
    assert obeys_loosely("punctuation:no_comma", {}, text)
    assert not obeys_loosely("startend:quotation", {}, text)


def test_labels_by_the_prompt() -> None:
    """A prompt's instructions give the label of all and the share; what cannot be read gives neither."""
    asked: list[Mapping[str, JSONValue]] = [
        {"instruction_id_list": ["punctuation:no_comma", "startend:quotation"], "kwargs": [{}, {"language": None}]},
        {"instruction_id_list": ["punctuation:no_comma", "keywords:existence"], "kwargs": [{}, {}]},
        {"instruction_id_list": ["no:such"], "kwargs": [{}]},
        {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}, {}]},
        {"instruction_id_list": "punctuation:no_comma"},
        {"instruction_id_list": []},
        {},
    ]
    batch = text_batch(["plain"] * len(asked), attributes=asked)
    assert FollowsInstructions().label(batch).tolist() == pytest.approx([0] + [NAN] * 6, nan_ok=True)
    assert InstructionShare().label(batch).tolist() == pytest.approx([0.5] + [NAN] * 6, nan_ok=True)


def test_instructions_of_the_config() -> None:
    """Instructions in the config replace the prompt's; those that nothing can be checked by are refused."""
    featurizer = FollowsInstructions(
        instructions=("keywords:existence",), arguments=({"keywords": ["cat"]},), reading="loose"
    )
    assert featurizer.label(text_batch(["a cat", "a dog"])).tolist() == [1, 0]
    with pytest.raises(ValueError, match=r"did you mean punctuation:no_comma\?"):
        FollowsInstructions(instructions=("punctuation:no_commas",))
    with pytest.raises(ValueError, match="keywords is None"):
        FollowsInstructions(instructions=("keywords:existence",))
    with pytest.raises(ValueError, match="arguments has 1 entries"):
        InstructionShare(instructions=("startend:quotation",) * 2, arguments=({},))
    with pytest.raises(ValueError, match="reading is 'lax'"):
        FollowsInstructions(reading="lax")  # type: ignore[arg-type] # what must fail


@pytest.mark.parametrize(
    ("prompt", "fits", "does_not"),
    [
        ("Answer in at most 5 words.", [0, 5], [6]),
        ("Write fewer than 5 words.", [4], [5]),
        ("Write at least 1,000 words.", [1000], [999]),
        ("An essay of 300+ words, please", [300], [299]),
        ("Use more than 10 words.", [11], [10]),
        ("Between 5 and 10 words.", [5, 10], [4, 11]),
        ("In 5-10 words.", [5, 10], [4, 11]),
        ("Exactly 7 words!", [7], [6, 8]),
        ("Write a 100-word story.", [90, 110], [89, 111]),
        ("Summarize in about 50 words.", [50, 45], [60]),
        ("At least 5 words but no more than 8 words.", [5, 8], [4, 9]),
    ],
)
def test_word_counts_that_prompts_ask_for(prompt: str, fits: list[int], does_not: list[int]) -> None:
    """The limits that people state in English are read from the prompt."""
    for counts, expected in ((fits, 1), (does_not, 0)):
        batch = text_batch(["w " * count for count in counts], prompts=[prompt] * len(counts))
        assert WordCountObeyed().label(batch).tolist() == [expected] * len(counts)


@pytest.mark.parametrize("prompt", ["", "Why?", "What is the word for 5?", "In your own words, name 3 cats."])
def test_prompts_that_ask_for_no_number_of_words(prompt: str) -> None:
    """Where no number of words is asked for there is nothing to obey."""
    assert WordCountObeyed().label(text_batch(["one"], prompts=[prompt])).tolist() == pytest.approx([NAN], nan_ok=True)


def test_word_limits_of_the_config() -> None:
    """Limits in the config replace the prompt's, and must leave room for an output."""
    assert WordCountObeyed(at_least=2, at_most=3).label(text_batch(["a", "a b", "a b c d"])).tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="limits are 3 to 2"):
        WordCountObeyed(at_least=3, at_most=2)
