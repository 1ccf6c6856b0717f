"""An output ends before the first stop text, whichever tokens it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from metamodel.primaries.stop_texts import StopTexts
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.types import Generation, Prompt, Sampling

STORIES = Path(__file__).parents[3] / "shared" / "models" / "stories260K-llama"
PROMPTS = [Prompt.create(text, domain=str(i)) for i, text in enumerate(["Once upon", "a", "é😀", "2 + 2"])]
SAMPLED = Sampling(n_samples=8, temperature=3.0, max_new_tokens=40, seed=2)


def drawn(model: TransformersModel, sampling: Sampling) -> dict[tuple[str, int], Generation]:
    """Return all generations by prompt and sample."""
    rows = [row for batch in model.generate(PROMPTS, sampling) for row in batch if isinstance(row, Generation)]
    return {(row.prompt_id, row.sample): row for row in rows}


def check_against_cutting(model: TransformersModel, stop: tuple[str, ...], sampling: Sampling) -> int:
    """Compare with the same outputs drawn to their end and cut afterwards; return how many a stop text ended."""
    free, stopped = drawn(model, sampling), drawn(model, replace(sampling, stop=stop))
    assert free.keys() == stopped.keys()
    loaded = model._load()
    prompts = {prompt.id: loaded.encode([prompt.text], add_special_tokens=True)[0] for prompt in PROMPTS}
    for place, row in free.items():
        found, prompt = stopped[place], prompts[place[0]]
        places = [row.text.index(text) for text in stop if text in row.text]
        if not places:
            assert replace(found, key="", logprobs=()) == replace(row, key="", logprobs=())
            continue
        assert found.text == row.text[: min(places)]
        assert found.finish_reason == "stop_string"
        n_drawn = len(found.token_ids)
        assert found.n_tokens == len(found.logprobs) == n_drawn
        assert found.token_ids == row.token_ids[:n_drawn]
        until, before = loaded.decode([prompt] * 2, [found.token_ids, found.token_ids[:-1]])
        assert any(text in until for text in stop)
        assert not any(text in before for text in stop)
    return sum(row.finish_reason == "stop_string" for row in stopped.values())


@pytest.mark.parametrize("name", ["gpt2", "lstm"])
def test_bytes_that_make_up_a_stop_text_end_the_row(tiny_model: Callable[[str], str], name: str) -> None:
    """With a token a byte every stop text spans several; the row leaves with the byte that completes it."""
    model = TransformersModel(model=tiny_model(name))
    text = max((row.text for row in drawn(model, SAMPLED).values()), key=len)
    letters = [piece for piece in (text[i : i + 2] for i in range(4, len(text) - 2)) if piece.isascii()]
    assert check_against_cutting(model, (letters[0], letters[-1]), SAMPLED) > 0


@pytest.mark.skipif(not STORIES.is_dir(), reason=f"{STORIES} is not on this machine")
@pytest.mark.parametrize("stop", [(" was",), ("ed to", ". S"), (" ",), ("\n", "y.")])
def test_pieces_of_words_that_make_up_a_stop_text_end_the_row(stop: tuple[str, ...]) -> None:
    """A trained model with a word-piece tokenizer, whose pieces look different at the beginning of a text."""
    model = TransformersModel(model=str(STORIES))
    assert check_against_cutting(model, stop, replace(SAMPLED, temperature=1.0)) > 0


def test_characters_of_several_tokens_are_watched() -> None:
    """A stop text that ends in a character of several bytes may be completed by a token that shows none of it."""
    pieces = [b"a", "\N{EURO SIGN}".encode()[:2], "\N{EURO SIGN}".encode()[2:], b"!"]

    def decode(_: object, outputs: list[list[int]]) -> list[str]:
        return [b"".join(pieces[token] for token in output).decode(errors="replace") for output in outputs]

    stops = StopTexts(texts=("\N{EURO SIGN}",), decode=decode)  # type: ignore[arg-type] # simpler than the tokenizer's
    assert stops.candidates(4, context=[]).tolist() == [False, True, True, False]
    assert stops.n_tokens_needed([[]] * 3, [[0, 1, 2], [0, 1], [0, 1, 2, 3]]) == [3, None, 3]
