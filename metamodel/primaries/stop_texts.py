"""Find stop texts in outputs while they are drawn, also where one spans several tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

# From prompts and outputs, token ids each, to the text that each output adds.
DecodeTexts: TypeAlias = Callable[[Sequence[Sequence[int]], Sequence[Sequence[int]]], list[str]]

_UNFINISHED_CHARACTER = "\N{REPLACEMENT CHARACTER}"


def before_stop(text: str, stops: Sequence[str]) -> str:
    r"""Return the text up to the first stop text in it.

    >>> before_stop("4\n\nQ: 3 +", ["\n", "Q:"])
    '4'
    """
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(found)] if found else text


@dataclass(frozen=True, kw_only=True)
class StopTexts:
    """Texts that end an output.

    Attributes:
        texts: The stop texts, none of them empty.
        decode: The tokenizer's way from tokens to text.
    """

    texts: tuple[str, ...]
    decode: DecodeTexts

    def candidates(self, n_vocabulary: int, *, context: Sequence[int]) -> Tensor:
        """Return which tokens may be the last of a stop text, a truth value each, [v].

        A stop text is complete with the token that brings its last character: no other needs a look at the text.

        Args:
            n_vocabulary: Size of the vocabulary.
            context: Tokens of some plain text: a token may look different behind others than alone.
        """
        import torch

        last = {stop[-1] for stop in self.texts}
        if any(not character.isascii() for character in last):
            # A character of several bytes may come in several tokens, none of which shows it.
            last.add(_UNFINISHED_CHARACTER)
        singles = [[token] for token in range(n_vocabulary)]
        pieces = [self.decode([list(prompt)] * n_vocabulary, singles) for prompt in ([], context)]
        return torch.tensor([bool(last & {*alone, *behind}) for alone, behind in zip(*pieces, strict=True)])

    def n_tokens_needed(self, prompts: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]) -> list[int | None]:
        """Return of how many of its tokens each output needs to hold a stop text; None for one that holds none."""
        needed: list[int | None] = [None] * len(outputs)
        for index in self._found_in(prompts, outputs):
            prompt, output = prompts[index], outputs[index]
            needed[index] = len(output)
            # The last token has most likely completed it; if not, the first prefix that holds one is looked for.
            if self._found_in([prompt], [output[:-1]]):
                prefixes = [output[:end] for end in range(1, len(output))]
                needed[index] = self._found_in([prompt] * len(prefixes), prefixes)[0] + 1
        return needed

    def _found_in(self, prompts: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]) -> list[int]:
        texts = self.decode(prompts, outputs)
        return [index for index, text in enumerate(texts) if any(stop in text for stop in self.texts)]
