"""Sources of changed prompts: what they change, what they keep, and that versions stay with their originals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamodel.config.components import build_component
from metamodel.errors import ConfigError, DataError
from metamodel.prompts.base import Draws, take_unique
from metamodel.prompts.perturb_context import CounterfactualContext, Shots, filled
from metamodel.prompts.perturb_format import FormatChanges, read_fields
from metamodel.prompts.perturb_noise import CharacterNoise, Noise, misspelled
from metamodel.prompts.perturb_wording import OptionOrder, Paraphrases
from metamodel.protocols import PromptSource
from metamodel.types import Prompt

NOISES: tuple[Noise, ...] = ("swap", "scramble", "scramble_all", "keyboard", "natural")
EVERY_SOURCE: tuple[PromptSource, ...] = (
    *(CharacterNoise(source="capitals", noise=noise, n_versions=2) for noise in NOISES),
    FormatChanges(source="capitals"),
    Paraphrases(source="capitals", rules={"The capital of {place} is": ("{place} has its capital in",)}),
    CounterfactualContext(source="capitals", n_versions=2),
    Shots(source="addition"),
    CharacterNoise(source={"kind": "format_changes", "source": {"kind": "capitals"}}),
)
every_source = pytest.mark.parametrize("source", EVERY_SOURCE, ids=repr)
OPTIONS = "Question: Where?\nA. Paris\nB. Lima\nC. Rome\nAnswer:"
few_examples = settings(deadline=None, max_examples=60, derandomize=True, database=None)


def letters_of(text: str) -> list[str]:
    """Return the sorted letters of each word."""
    return ["".join(sorted(word)) for word in re.findall(r"[^\W\d_]+", text)]


@every_source
def test_versions_follow_their_original(source: PromptSource) -> None:
    """n_prompts counts originals; each version stands behind its original, names it, and has an id of its own."""
    taken = take_unique(source, 20, seed=0)
    originals = [prompt for prompt in taken if prompt.origin_id is None]
    assert len(originals) == 20
    assert len(taken) > 20
    assert len({prompt.id for prompt in taken}) == len(taken)
    current = ""
    for prompt in taken:
        if prompt.origin_id is None:
            current = prompt.id
        else:
            assert prompt.origin_id == current
            assert prompt.variant


@every_source
def test_the_seed_fixes_everything(source: PromptSource) -> None:
    """The same seed gives the same versions, and a larger n only adds, or a rerun would draw other outputs."""
    few, many = take_unique(source, 5, seed=3), take_unique(source, 12, seed=3)
    assert many[: len(few)] == few


@every_source
def test_originals_are_those_of_the_wrapped_source(source: PromptSource) -> None:
    """Wrapping a source leaves its own prompts as they are, so that runs with and without versions compare."""
    assert isinstance(source, CharacterNoise | FormatChanges | Paraphrases | CounterfactualContext | Shots)
    plain = [prompt for prompt in take_unique(source.wrapped, 8, seed=1) if prompt.origin_id is None]
    assert [prompt for prompt in take_unique(source, 8, seed=1) if prompt.origin_id is None] == plain


@pytest.mark.parametrize("noise", ["swap", "scramble", "scramble_all"])
@few_examples
@given(text=st.text(max_size=60), seed=st.text(max_size=5))
def test_shuffling_noise_keeps_letters_and_numbers(noise: Noise, text: str, seed: str) -> None:
    """Swapped and scrambled words have the same letters; whatever is no letter stays where it was, in any script."""
    changed = misspelled(text, noise, rate=0.7, draws=Draws(seed))
    assert letters_of(changed) == letters_of(text)
    assert re.sub(r"[^\W\d_]", "x", changed) == re.sub(r"[^\W\d_]", "x", text)


@pytest.mark.parametrize("noise", ["swap", "scramble"])
@few_examples
@given(word=st.text("abcdefgh", min_size=4, max_size=12), seed=st.text(max_size=5))
def test_first_and_last_letters_stay(noise: Noise, word: str, seed: str) -> None:
    """Swap and scramble leave a word's ends alone, as Belinkov and Bisk define them."""
    changed = misspelled(word, noise, rate=1.0, draws=Draws(seed))
    assert (changed[0], changed[-1]) == (word[0], word[-1])
    if noise == "swap":
        differing = [place for place in range(len(word)) if word[place] != changed[place]]
        assert differing in ([], [differing[0], differing[0] + 1] if differing else [])


def test_keyboard_noise_types_a_neighbor() -> None:
    """A keyboard typo replaces one letter by one that touches it, and keeps its case."""
    beside_g = {misspelled("G", "keyboard", rate=1.0, draws=Draws(str(seed))) for seed in range(60)}
    assert beside_g == set("FHTYVB")


def test_natural_noise_uses_known_misspellings() -> None:
    """Only words of the list change, in their own case; a text without any is left alone."""
    assert misspelled("Their dog", "natural", rate=1.0, draws=Draws("a")) in {"Thier dog", "Ther dog"}
    assert misspelled("zyx 12", "natural", rate=1.0, draws=Draws("a")) == "zyx 12"


def test_rate_zero_still_changes_one_word() -> None:
    """A version that equals its original would turn chance into a flip."""
    text = "The largest capital of Europe"
    changed = misspelled(text, "swap", rate=0.0, draws=Draws("a"))
    assert sum(old != new for old, new in zip(text.split(), changed.split(), strict=True)) == 1


