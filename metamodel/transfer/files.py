"""What transfer leaves in a folder: transfer.json, transfer.parquet, transfer.html and the charts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.errors import DataError
from metamodel.transfer.cells import derived
from metamodel.transfer.matrices import Matrix
from metamodel.transfer.stage import JudgedTable, Transfer
from metamodel.transfer.tables import FIGURES, TransferTable
from metamodel.transfer.verdicts import CARRIED_SHARE, CLAIMS, VERDICTS
from metamodel.types import FloatArray

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

JSON_FIGURES: Final = tuple(name for name in FIGURES if name not in ("n_shared", "native_low"))
# Beyond so many cells transfer.json would take hundreds of megabytes: it then holds these, transfer.parquet all.
MOST_FULL_CELLS: Final = 20_000
SHORT_FIGURES: Final = ("n_prompts", "bits", "low", "high", "share", "share_low", "share_high", "auroc", "ceiling")
_NAMES: Final = ("metamodel", "behavior", "split", "domain", "source", "target", "worst_domain", "verdict")
_TESTS: Final = (*(f"p_{claim}" for claim in CLAIMS), *(f"p_{claim}_adjusted" for claim in CLAIMS), "p_asymmetry")
_DIGITS: Final = 6


class CellWriter:
    """Writes transfer.parquet: single domains as they come, whole splits once they are tested."""

    def __init__(self, path: Path) -> None:
        """Begin a new file beside the one of that name, which stays until `close`.

        Raises:
            DataError: The file cannot be written.
        """
        import pyarrow.parquet as pq

        self._path = path
        self._unfinished = path.with_name(f".{path.name}")
        try:
            self._writer: pq.ParquetWriter = pq.ParquetWriter(self._unfinished, cell_schema(), compression="zstd")
        except OSError as error:
            raise DataError(f"{path} cannot be written ({error.strerror or error}): name another folder") from error

    def add_domains(self, matrix: Matrix) -> None:
        """Write the cells of a matrix's single domains."""
        found = derived(matrix.domains)
        for number, name in enumerate(matrix.domain_names):
            arrays = {
                key: getattr(holder, key)[number]
                for holder in (matrix.domains, found)
                for key in FIGURES
                if hasattr(holder, key)
            }
            sources, targets = ([one.name for one in models] for models in (matrix.sources, matrix.targets))
            texts = {"metamodel": matrix.metamodel, "behavior": matrix.behavior, "split": matrix.split, "domain": name}
            self._writer.write_table(_rows(texts, sources, targets, arrays))

    def close(self, found: Transfer) -> None:
        """Write the cells of whole splits and put the file in its place."""
        for one in found.tables:
            table = one.table
            texts = {"metamodel": table.metamodel, "behavior": table.behavior, "split": table.split}
            arrays = dict(table.figures)
            arrays |= {f"p_{claim}": one.p[claim] for claim in CLAIMS}
            arrays |= {f"p_{claim}_adjusted": one.p_adjusted[claim] for claim in CLAIMS}
            arrays["p_asymmetry"] = one.p_asymmetry
            labels = np.array([*VERDICTS, None], dtype=object)[one.verdict.ravel()]
            worst = [name or None for name in table.worst_domains.ravel()]
            self._writer.write_table(
                _rows(texts, table.sources, table.targets, arrays, {"verdict": labels, "worst_domain": worst})
            )
        self._writer.close()
        self._unfinished.replace(self._path)

    def abandon(self) -> None:
        """Leave no half file; one that is closed stays."""
        self._writer.close()
        self._unfinished.unlink(missing_ok=True)


def cell_schema() -> pa.Schema:
    """Return the columns of transfer.parquet: names, figures and tests; a figure that is undefined is null.

    Figures take 4 bytes, precise to seven digits: there may be millions of cells.
    """
    import pyarrow as pa

    names = [(name, pa.dictionary(pa.int32(), pa.string())) for name in _NAMES]
    return pa.schema([*names, *((name, pa.float32()) for name in (*FIGURES, *_TESTS))])


