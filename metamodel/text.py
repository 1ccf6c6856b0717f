"""Pure text helpers that several families of behaviors may share.

Ground floor: nothing here but the standard library and the types.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from metamodel.types import FinishReason, GenerationBatch, JSONValue, PartnerOutput

_APOSTROPHES_AND_POINTS: Final = frozenset("'’‘.")  # noqa: RUF001 - curly quotes are apostrophes in model outputs
_ARTICLES: Final = frozenset({"a", "an", "the"})
_CODE_MARK: Final = "`"

# Both patterns begin with a set of characters and look behind afterwards: the search then skips to the few candidates.
_GROUPED_NUMBER: Final = re.compile(r"\d(?<!\d\d)(?<!\d,\d)\d{0,2}(?:,\d{3})+(?!,?\d)")
# Punctuation that is part of a number: what joins two digits (3.14, 3/4, 3:45; no comma), a sign, a leading point.
_NUMBER_MARK: Final = re.compile(r"[^\w\s,](?:(?<=\d.)(?=\d)|(?<=-)(?<!\w-)\s*(?=\.?\d)|(?<=\.)(?<![\w.]\.)(?=\d))")


def normalize(
    text: str, *, ignore_case: bool = True, ignore_punctuation: bool = True, ignore_articles: bool = False
) -> str:
    r"""Bring equal answers to one form, after SQuAD's evaluation script (Rajpurkar et al., 2016).

    Unicode NFKC without invisible format characters; case folded; punctuation removed; the words a, an and the removed;
    whitespace squeezed to single spaces.

    Deviations from SQuAD: apostrophes and points vanish, other punctuation becomes a space, so that words stay apart;
    punctuation that is part of a number stays, commas between thousands excepted; symbols (+, <, =, $) are no
    punctuation; a step that would leave nothing is skipped, so that the answers "A" and "?" stay what they are.

    Args:
        text: Any text.
        ignore_case: Whether to fold case.
        ignore_punctuation: Whether to remove punctuation.
        ignore_articles: Whether to remove articles.

    >>> normalize(" The Answer:\n-12.50. "), normalize("The cat", ignore_articles=True), normalize("1,000")
    ('the answer -12.50', 'cat', '1000')
    """
    text = unicodedata.normalize("NFKC", text)
    if not text.isascii():
        text = _without_invisible(text)
    if ignore_case:
        text = unicodedata.normalize("NFKC", text.casefold())
    words = text.split()
    if ignore_punctuation:
        words = _without_punctuation(" ".join(words)).split() or words
    if ignore_articles:
        words = [word for word in words if word.lower() not in _ARTICLES] or words
    return " ".join(words)


def text_batch(  # noqa: PLR0913 - one argument a column
    texts: Sequence[str],
    *,
    prompts: Sequence[str] | None = None,
    prompt_ids: Sequence[str] | None = None,
    references: Sequence[Sequence[str]] | None = None,
    choices: Sequence[Sequence[str]] | None = None,
    n_tokens: Sequence[int | None] | None = None,
    finish_reasons: Sequence[FinishReason | None] | None = None,
    logprobs: Sequence[Sequence[float] | None] | None = None,
    attributes: Sequence[Mapping[str, JSONValue]] | None = None,
    metadata: Sequence[Mapping[str, JSONValue]] | None = None,
    partners: Sequence[Sequence[PartnerOutput]] | None = None,
) -> GenerationBatch:
    """Return texts from anywhere as a batch that featurizers read; what is not given is empty or unknown.

    Args:
        texts: Outputs, n of them.
        prompts: The prompt of each output.
        prompt_ids: Rows with the same id are sibling samples, numbered in their order; without it no row has siblings.
        references: Gold answers of each output's prompt.
        choices: Continuations that each output's prompt offers.
        n_tokens: Tokens of each output, the end token not counted.
        finish_reasons: What ended each output.
        logprobs: Natural log-probability of each token.
        attributes: What is known of each output's prompt.
        metadata: What the source says of each output.
        partners: The outputs to compare each row with.

    Raises:
        ValueError: The columns differ in length.

    >>> len(text_batch(["yes", "no"]))
    2
    """
    n = len(texts)
    ids = [str(row) for row in range(n)] if prompt_ids is None else list(prompt_ids)
    n_seen: Counter[str] = Counter()
    samples = []
    for prompt_id in ids:
        samples.append(n_seen[prompt_id])
        n_seen[prompt_id] += 1
    nothing: Mapping[str, JSONValue] = {}
    return GenerationBatch(
        texts=texts,
        prompts=[""] * n if prompts is None else prompts,
        references=[()] * n if references is None else references,
        choices=[()] * n if choices is None else choices,
        domains=[""] * n,
        prompt_ids=ids,
        primaries=[""] * n,
        samples=samples,
        n_tokens=[None] * n if n_tokens is None else n_tokens,
        finish_reasons=[None] * n if finish_reasons is None else finish_reasons,
        logprobs=[None] * n if logprobs is None else logprobs,
        attributes=[nothing] * n if attributes is None else attributes,
        metadata=[nothing] * n if metadata is None else metadata,
        partners=[()] * n if partners is None else partners,
    )


def _without_invisible(text: str) -> str:
    """Drop format characters (zero-width, direction marks); write every dash and minus as "-"."""
    changed: dict[int, str | None] = {}
    for char in set(text):
        category = unicodedata.category(char)
        if category == "Cf":
            changed[ord(char)] = None
        elif category == "Pd" or char == "\N{MINUS SIGN}":
            changed[ord(char)] = "-"
    return text.translate(changed)


def _without_punctuation(text: str) -> str:
    text = _GROUPED_NUMBER.sub(lambda number: number[0].replace(",", ""), text)
    blanks = {ord(char): _blank(char) for char in set(text) if _is_punctuation(char)}
    pieces = []
    end = 0
    for mark in _NUMBER_MARK.finditer(text):
        pieces += [text[end : mark.start()].translate(blanks), mark[0].rstrip()]
        end = mark.end()
    return "".join([*pieces, text[end:].translate(blanks)])


@functools.cache
def _is_punctuation(char: str) -> bool:
    return char == _CODE_MARK or unicodedata.category(char).startswith("P")


def _blank(char: str) -> str | None:
    return None if char in _APOSTROPHES_AND_POINTS else " "
