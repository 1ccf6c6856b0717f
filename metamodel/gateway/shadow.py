"""Shadow mode: what was or would have been decided, beside what the model then did.

Calls are handed over when they are done, and labeled and written in a thread of their own: no reply waits for it. A
thread shares the interpreter with the calls that are under way, though; featurizers that take long slow these down.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

import numpy as np

from metamodel.gateway.plans import ShadowPlan
from metamodel.gateway.replies import ReplyChoice, reply_choices
from metamodel.gateway.shadow_log import RotatingLines
from metamodel.labels import MISSING_CODE, LabelSpace
from metamodel.protocols import Featurizer
from metamodel.screen.screened import ScreenedPrompt
from metamodel.types import GenerationBatch, content_hash

_logger = logging.getLogger(__name__)
SHADOW_SCHEMA_VERSION: Final = 1


class Counts(Protocol):
    """A counter with one label."""

    def inc(self) -> None:
        """Add one."""
        ...


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A call that is done.

    Attributes:
        api: `chat` or `completions`.
        model: Name of the model that was asked.
        answered_by: `upstream`, the fallback's name, or empty where the gateway answered itself.
        domain: Name of the input distribution.
        prompts: The texts that were screened.
        screened: The decision on each.
        chosen: Action that the policy names.
        action: Action that was done.
        reply: The upstream's reply, as it came.
        is_stream: Whether these are events.
        is_whole: Whether it came to its end and was kept whole.
        error: Code of the error that the client got.
    """

    api: str
    model: str
    answered_by: str
    domain: str
    prompts: tuple[str, ...]
    screened: tuple[ScreenedPrompt, ...]
    chosen: str
    action: str
    reply: bytes
    is_stream: bool
    is_whole: bool
    error: str | None


class Shadow:
    """Writes calls down in the background."""

    def __init__(
        self,
        plan: ShadowPlan,
        featurizers: Mapping[str, Featurizer],
        spaces: Mapping[str, LabelSpace],
        *,
        on_fate: Callable[[str], Counts],
    ) -> None:
        """Open the folder and start the thread.

        Args:
            plan: Where and how much.
            featurizers: What labels replies.
            spaces: Label space of each behavior that the pre-screen predicts.
            on_fate: Called with "written", "dropped" or "failed" for each call.

        Raises:
            MetamodelError: The folder cannot be written.
        """
        self._featurizers, self._on_fate = dict(featurizers), on_fate
        self._lines = RotatingLines(
            Path(plan.folder), max_file_bytes=plan.max_file_bytes, max_files=plan.max_files, fsync=plan.fsync
        )
        unmatched = sorted(set(self._featurizers) - {name.rpartition("/")[2] for name in spaces})
        if unmatched:
            _logger.warning("the pre-screen does not predict %s: its real outcomes are kept", ", ".join(unmatched))
        self._waiting: queue.Queue[Exchange | None] = queue.Queue(plan.max_waiting)
        self._thread = threading.Thread(target=self._run, name="metamodel-shadow", daemon=True)
        self._thread.start()

    def put(self, exchange: Exchange) -> None:
        """Hand a call over; it is dropped and counted where too many wait."""
        try:
            self._waiting.put_nowait(exchange)
        except queue.Full:
            self._on_fate("dropped").inc()

    def close(self) -> None:
        """Write down what waits, and close the file."""
        self._waiting.put(None)
        self._thread.join()
        self._lines.close()

    def _run(self) -> None:
        while (exchange := self._waiting.get()) is not None:
            try:
                for record in exchange_records(exchange, self._featurizers):
                    self._lines.write(json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8"))
            except Exception as error:  # noqa: BLE001 - one call must not end the log of all others
                # The type alone: a message may hold what the prompt says.
                _logger.warning("a call was not written down: %s", type(error).__name__)
                self._on_fate("failed").inc()
            else:
                self._on_fate("written").inc()


def exchange_records(exchange: Exchange, featurizers: Mapping[str, Featurizer]) -> Iterator[dict[str, object]]:
    """Yield one record an output, or one a prompt where there is none."""
    call, moment = uuid4().hex, datetime.now(UTC).isoformat(timespec="milliseconds")
    choices = reply_choices(exchange.reply, is_stream=exchange.is_stream)
    n_each = max(len(choices) // len(exchange.prompts), 1)
    for place, (prompt, screened) in enumerate(zip(exchange.prompts, exchange.screened, strict=True)):
        # Outputs of a completion of several prompts are numbered prompt by prompt.
        of_prompt: Sequence[ReplyChoice | None] = [one for one in choices if one.index // n_each == place] or [None]
        for choice in of_prompt:
            text = choice.text if choice is not None and exchange.is_whole else None
            labels = {} if choice is None or text is None else _labels(exchange, prompt, text, choice, featurizers)
            yield {
                "schema_version": SHADOW_SCHEMA_VERSION,
                "id": f"{call}-{place}-{choice.index if choice is not None else 0}",
                "time": moment,
                "api": exchange.api,
                "domain": exchange.domain,
                "prompt": prompt,
                "model": exchange.model,
                "answered_by": exchange.answered_by,
                "would": exchange.chosen,
                "did": exchange.action,
                "screened": screened.to_dict(),
                "output": text,
                "finish_reason": choice.finish_reason if choice is not None and exchange.is_whole else None,
                "n_tokens": choice.n_tokens if choice is not None and exchange.is_whole else None,
                "labels": {name: value for name, (value, _) in labels.items()},
                "outcomes": {name: outcome for name, (_, outcome) in labels.items()},
                "error": exchange.error or (None if exchange.is_whole else "cut_off"),
            }


def _labels(
    exchange: Exchange, prompt: str, text: str, choice: ReplyChoice, featurizers: Mapping[str, Featurizer]
) -> dict[str, tuple[float, str]]:
    """Return each behavior's value and the name of the outcome that it is; without those that are missing."""
    batch = GenerationBatch(
        texts=[text],
        prompts=[prompt],
        references=[()],
        choices=[()],
        domains=[exchange.domain],
        prompt_ids=[content_hash(exchange.domain, prompt)],
        primaries=[exchange.model],
        samples=[0],
        n_tokens=[choice.n_tokens],
        finish_reasons=[choice.finish_reason],
        logprobs=[choice.logprobs],
        attributes=[{}],
        metadata=[{}],
        partners=[()],
    )
    found: dict[str, tuple[float, str]] = {}
    for name, featurizer in featurizers.items():
        values = np.asarray(featurizer.label(batch), dtype=np.float64)
        code = int(featurizer.space.encode(values)[0])
        if code != MISSING_CODE:
            found[name] = (float(values[0]), featurizer.space.outcomes[code])
    return found
