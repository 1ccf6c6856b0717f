"""Metamodels compared on the same prompts: the rows of comparisons.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from metamodel.errors import DataError
from metamodel.metric_rows import Split


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """How many more bits one metamodel gains than another on the same prompts, from a paired bootstrap.

    Attributes:
        metamodel: Who is judged.
        rival: Whom it is compared with.
        behavior: Name of the behavior.
        primary: Name of the primary model.
        split: Which split was scored.
        difference_bits: Bits gained by the metamodel less those by the rival.
        low_bits: Lower end of the 95 % interval.
        high_bits: Upper end of it.
    """

    metamodel: str
    rival: str
    behavior: str
    primary: str
    split: Split
    difference_bits: float
    low_bits: float
    high_bits: float

    def mirrored(self) -> PairedDifference:
        """Return the same comparison as the rival sees it."""
        return replace(
            self,
            metamodel=self.rival,
            rival=self.metamodel,
            difference_bits=-self.difference_bits,
            low_bits=-self.high_bits,
            high_bits=-self.low_bits,
        )


def comparisons_to_json(comparisons: Iterable[PairedDifference]) -> str:
    """Return the text of comparisons.json: a list with one comparison a line.

    >>> comparisons_from_json(comparisons_to_json([]))
    []
    """
    lines = [json.dumps(asdict(one), allow_nan=False) for one in comparisons]
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def comparisons_from_json(text: str) -> list[PairedDifference]:
    """Read the text of comparisons.json.

    Raises:
        DataError: The text is not a JSON list of comparisons with exactly the expected keys.
    """
    try:
        values = json.loads(text)
        return [PairedDifference(**value) for value in values]
    except (ValueError, TypeError) as error:
        raise DataError(f"comparisons.json cannot be read ({error}): run `metamodel evaluate` again") from error