def to_document(found: Transfer) -> dict[str, object]:
    """Return everything but single domains, ready for JSON: matrices as lists of rows, undefined figures as null.

    Of more than `MOST_FULL_CELLS` cells the figures are `SHORT_FIGURES` alone.
    """
    plan = found.plan.to_dict()
    is_long = sum(one.verdict.size for one in found.tables) > MOST_FULL_CELLS
    figures = SHORT_FIGURES if is_long else JSON_FIGURES
    return {
        **{key: plan[key] for key in ("runs", "models", "metamodels", "behaviors", "dropped", "prompts")},
        "adjust": found.adjust,
        "alpha": found.alpha,
        "carried_share": CARRIED_SHARE,
        "notes": list(found.notes),
        "verdicts": [one.to_dict() for one in found.behaviors],
        "figures": list(figures),
        "matrices": [_matrix_document(one, figures) for one in found.tables],
        "trees": [
            {
                "kind": one.kind,
                "metamodel": one.metamodel or None,
                "split": one.split,
                "models": list(one.names),
                "order": list(one.order),
                "n_draws": one.n_draws,
                "left_out": list(one.left_out),
                "distances": _listed(one.distances),
                "clades": [
                    {
                        "left": clade.left,
                        "right": clade.right,
                        "distance": round(clade.distance, _DIGITS),
                        "n_models": clade.n_models,
                        "support": clade.support,
                    }
                    for clade in one.clades
                ],
            }
            for one in found.trees
        ],
    }


def write_document(folder: Path, document: Mapping[str, object]) -> Path:
    """Write transfer.json and return its path."""
    path = folder / "transfer.json"
    path.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8", errors="backslashreplace")
    return path


def csv_lines(table: TransferTable) -> Iterator[list[str | int | float | None]]:
    """Yield the cells of a table: source, target, and the figures in the order of FIGURES."""
    for row, source in enumerate(table.sources):
        for column, target in enumerate(table.targets):
            values = [float(table.figures[name][row, column]) for name in FIGURES]
            yield [source, target, *(value if np.isfinite(value) else None for value in values)]


def _matrix_document(one: JudgedTable, figures: Sequence[str]) -> dict[str, object]:
    table = one.table
    more: dict[str, object] = {}
    if len(figures) == len(JSON_FIGURES):
        more = {f"p_{claim}_adjusted": _listed(one.p_adjusted[claim]) for claim in CLAIMS}
        more["p_asymmetry"] = _listed(one.p_asymmetry)
        more["worst_domain"] = [[name or None for name in row] for row in table.worst_domains.tolist()]
    return {
        "metamodel": table.metamodel,
        "behavior": table.behavior,
        "split": table.split,
        "sources": list(table.sources),
        "targets": list(table.targets),
        **{name: _listed(table.figures[name]) for name in figures},
        **more,
        "verdict": [[None if number < 0 else VERDICTS[number] for number in row] for row in one.verdict.tolist()],
    }


def _listed(values: FloatArray) -> list[list[float | None]]:
    rounded = np.round(values, _DIGITS)
    return [[value if np.isfinite(value) else None for value in row] for row in rounded.tolist()]


def _rows(
    texts: Mapping[str, str],
    sources: list[str] | tuple[str, ...],
    targets: list[str] | tuple[str, ...],
    arrays: Mapping[str, FloatArray],
    labels: Mapping[str, object] | None = None,
) -> pa.Table:
    """Return a table of all cells, sources outermost."""
    import pyarrow as pa

    s, t = len(sources), len(targets)
    columns: dict[str, pa.Array] = {}
    for name in _NAMES:
        if name in ("source", "target"):
            places = np.repeat(np.arange(s), t) if name == "source" else np.tile(np.arange(t), s)
            known = list(sources if name == "source" else targets)
            columns[name] = pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), pa.array(known, pa.string()))
        else:
            values = (labels or {}).get(name, [texts.get(name)] * (s * t))
            columns[name] = pa.array(values, type=pa.string()).dictionary_encode()
    for name in (*FIGURES, *_TESTS):
        flat = arrays.get(name, np.full((s, t), np.nan)).ravel().astype(np.float32)
        columns[name] = pa.array(flat, mask=~np.isfinite(flat))
    return pa.table(columns).cast(cell_schema())
