"""A primary model whose outputs exist already, in a log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from metamodel.primaries.capabilities import DrawRequest, requests_for_all
from metamodel.recorded.columns import check_columns
from metamodel.types import Failure, Outcome, Prompt, Sampling, content_hash

if TYPE_CHECKING:
    import pyarrow as pa

    from metamodel.protocols import PrimaryModel
    from metamodel.recorded.log import Log

NO_OUTPUT = "no output recorded"

_logger = logging.getLogger(__name__)
# So many requests are answered by one pass over the log.
_REQUESTS_AHEAD = 50_000


@dataclass(frozen=True, kw_only=True)
class RecordedModel:
    """A primary model whose outputs stand in a log; nothing is drawn, and what the log does not say stays unknown.

    Of the sampling only `n_samples` counts: the log's samples 0 to n_samples - 1 of each prompt. How they were drawn is
    the log's business. An output that is not there, that the log says failed, or that it holds twice in different
    words is a row in errors/. What is there twice in the same words counts once.

    Attributes:
        path: The log: a file, a folder, or a pattern such as "logs/*.eval".
        model: The primary model's name in the log; without it the entry stands for all models of the log.
        format: As of the prompt source `recorded`.
        columns: As of the prompt source `recorded`.
    """

    path: str
    model: str | None = None
    format: str | None = None
    columns: dict[str, str | list[str] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a mapping of columns that means nothing."""
        problem = check_columns(self.columns)
        if problem:
            raise ValueError(problem)

    @property
    def identity(self) -> str:
        """Say which outputs these are: the model's name and a hash of the log's content."""
        log = self._log()
        # A model that is named is looked for only when its outputs are read: a rerun asks for no more than this.
        model = self.model or log.check_model(None)
        return f"recorded:{model}:{content_hash(log.format, log.digest, repr(sorted(self.columns.items())))}"

    def members(self) -> Mapping[str, PrimaryModel]:
        """Return a component for each model of the log; none where a model is named, or the log is not there (yet).

        Raises:
            DataError: The log cannot be read.
        """
        from metamodel.recorded.files import log_exists
        from metamodel.recorded.naming import safe_names

        if self.model is not None or not log_exists(self.path):
            return {}
        return {name: replace(self, model=model) for model, name in safe_names(self._log().models).items()}

    def records(self, sampling: Sampling) -> Iterator[pa.Table]:
        """Yield the outputs as tables with the columns of `generations` but key and primary, in bounded pieces.

        Raises:
            DataError: There is no such log or model, or the log cannot be read.
        """
        log = self._log()
        model = log.check_model(self.model)
        if log.problems.n_rows:
            _logger.warning("%s: %s", log.path, log.problems.summary())
        for table in log.output_tables(model):
            wanted = np.asarray(table["sample"]) < sampling.n_samples
            yield table if wanted.all() else table.filter(wanted)

    def missing_reasons(self) -> Mapping[tuple[str, int], str]:
        """Return why outputs are not there, by prompt id and sample, where the log says."""
        log = self._log()
        return log.failure_reasons(log.check_model(self.model))

    def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield the recorded output of each requested sample, or why there is none."""
        del sampling
        log = self._log()
        model = log.check_model(self.model)
        reasons = self.missing_reasons()
        remaining = iter(requests)
        while ahead := list(islice(remaining, _REQUESTS_AHEAD)):
            yield from _answers(log, model, ahead, reasons)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield the recorded outputs of all samples of some prompts, or why there are none."""
        return self.draw(requests_for_all(prompts, sampling), sampling)

    def _log(self) -> Log:
        from metamodel.recorded.opening import open_log

        return open_log(self.path, format=self.format, columns=self.columns)


def _answers(
    log: Log, model: str, requests: Sequence[DrawRequest], reasons: Mapping[tuple[str, int], str]
) -> Iterator[list[Outcome]]:
    from metamodel.store.rows import generations_from_table

    wanted = {(request.prompt.id, sample) for request in requests for sample in request.samples}
    for table in log.output_tables(model, [request.prompt.id for request in requests]):
        n_rows = len(table)
        whole = table.append_column("key", [[""] * n_rows]).append_column("primary", [[""] * n_rows])
        found: list[Outcome] = []
        for row in generations_from_table(whole):
            if (row.prompt_id, row.sample) in wanted:
                wanted.discard((row.prompt_id, row.sample))
                found.append(row)
        if found:
            yield found
    missing: list[Outcome] = [
        Failure(
            prompt_id=prompt_id,
            sample=sample,
            reason=reasons.get((prompt_id, sample), NO_OUTPUT),
            is_final=True,
        )
        for prompt_id, sample in sorted(wanted)
    ]
    if missing:
        yield missing