def test_formats_keep_every_text() -> None:
    """Only separators, casing and labels of options change; the words of question and options stay."""
    prompt = Prompt.create(OPTIONS, domain="d", references=["B"], choices=["A", "B", "C"])
    versions = list(FormatChanges(source="capitals", n_versions=8).versions(prompt, 0))
    assert len({version.text for version in versions}) == 8
    for version in versions:
        assert all(text in version.text for text in ("Where?", "Paris", "Lima", "Rome"))
        labels = version.attributes["labels"]
        assert isinstance(labels, dict)
        assert labels[version.references[0]] == "B"
        assert [labels[choice] for choice in version.choices] == ["A", "B", "C"]


def test_fields_are_read_with_their_options() -> None:
    """The grammar sees descriptors and options; a prompt without descriptors has no fields."""
    question, answer = read_fields(OPTIONS)
    assert [option.text for option in question.options] == ["Paris", "Lima", "Rome"]
    assert (question.text, answer.descriptor, answer.text) == ("Where?", "Answer", "")
    assert read_fields("17 + 25 =") == []


def test_reordered_options_move_their_answer() -> None:
    """The right answer's letter follows its text, and the labels map each new letter to its old one."""
    prompt = Prompt.create(OPTIONS, domain="d", references=["B"], choices=["A", "B", "C"])
    versions = list(OptionOrder(source="capitals", n_versions=5).versions(prompt, 0))
    assert len(versions) == 5  # 3! - 1: all orders but its own
    for version in versions:
        assert f"{version.references[0]}. Lima" in version.text
        labels = version.attributes["labels"]
        assert isinstance(labels, dict)
        assert labels[version.references[0]] == "B"
    free = Prompt.create("Where?", domain="d", choices=["Paris", "Lima"])
    (swapped,) = OptionOrder(source="capitals").versions(free, 0)
    assert swapped.choices == ("Lima", "Paris")
    assert list(OptionOrder(source="capitals").versions(Prompt.create("Where?", domain="d"), 0)) == []


def test_shots_are_solved_and_nested() -> None:
    """Examples are solved prompts of the same domain, never the question itself; more shots extend fewer."""
    for prompt in take_unique(Shots(source="addition", n_shots=(1, 3)), 5, seed=0):
        lines = prompt.text.split("\n")
        assert len(lines) == 1 + {"": 0, "shots 1": 1, "shots 3": 3}[prompt.variant]
        assert lines[-1] not in lines[:-1]
        for line in lines[:-1]:
            total, answer = line.split(" = ")
            left, right = total.split(" + ")
            assert int(left) + int(right) == int(answer)


def test_the_counterfactual_answer_is_another_one() -> None:
    """The statement contradicts memory, and both answers stand in the attributes."""
    for prompt in take_unique(CounterfactualContext(source="capitals"), 20, seed=0):
        if prompt.origin_id:
            context, memory = prompt.attributes["context_answer"], prompt.attributes["memory_answer"]
            assert context != memory
            assert prompt.references == (context,)
            assert f"{context}" in prompt.text


@few_examples
@given(prompt=st.text("{}promtanswe ", max_size=20), answer=st.text("{}promtanswe ", max_size=20))
def test_braces_in_texts_mean_nothing(prompt: str, answer: str) -> None:
    """Prompts are untrusted: one that holds a blank of the template is not filled in."""
    assert filled("<{answer}|{prompt}>", prompt, answer) == f"<{answer}|{prompt}>"


@dataclass(frozen=True, kw_only=True)
class GivenParaphrases:
    """A source whose prompts bring their paraphrases."""

    is_finite: ClassVar[bool] = True
    value: object = ("How much is 2 + 2?",)

    def prompts(self, seed: int) -> Iterator[Prompt]:
        """Yield one prompt."""
        del seed
        held = list(self.value) if isinstance(self.value, tuple) else self.value
        yield Prompt.create("2 + 2 =", domain="d", attributes={"paraphrases": held})  # type: ignore[dict-item] # or not


def test_paraphrases_come_from_rules_and_attributes() -> None:
    """A rule fills its blanks; a prompt's own paraphrases are taken; anything else in that attribute is refused."""
    source = Paraphrases(source="capitals", rules={"{a} + {b} =": ("{b} + {a} =", "{a} plus {b} is")})
    (given,) = GivenParaphrases().prompts(0)
    assert [version.text for version in source.versions(given, 0)] == ["2 plus 2 is", "How much is 2 + 2?"]
    (wrong,) = GivenParaphrases(value=3).prompts(0)
    with pytest.raises(DataError, match="attribute 'paraphrases' of a prompt is 3"):
        list(source.versions(wrong, 0))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "character_noise"}, "source: is missing"),
        ({"kind": "character_noise", "source": "capitols"}, "did you mean capitals"),
        ({"kind": "character_noise", "source": {"kind": "capitals", "rate": 1}}, "source.rate: unknown key"),
        ({"kind": "character_noise", "source": "capitals", "rate": 2.0}, "rate is 2.0, must be from 0 to 1"),
        ({"kind": "shots", "source": "addition", "n_shots": [0]}, "n_shots is"),
        ({"kind": "shots", "source": "addition", "example": "{prompt}"}, "lacks {answer}"),
        ({"kind": "format_changes", "source": "capitals", "n_versions": 0}, "n_versions is 0"),
        ({"kind": "paraphrases", "source": "capitals", "rules": {"{a}": ["{b}"]}}, "blanks"),
    ],
)
def test_mistakes_are_named(spec: dict[str, object], message: str) -> None:
    """A wrong field of the source or of what it wraps is refused in words, with its key."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_component("prompts", spec, at="prompts.sources.0")
