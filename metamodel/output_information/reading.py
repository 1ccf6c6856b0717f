"""Read back what `metamodel information` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from metamodel.errors import RunError
from metamodel.output_information.results import (
    ExplainedRow,
    Figure,
    LabelRow,
    LengthInformation,
    OutputInformation,
    PrimaryInformation,
)

_FIGURES: Final = frozenset(
    {"bits", "high_bits", "conditional_entropy_bits", "above_bits", "share", "within_bits", "within_share"}
    | {"entropy_bits"}
)


def information_from_dict(content: object) -> OutputInformation:
    """Return what stands in information.json; keys that are no figures of it are passed over.

    Raises:
        RunError: A part is missing or of another kind.
    """
    try:
        primaries = [
            PrimaryInformation(
                **{
                    **_known(PrimaryInformation, one),
                    "lengths": [LengthInformation(**_known(LengthInformation, part)) for part in one["lengths"]],
                    "rows": [ExplainedRow(**_known(ExplainedRow, part)) for part in one["rows"]],
                    "labels": [LabelRow(**_known(LabelRow, part)) for part in one["labels"]],
                }
            )
            for one in content["primaries"]  # type: ignore[index] # what is no mapping raises TypeError, told below
        ]
        return OutputInformation(**{**_known(OutputInformation, content), "primaries": primaries})
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"information.json cannot be read ({error!r}): run `metamodel information` again") from error


def _known(kind: type, part: object) -> dict[str, Any]:
    """Return the fields of a dataclass from a mapping, figures built."""
    if not isinstance(part, Mapping):
        raise TypeError(f"{kind.__name__} must be a mapping, got {type(part).__name__}")
    found = {item.name: part[item.name] for item in fields(kind)}
    return {
        name: Figure(**value) if name in _FIGURES and isinstance(value, Mapping) else value
        for name, value in found.items()
    }
