"""Children's stories from a small grammar: to be continued, or to be summed up."""

from __future__ import annotations

from dataclasses import dataclass

from metamodel.prompts import story_grammar as grammar
from metamodel.prompts.base import Draws, Example, GeneratedDomain, range_problem, refuse
from metamodel.types import Prompt

LEAST_CONTINUATION_BYTES = 10
MOST_CONTINUATION_BYTES = 120


@dataclass(frozen=True, kw_only=True)
class Story:
    """A story.

    Attributes:
        sentences: In order, without spaces at their ends.
        gist: The whole in one sentence.
    """

    sentences: tuple[str, ...]
    gist: str


@dataclass(frozen=True, kw_only=True)
class StoryContinuation(GeneratedDomain):
    """A story cut at a word after its first sentence. Many continuations are right, so there are no references.

    Attributes:
        max_sentences: Most whole sentences before the cut.
        domain: Name of the domain.
    """

    max_sentences: int = 4
    domain: str = "story"

    def __post_init__(self) -> None:
        """Refuse a number of sentences that leaves nothing to read or to continue."""
        refuse(range_problem("sentences", 1, self.max_sentences, least=1, most=4))

    def draw(self, draws: Draws) -> Example:
        """Return the story's start and the rest of its sentence with up to two more, with where it was cut."""
        sentences = draw_story(draws).sentences
        n_whole = draws.between(1, min(self.max_sentences, len(sentences) - 2))
        words = sentences[n_whole].split(" ")
        n_kept = draws.between(0, len(words) - 1)
        text = " ".join([*sentences[:n_whole], *words[:n_kept]])
        continuation = " " + " ".join(words[n_kept:])
        n_more = draws.between(0, 2)
        for index, sentence in enumerate(sentences[n_whole + 1 :]):
            is_enough = index >= n_more and len(continuation) >= LEAST_CONTINUATION_BYTES
            if is_enough or len(continuation) + 1 + len(sentence) > MOST_CONTINUATION_BYTES:
                break
            continuation += " " + sentence
        attributes = {"n_sentences": n_whole, "n_words_of_sentence": n_kept}
        return Prompt.create(text, domain=self.domain, attributes=attributes), continuation


@dataclass(frozen=True, kw_only=True)
class Summary(GeneratedDomain):
    """A story followed by "TL;DR:". Many summaries are right, so there are no references.

    Attributes:
        min_sentences: Fewest sentences.
        max_sentences: Most sentences.
        domain: Name of the domain.
    """

    min_sentences: int = 3
    max_sentences: int = 5
    domain: str = "summary"

    def __post_init__(self) -> None:
        """Refuse an empty range of sentences."""
        refuse(range_problem("sentences", self.min_sentences, self.max_sentences, least=3, most=5))

    def draw(self, draws: Draws) -> Example:
        """Return a story with the cue and its gist, with its number of sentences."""
        n_sentences = draws.between(self.min_sentences, self.max_sentences)
        story = draw_story(draws)
        # The end stays: a story without it has nothing to sum up.
        sentences = (*story.sentences[: n_sentences - 1], story.sentences[-1])
        text = f"{' '.join(sentences)} TL;DR:"
        return Prompt.create(text, domain=self.domain, attributes={"n_sentences": len(sentences)}), f" {story.gist}"


def draw_story(draws: Draws) -> Story:
    """Return a story of 5 to 8 sentences: an opening, a wish, one to four events, a turn, an end."""
    name, he, his = draws.pick(grammar.HEROES)
    friend, *_ = draws.pick(grammar.HEROES)
    words = {
        "name": name,
        "he": he,
        "He": he.capitalize(),
        "his": his,
        "friend": friend if friend != name else "Grandma",
        "animal": draws.pick(grammar.ANIMALS),
        "other": draws.pick(grammar.OTHER_ANIMALS),
        "place": draws.pick(grammar.PLACES),
        "thing": draws.pick(grammar.THINGS),
        "adjective": draws.pick(grammar.ADJECTIVES),
        "feeling": draws.pick(grammar.FEELINGS),
        "refrain": _draw_refrain(draws),
    }
    events = [draws.pick(stage) for stage in grammar.EVENTS if draws.chance(0.6)] or [draws.pick(grammar.EVENTS[0])]
    templates = [draws.pick(grammar.OPENINGS), draws.pick(grammar.WISHES), *events]
    templates += [draws.pick(grammar.TURNS), draws.pick(grammar.ENDINGS)]
    sentences = tuple([template.format_map(words) for template in templates])
    return Story(sentences=sentences, gist=draws.pick(grammar.GISTS).format_map(words))


def _draw_refrain(draws: Draws) -> str:
    verb = draws.pick(grammar.REFRAIN_VERBS)
    return " and ".join([verb] * draws.between(2, 6))
