"""The bundled tiny language models as primary models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from metamodel.types import Failure, FloatArray, Outcome, Prompt, Sampling, TextReading, generation_key
from metamodel.zoo.catalog import check_name, zoo_folder

if TYPE_CHECKING:
    from metamodel.primaries.capabilities import DrawRequest
    from metamodel.primaries.transformers_model import TransformersModel


@dataclass(frozen=True, kw_only=True)
class ZooModel:
    """One of the models that come with metamodel: gpt2, gpt_neox, mamba2 or lstm, or a checkpoint of the ladder.

    Attributes:
        model: Its name, as `metamodel zoo ls` shows it; gpt_neox-small-2M is the ladder's small size after 2 million
            tokens.
        device: Torch device, or "auto": CUDA where there is one, else the CPU.
        batch_tokens: Rows times positions in one batch; lower it when memory runs out. Changes no output.
    """

    model: str
    device: str = "auto"
    batch_tokens: int = 32768

    def __post_init__(self) -> None:
        """Refuse an unknown name and a batch of nothing."""
        check_name(self.model)
        if self.batch_tokens < 1:
            raise ValueError(f"batch_tokens is {self.batch_tokens}, must be at least 1")

    @property
    def identity(self) -> str:
        """Name and hash of the weights."""
        # The folder of a checkpoint is called by its tokens alone.
        return f"zoo/{self.model}@{self._delegate.identity.rpartition('@')[2]}"

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield batches of generations, every sample of every prompt."""
        return self._renamed(self._delegate.generate(prompts, sampling), sampling)

    def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield an outcome for every requested sample."""
        return self._renamed(self._delegate.draw(requests, sampling), sampling)

    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> FloatArray:
        """Return the natural log-probability of each continuation after its prompt, [n]; NaN beyond the context."""
        return self._delegate.score(prompts, continuations)

    def token_logprobs(self, prompts: Sequence[str], outputs: Sequence[Sequence[int]]) -> list[FloatArray]:
        """Return the natural log-probability of each token of each output after its prompt, [t] each."""
        return self._delegate.token_logprobs(prompts, outputs)

    def read_texts(self, texts: Sequence[str], *, max_tokens: int) -> Iterator[TextReading]:
        """Yield what one forward pass over each text shows; the LSTM shows no states."""
        return self._delegate.read_texts(texts, max_tokens=max_tokens)

    @property
    def weight_bits(self) -> float:
        """Size of the loaded weights in bits."""
        return self._delegate.weight_bits

    @property
    def _delegate(self) -> TransformersModel:
        from metamodel.primaries.transformers_model import TransformersModel

        return TransformersModel(model=str(zoo_folder(self.model)), device=self.device, batch_tokens=self.batch_tokens)

    def _renamed(self, batches: Iterator[list[Outcome]], sampling: Sampling) -> Iterator[list[Outcome]]:
        # The folder's place on this machine must not reach the artifacts.
        identity, name = self.identity, f"zoo/{self.model}"
        for batch in batches:
            yield [
                row
                if isinstance(row, Failure)
                else replace(
                    row,
                    primary=name,
                    key=generation_key(
                        primary_identity=identity, prompt_id=row.prompt_id, sampling=sampling, sample=row.sample
                    ),
                )
                for row in batch
            ]
