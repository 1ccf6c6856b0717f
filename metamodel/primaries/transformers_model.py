"""Any causal language model that transformers can load, sampled on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from metamodel.primaries.capabilities import DrawRequest, requests_for_all
from metamodel.primaries.randomness import generation_seed
from metamodel.types import (
    Failure,
    FloatArray,
    Generation,
    JSONObject,
    Outcome,
    Prompt,
    Sampling,
    TextReading,
    content_hash,
    generation_key,
)

if TYPE_CHECKING:
    from metamodel.primaries.drawn import DecodedRow
    from metamodel.primaries.loading import LanguageModel, Source
    from metamodel.primaries.scoring import ScoredRow
    from metamodel.primaries.waiting import Job

# Prompts read ahead: enough to sort by length and to keep a batch full, few enough to hold.
_WINDOW_PROMPTS = 4096


@dataclass(frozen=True, kw_only=True)
class TransformersModel:
    """A model folder or a hub name.

    Loaded when it is first asked for something, and once a process.

    An output does not depend on what shares its batch: every sample has a random stream of its own, and the rest is
    rounding. In float32 the same row's logits differ by at most 1e-4 of the largest logit between a batch of one and
    a full one. Only where two tokens are that close, or a random
    number falls that close to the border between them, may another batch choose another token.

    Attributes:
        model: Folder written by `save_pretrained`, or a name on the hub.
        revision: Branch, tag or commit on the hub; recorded as the commit.
        dtype: Precision of the weights.
        device: Torch device, or "auto": CUDA where there is one, else the CPU.
        device_map: How accelerate spreads the weights over devices ("auto", "balanced", "sequential"); not with device.
        trust_remote_code: Whether to run Python files that come with the model.
        add_special_tokens: Whether the tokenizer adds its special tokens (a start token, most often) to prompts.
        chat: Whether a prompt is a user's message in the tokenizer's chat template, which writes the special tokens.
        system_prompt: What stands before the user's message; empty for none.
        batch_tokens: Rows times positions in one batch; halved by itself when memory runs out. Changes no output.
    """

    model: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    device_map: str | None = None
    trust_remote_code: bool = False
    add_special_tokens: bool = True
    chat: bool = False
    system_prompt: str = ""
    batch_tokens: int = 32768

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        problems = []
        if self.batch_tokens < 1:
            problems.append(f"batch_tokens is {self.batch_tokens}, must be at least 1")
        if self.dtype not in ("float32", "bfloat16", "float16"):
            problems.append(f"dtype is {self.dtype!r}, must be float32, bfloat16 or float16")
        if self.system_prompt and not self.chat:
            problems.append(
                "system_prompt is given and chat is false: set chat: true, or put the text into the prompts"
            )
        if self.device_map is not None and self.device != "auto":
            problems.append(f"device is {self.device!r} and device_map {self.device_map!r}: give one of them")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def identity(self) -> str:
        """Name and hash of the weights (a folder) or commit (the hub), and what else changes the outputs.

        Raises:
            MetamodelError: If the model cannot be found.
        """
        from metamodel.primaries.loading import weights_identity

        precision = "" if self.dtype == "float32" else f"+{self.dtype}"
        special = "" if self.add_special_tokens or self.chat else "+no_special_tokens"
        chat = "+chat" if self.chat else ""
        system = f"+system:{content_hash(self.system_prompt)}" if self.system_prompt else ""
        return f"{weights_identity(self._source)}{precision}{special}{chat}{system}"

    def provenance(self) -> JSONObject:
        """Return what the outputs come from, for the run's record: revision, precision, device, template, tokens."""
        from metamodel.primaries.provenance import model_provenance

        loaded = self._load()
        example = self._rendered(loaded, ["(prompt)"])[0] if self.chat else None
        return {
            "identity": self.identity,
            "model": self.model,
            "revision": self.revision,
            **model_provenance(loaded, example=example),
            "add_special_tokens": self.add_special_tokens and not self.chat,
            "system_prompt": self.system_prompt or None,
            "trust_remote_code": self.trust_remote_code,
        }

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield batches of generations, every sample of every prompt; a Failure for one that does not fit the context.

        Raises:
            MetamodelError: If the model cannot be loaded or gives logits that are no numbers.
        """
        return self.draw(requests_for_all(prompts, sampling), sampling)

    def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield an outcome for every requested sample, in the order in which outputs end.

        Raises:
            MetamodelError: If the model cannot be loaded, gives logits that are no numbers, or memory does not hold a
                single row.
        """
        from metamodel.primaries.decoding import Decoder
        from metamodel.primaries.stop_texts import StopTexts
        from metamodel.quiet import quiet_transformers

        loaded = self._load()
        refused: list[Outcome] = []
        stops = StopTexts(texts=sampling.stop, decode=loaded.decode) if sampling.stop else None
        plain = loaded.encode(["a"], add_special_tokens=False)[0]
        decoder = Decoder(
            loaded.model,
            sampling,
            end_ids=loaded.end_ids,
            abilities=loaded.abilities,
            batch_tokens=self.batch_tokens,
            stops=stops,
            stop_candidates=None if stops is None else stops.candidates(loaded.n_vocabulary, context=plain),
        )
        batches = decoder.decode(self._windows(loaded, iter(requests), sampling, refused))
        identity = self.identity
        while True:
            with quiet_transformers():
                rows = next(batches, None)
            if refused:
                yield refused.copy()
                refused.clear()
            if rows is None:
                return
            yield self._generations(loaded, rows, sampling, identity)

    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> FloatArray:
        """Return the natural log-probability of each continuation after its prompt, without an end token, [n].

        NaN where there is nothing to begin from, or prompt and continuation do not fit the model's context.
        """
        import numpy as np

        from metamodel.primaries.scoring import continuation_rows

        loaded = self._load()
        rows = continuation_rows(
            self._rendered(loaded, prompts),
            continuations,
            encode=loaded.encode,
            add_special_tokens=self.add_special_tokens and not self.chat,
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

    def read_texts(self, texts: Sequence[str], *, max_tokens: int) -> Iterator[TextReading]:
        """Yield what one forward pass over each text shows; no states where the model's code does not give them.

        Raises:
            MetamodelError: If the model cannot be loaded or gives numbers that are not finite.
        """
        from metamodel.primaries.reading_texts import read_tokens, room_tokens, shortened_text, shortened_tokens
        from metamodel.quiet import quiet_transformers

        loaded = self._load()
        room = room_tokens(
            max_tokens=max_tokens, context_tokens=loaded.context_tokens, n_vocabulary=loaded.n_vocabulary
        )
        for text in texts:
            tokens = self._encode(loaded, [shortened_text(text, room=room)])[0]
            with quiet_transformers():
                reading = read_tokens(loaded.model, shortened_tokens(tokens, room=room))
            yield reading

    @property
    def weight_bits(self) -> float:
        """Size of the loaded weights in bits; those that layers share count once."""
        return 8.0 * sum(weight.nbytes for weight in self._load().model.parameters())

    def _score_rows(self, loaded: LanguageModel, rows: Sequence[ScoredRow]) -> list[FloatArray | None]:
        from metamodel.primaries.scoring import score_rows
        from metamodel.quiet import quiet_transformers

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
                n_vocabulary=loaded.n_vocabulary,
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
            device_map=self.device_map,
            trust_remote_code=self.trust_remote_code,
            stamp=folder_stamp(self.model),
        )

    def _load(self) -> LanguageModel:
        from metamodel.primaries.loading import load_language_model

        return load_language_model(self._source)

    def _rendered(self, loaded: LanguageModel, texts: Sequence[str]) -> Sequence[str]:
        from metamodel.primaries.chat import render_chat

        return render_chat(loaded.tokenizer, texts, system_prompt=self.system_prompt) if self.chat else texts

    def _encode(self, loaded: LanguageModel, texts: Sequence[str]) -> list[tuple[int, ...]]:
        special = self.add_special_tokens and not self.chat
        return loaded.encode(self._rendered(loaded, texts), add_special_tokens=special)

    def _windows(
        self, loaded: LanguageModel, requests: Iterator[DrawRequest], sampling: Sampling, refused: list[Outcome]
    ) -> Iterator[list[Job]]:
        """Yield what can be drawn, in pieces that fit in memory; append what cannot to `refused`."""
        from metamodel.primaries.waiting import Job

        while window := list(islice(requests, _WINDOW_PROMPTS)):
            jobs = []
            encoded = self._encode(loaded, [request.prompt.text for request in window])
            for request, tokens in zip(window, encoded, strict=True):
                name = request.prompt.id
                reason = _refusal(loaded, tokens, sampling)
                if reason is not None:
                    refused += [
                        Failure(prompt_id=name, sample=sample, reason=reason, is_final=True)
                        for sample in request.samples
                    ]
                elif request.samples:
                    seeds = [
                        generation_seed(run_seed=sampling.seed, prompt_id=name, sample=sample)
                        for sample in request.samples
                    ]
                    jobs.append(Job(name=name, prompt=tokens, samples=request.samples, seeds=tuple(seeds)))
            yield jobs

    def _generations(
        self, loaded: LanguageModel, rows: Sequence[DecodedRow], sampling: Sampling, identity: str
    ) -> list[Outcome]:
        from metamodel.primaries.stop_texts import before_stop

        outputs = [row.token_ids[:-1] if row.finish_reason == "stop" else row.token_ids for row in rows]
        texts = loaded.decode([row.job.prompt for row in rows], outputs)
        return [
            Generation(
                key=generation_key(
                    primary_identity=identity, prompt_id=row.job.name, sampling=sampling, sample=row.sample
                ),
                prompt_id=row.job.name,
                primary=self.model,
                sample=row.sample,
                seed=row.seed,
                text=before_stop(text, sampling.stop),
                token_ids=row.token_ids,
                logprobs=row.logprobs,
                finish_reason=row.finish_reason,
                n_tokens=len(output),
            )
            for row, output, text in zip(rows, outputs, texts, strict=True)
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
