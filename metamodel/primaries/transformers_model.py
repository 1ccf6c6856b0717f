"""Any causal language model that transformers can load, sampled on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from metamodel.primaries.capabilities import DrawRequest, requests_for_all
from metamodel.primaries.randomness import generation_seed
from metamodel.types import Failure, FloatArray, Generation, Outcome, Prompt, Sampling, generation_key

if TYPE_CHECKING:
    from metamodel.primaries.decoding import DecodedRow, Row
    from metamodel.primaries.loading import LanguageModel, Source
    from metamodel.primaries.scoring import ScoredRow


@dataclass(frozen=True, kw_only=True)
class TransformersModel:
    """A model folder or a hub name.

    Loaded when it is first asked for something, and once a process.

    Attributes:
        model: Folder written by `save_pretrained`, or a name on the hub.
        revision: Branch, tag or commit on the hub.
        dtype: Precision of the weights.
        device: Torch device, or "auto": CUDA where there is one, else the CPU.
        trust_remote_code: Whether to run Python files that come with the model.
        add_special_tokens: Whether the tokenizer adds its special tokens (a start token, most often) to prompts.
        batch_tokens: Rows times positions in one batch; lower it when memory runs out. Changes no output.
    """

    model: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    trust_remote_code: bool = False
    add_special_tokens: bool = True
    batch_tokens: int = 32768

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.batch_tokens < 1:
            raise ValueError(f"batch_tokens is {self.batch_tokens}, must be at least 1")
        if self.dtype not in ("float32", "bfloat16", "float16"):
            raise ValueError(f"dtype is {self.dtype!r}, must be float32, bfloat16 or float16")

    @property
    def identity(self) -> str:
        """Name and hash of the weights (a folder) or commit (the hub), and what else changes the outputs.

        Raises:
            MetamodelError: If the model cannot be found.
        """
        from metamodel.primaries.loading import weights_identity

        precision = "" if self.dtype == "float32" else f"+{self.dtype}"
        special = "" if self.add_special_tokens else "+no_special_tokens"
        return f"{weights_identity(self._source)}{precision}{special}"

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield batches of generations, every sample of every prompt; a Failure for one that does not fit the context.

        Raises:
            MetamodelError: If the model cannot be loaded or gives logits that are no numbers.
        """
        return self.draw(requests_for_all(prompts, sampling), sampling)

    def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield an outcome for every requested sample, short prompts first."""
        from metamodel.primaries.decoding import Row, decode, plan_batches
        from metamodel.primaries.loading import quiet_transformers

        loaded = self._load()
        requests = list(requests)
        rows: list[Row] = []
        sources: list[tuple[str, int]] = []
        failures: list[Outcome] = []
        encoded = self._encode(loaded, [request.prompt.text for request in requests])
        for request, tokens in zip(requests, encoded, strict=True):
            reason = _refusal(loaded, tokens, sampling)
            for sample in request.samples:
                if reason is not None:
                    failures.append(Failure(prompt_id=request.prompt.id, sample=sample, reason=reason, is_final=True))
                    continue
                seed = generation_seed(run_seed=sampling.seed, prompt_id=request.prompt.id, sample=sample)
                rows.append(Row(prompt=tokens, seed=seed))
                sources.append((request.prompt.id, sample))
        if failures:
            yield failures
        batches = plan_batches(
            rows,
            new_tokens=sampling.max_new_tokens,
            batch_tokens=self.batch_tokens,
            pads=loaded.abilities.pads,
        )
        for batch in batches:
            taken = [rows[index] for index in batch]
            with quiet_transformers():
                decoded = decode(loaded.model, taken, sampling, end_ids=loaded.end_ids, abilities=loaded.abilities)
            yield self._generations(loaded, taken, decoded, [sources[index] for index in batch], sampling)

    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> FloatArray:
        """Return the natural log-probability of each continuation after its prompt, without an end token, [n].

        NaN where there is nothing to begin from, or prompt and continuation do not fit the model's context.
        """
        import numpy as np

        from metamodel.primaries.scoring import continuation_rows

        loaded = self._load()
        rows = continuation_rows(
            prompts, continuations, encode=loaded.encode, add_special_tokens=self.add_special_tokens
        )
        scored = self._score_rows(loaded, rows)
        return np.array([np.nan if item is None else item.sum() for item in scored], dtype=np.float64)

    def token_logprobs(self, prompts: Sequence[str], outputs: Sequence[Sequence[int]]) -> list[FloatArray]:
        """Return the natural log-probability of each token of each output after its prompt, [t] each; NaN as `score`.

        Args:
            prompts: Inputs.
            outputs: Token ids, one sequence a prompt.
        """
        import numpy as np

        from metamodel.primaries.scoring import ScoredRow

        loaded = self._load()
        starts = self._encode(loaded, prompts)
        rows = [
            ScoredRow(tokens=start + tuple(output), n_prompt=len(start))
            for start, output in zip(starts, outputs, strict=True)
        ]
        return [
            np.full(len(output), np.nan) if item is None else item
            for output, item in zip(outputs, self._score_rows(loaded, rows), strict=True)
        ]

    def _score_rows(self, loaded: LanguageModel, rows: Sequence[ScoredRow]) -> list[FloatArray | None]:
        from metamodel.primaries.loading import quiet_transformers
        from metamodel.primaries.scoring import score_rows

        limit = loaded.context_tokens
        fitting = [
            index for index, row in enumerate(rows) if row.n_prompt and len(row.tokens) <= (limit or len(row.tokens))
        ]
        scored: list[FloatArray | None] = [None] * len(rows)
        with quiet_transformers():
            found = score_rows(
                loaded.model,
                [rows[index] for index in fitting],
                batch_tokens=self.batch_tokens,
                n_vocabulary=loaded.model.config.get_text_config(decoder=True).vocab_size,
            )
        for index, item in zip(fitting, found, strict=True):
            scored[index] = item
        return scored

    @property
    def _source(self) -> Source:
        from metamodel.primaries.loading import Source, folder_stamp

        return Source(
            model=self.model,
            revision=self.revision,
            dtype=self.dtype,
            device=self.device,
            trust_remote_code=self.trust_remote_code,
            stamp=folder_stamp(self.model),
        )

    def _load(self) -> LanguageModel:
        from metamodel.primaries.loading import load_language_model

        return load_language_model(self._source)

    def _encode(self, loaded: LanguageModel, texts: Sequence[str]) -> list[tuple[int, ...]]:
        return loaded.encode(texts, add_special_tokens=self.add_special_tokens)

    def _generations(
        self,
        loaded: LanguageModel,
        rows: Sequence[Row],
        decoded: Sequence[DecodedRow],
        sources: Sequence[tuple[str, int]],
        sampling: Sampling,
    ) -> list[Outcome]:
        outputs = [item.token_ids[:-1] if item.finish_reason == "stop" else item.token_ids for item in decoded]
        texts = loaded.decode([row.prompt for row in rows], outputs)
        identity = self.identity
        return [
            Generation(
                key=generation_key(primary_identity=identity, prompt_id=prompt_id, sampling=sampling, sample=sample),
                prompt_id=prompt_id,
                primary=self.model,
                sample=sample,
                seed=row.seed,
                text=text,
                token_ids=item.token_ids,
                logprobs=item.logprobs,
                finish_reason=item.finish_reason,
                n_tokens=len(output),
            )
            for row, item, output, text, (prompt_id, sample) in zip(rows, decoded, outputs, texts, sources, strict=True)
        ]


def _refusal(loaded: LanguageModel, tokens: Sequence[int], sampling: Sampling) -> str | None:
    if not tokens:
        return "the prompt has no token and the model has no start token"
    limit = loaded.context_tokens
    if limit is not None and len(tokens) + sampling.max_new_tokens > limit:
        return (
            f"the prompt has {len(tokens)} tokens, which with {sampling.max_new_tokens} new ones exceeds the model's "
            f"context of {limit}"
        )
    return None
