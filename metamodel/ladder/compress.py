"""A shorter variant of a saved metamodel, from folder to folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from metamodel.errors import ConfigError, DataError
from metamodel.metamodels import load_metamodel
from metamodel.protocols import Compresses, Compression


@dataclass(frozen=True, kw_only=True)
class CompressReport:
    """What a variant saves.

    Attributes:
        description_bits_before: Length of what the predictions depend on, as saved.
        description_bits_after: The same of the variant.
        borrowed_bits: Size of pretrained parts that both need.
        file_bytes_before: Bytes of the folder.
        file_bytes_after: Bytes of the variant's.
    """

    description_bits_before: float
    description_bits_after: float
    borrowed_bits: float
    file_bytes_before: int
    file_bytes_after: int

    def to_dict(self) -> dict[str, float]:
        """Return it ready for JSON."""
        return asdict(self)


def compress(source: Path, target: Path, *, int8: bool = False, prune_share: float = 0.0) -> CompressReport:
    """Write a variant of the metamodel in `source` to `target`.

    Args:
        source: Folder of a saved metamodel.
        target: Folder for the variant: new or empty.
        int8: Whether weights become whole numbers of 8 bits with scales.
        prune_share: Share of the weights set to zero.

    Raises:
        ConfigError: Nothing is to be left out, or too much.
        DataError: The source is no saved metamodel or cannot be compressed, or the target is taken.
    """
    try:
        compression = Compression(int8=int8, prune_share=prune_share)
    except ValueError as error:
        raise ConfigError([f"{error} (--int8, --prune SHARE)"], source="compress") from error
    metamodel = load_metamodel(source)
    if not isinstance(metamodel, Compresses):
        raise DataError(f"{source}: metamodels of this kind have no shorter variants")
    variant = metamodel.compressed(compression)
    _make_empty(target)
    variant.save(target)
    return CompressReport(
        description_bits_before=metamodel.description_bits,
        description_bits_after=variant.description_bits,
        borrowed_bits=sum(metamodel.borrowed_bits.values()),
        file_bytes_before=_size(source),
        file_bytes_after=_size(target),
    )


def _make_empty(target: Path) -> None:
    """Make the folder, or accept an empty one."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        is_taken = any(target.iterdir())
    except OSError as error:
        raise DataError(f"{target}: cannot be made ({error.strerror or error}): name another folder") from error
    if is_taken:
        raise DataError(f"{target}: is not empty: name another folder")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
