"""From a path to an opened log: which format it is, and its rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial

from metamodel.errors import DataError, nearest_name_hint
from metamodel.recorded.alpaca_eval import ALPACA_EVAL
from metamodel.recorded.base import RowFormat
from metamodel.recorded.columns import ColumnSpec
from metamodel.recorded.contents import OneTable, TwoTables
from metamodel.recorded.files import LogFile, find_files
from metamodel.recorded.inspect_logs import INSPECT
from metamodel.recorded.lm_eval_logs import LM_EVAL
from metamodel.recorded.log import Log
from metamodel.recorded.mmlu_pro import MMLU_PRO
from metamodel.recorded.problems import Problems
from metamodel.recorded.readers import ParquetRows, SpooledRows
from metamodel.recorded.rows import RecordedRow
from metamodel.recorded.tables import SUFFIXES, table_rows

# In the order they are tried.
ROW_FORMATS: tuple[RowFormat, ...] = (INSPECT, LM_EVAL, ALPACA_EVAL, MMLU_PRO)
TWO_TABLES, TABLE = "two_tables", "table"
FORMATS = (*(known.name for known in ROW_FORMATS), TWO_TABLES, TABLE)

_PROMPTS_FILE = "prompts.parquet"
_OUTPUTS_FILES = ("outputs.parquet", "outputs_slim.parquet")


def open_log(path: str, *, format: str | None = None, columns: ColumnSpec | None = None) -> Log:  # noqa: A002 - the word of the configs
    """Open a log; the same files opened again in this process are not read again.

    Args:
        path: A file, a folder, or a pattern.
        format: One of FORMATS; told by looking without it.
        columns: Columns of a table; looked for under usual names without it.

    Raises:
        DataError: There is no such file, or it is no log that can be read; the message says what was tried.
    """
    if format is not None and format not in FORMATS:
        raise DataError(f"log format is {format!r}: {nearest_name_hint(format, FORMATS)}")
    return _opened(path, find_files(path), format, json.dumps(columns or {}, sort_keys=True))


@lru_cache(maxsize=8)
def _opened(path: str, files: tuple[LogFile, ...], name: str | None, columns_json: str) -> Log:
    columns: ColumnSpec = json.loads(columns_json)
    if name in (None, TWO_TABLES):
        pair = _two_tables(files)
        if pair is not None:
            return _open_two_tables(path, pair, columns)
    # A config that names columns means a table, whatever it looks like.
    for known in ROW_FORMATS if not columns else ():
        own = known.own_files(files) if name in (None, known.name) else []
        if own:
            return _spooled(path, known.name, own, partial(known.rows, own))
    if name in (None, TABLE):
        log = _open_table(path, files, columns)
        if log is not None:
            return log
    raise DataError(_unknown(path, files, name))


def _two_tables(files: Sequence[LogFile]) -> tuple[LogFile, LogFile] | None:
    """Return the tables of prompts and of outputs; for a path to the outputs alone, the prompts beside them."""
    by_name = {file.name: file for file in files}
    outputs = next((by_name[known] for known in _OUTPUTS_FILES if known in by_name), None)
    if outputs is None or (len(files) > 1 and _PROMPTS_FILE not in by_name):
        return None
    if _PROMPTS_FILE in by_name:
        return by_name[_PROMPTS_FILE], outputs
    beside = outputs.path.removesuffix(outputs.name) + _PROMPTS_FILE
    try:
        return find_files(beside)[0], outputs
    except DataError:
        return None


def _open_two_tables(path: str, pair: tuple[LogFile, LogFile], columns: ColumnSpec) -> Log:
    prompts, outputs = pair
    contents = TwoTables(
        ParquetRows([prompts], columns, needed=("prompt", "id"), are_prompts=True),
        # The mapping names columns of both tables; what one of them lacks is the other's.
        ParquetRows([outputs], _outputs_only(columns), needed=("id", "model")),
    )
    return Log(path=path, format=TWO_TABLES, files=pair, make_contents=lambda _: contents)


def _outputs_only(columns: ColumnSpec) -> Mapping[str, str | list[str] | None]:
    of_prompts = ("prompt", "domain", "references", "choices", "attributes")
    return {
        **{field: None for field in of_prompts if field != "attributes"},
        **{field: value for field, value in columns.items() if field not in of_prompts},
    }


def _open_table(path: str, files: Sequence[LogFile], columns: ColumnSpec) -> Log | None:
    parquet = [file for file in files if file.suffix == ".parquet"]
    others = [file for file in files if file.suffix in SUFFIXES]
    if parquet and others:
        raise DataError(f"{path} holds .parquet and {'/'.join(SUFFIXES)} files: name one of them, or a pattern")
    if parquet:
        contents = OneTable(ParquetRows(parquet, columns, needed=("prompt",)))
        return Log(path=path, format=TABLE, files=tuple(parquet), make_contents=lambda _: contents)
    if others:
        return _spooled(path, TABLE, others, partial(table_rows, others, columns=columns))
    return None


def _spooled(path: str, name: str, files: Sequence[LogFile], rows: Callable[[Problems], Iterator[RecordedRow]]) -> Log:
    """Return a log that is parsed when its rows are first asked for."""
    return Log(
        path=path,
        format=name,
        files=tuple(files),
        make_contents=lambda problems: OneTable(SpooledRows(rows(problems))),
    )


def _unknown(path: str, files: Sequence[LogFile], name: str | None) -> str:
    shown = ", ".join(file.relative for file in files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")  # noqa: PLR2004 - as many as a message bears
    tried = [f"{known.name}: {known.description}" for known in ROW_FORMATS if name in (None, known.name)]
    if name in (None, TWO_TABLES):
        tried.append(f"{TWO_TABLES}: {_PROMPTS_FILE} with {' or '.join(_OUTPUTS_FILES)}")
    if name in (None, TABLE):
        tried.append(f"{TABLE}: .parquet, {', '.join(SUFFIXES)} with a row an output")
    return f"{path} is no log that can be read; tried {'; '.join(tried)}; found {shown}"
