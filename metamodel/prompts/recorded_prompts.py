"""The prompts of a log of outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from metamodel.prompts.base import refuse
from metamodel.recorded.columns import check_columns
from metamodel.types import Prompt

if TYPE_CHECKING:
    import pyarrow as pa

    from metamodel.recorded.log import Log


@dataclass(frozen=True, kw_only=True)
class RecordedPrompts:
    """The prompts of a log: of lm-evaluation-harness, Inspect, AlpacaEval or MMLU-Pro, or any table; each prompt once.

    A prompt's id is the hash of its content, as everywhere. Only where a log has several prompts of its own (by its own
    ids) with the same content do their ids enter the hash: outputs for one are never taken for outputs for the other.

    Attributes:
        path: The log: a file, a folder, or a pattern such as "logs/*.eval".
        format: lm_eval, inspect, alpaca_eval, mmlu_pro, two_tables (prompts.parquet with outputs.parquet) or table
            (.jsonl, .csv, .parquet); told by looking without it.
        columns: Columns of a table by what they hold: prompt, output, model, domain, references, choices, sample, id,
            finish_reason, n_tokens, token_ids, logprobs, and a list of attributes of the prompt; those not named here
            are looked for under usual names, null says that there is none.
    """

    is_finite: ClassVar[bool] = True

    path: str
    format: str | None = None
    columns: dict[str, str | list[str] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a mapping of columns that means nothing."""
        refuse(check_columns(self.columns))

    def prompts(self, seed: int) -> Iterator[Prompt]:
        """Yield all prompts of the log in its order, the same ones for every seed; a piece at a time is in memory.

        Raises:
            DataError: There is no such log, or it cannot be read.
        """
        from metamodel.store.rows import prompts_from_table

        del seed
        for table in self.prompt_tables():
            yield from prompts_from_table(table)

    def prompt_tables(self) -> Iterator[pa.Table]:
        """Yield all prompts of the log as tables with the columns of `prompts`, in bounded pieces."""
        return self._log().prompt_tables()

    @property
    def identity(self) -> str:
        """Say which log this is: the hash of its content."""
        return self._log().digest

    def _log(self) -> Log:
        from metamodel.recorded.opening import open_log

        return open_log(self.path, format=self.format, columns=self.columns)
