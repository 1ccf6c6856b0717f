"""Read calibration.json as what it is, somebody's file: each method's numbers are checked.

All that is wrong raises DataError.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from metamodel.errors import DataError
from metamodel.labels import LabelSpace
from trainers.artifacts.artifact import JSON
from trainers.artifacts.checks import is_finite, mapping, read_json
from trainers.fitting.calibration import AnyCalibration, Calibration
from trainers.fitting.calibration_curves import (
    AnyCurve,
    BetaCurve,
    CurveCalibration,
    CurveMethod,
    IsotonicCurve,
    VennAbersCurve,
)

MOST_KNOTS = 100_000


def read_calibrations(path: Path, spaces: Mapping[str, LabelSpace]) -> dict[str, AnyCalibration]:
    """Return the calibration of each behavior."""
    behaviors = mapping(mapping(read_json(path), path).get("behaviors"), path, "behaviors")
    if set(behaviors) != set(spaces):
        raise DataError(f"{path}: calibrates {sorted(behaviors)}, must calibrate {sorted(spaces)}: train again")
    calibrations = {}
    for name, space in spaces.items():
        values = mapping(behaviors[name], path, name)
        try:
            calibrations[name] = _calibration(values, n_outcomes=len(space.outcomes))
        except ValueError as error:
            raise DataError(f"{path}: {name}: {error}: train again") from error
    return calibrations


def _calibration(values: Mapping[str, JSON], *, n_outcomes: int) -> AnyCalibration:
    if "method" not in values:
        temperature, shrinkage = _numbers(values, ("temperature", "shrinkage"))
        return Calibration(temperature=temperature, shrinkage=shrinkage)
    method, curves = values["method"], values.get("curves")
    if set(values) != {"method", "curves", "shrinkage"} or not isinstance(curves, list):
        raise ValueError(f"has {', '.join(sorted(values))}, must have method, curves and shrinkage alone")
    known: dict[object, CurveMethod] = {name: name for name in get_args(CurveMethod)}
    if not isinstance(method, str) or method not in known:
        raise ValueError(f"method is {method!r}, must be one of {', '.join(get_args(CurveMethod))}")
    n_wanted = 1 if n_outcomes == 2 else n_outcomes  # noqa: PLR2004 - no and yes
    if len(curves) != n_wanted:
        raise ValueError(f"has {len(curves)} curves, must have {n_wanted}")
    return CurveCalibration(
        method=known[method],
        curves=tuple(_curve(curve) for curve in curves),
        shrinkage=_numbers({"shrinkage": values["shrinkage"]}, ("shrinkage",))[0],
    )


def _curve(values: JSON) -> AnyCurve:
    """Return the curve that has these keys."""
    keys = set(values) if isinstance(values, dict) else set()
    if isinstance(values, dict) and keys == {"a", "b", "c"}:
        a, b, c = _numbers(values, ("a", "b", "c"))
        return BetaCurve(a=a, b=b, c=c)
    if isinstance(values, dict) and keys == {"knots", "heights"}:
        return IsotonicCurve(knots=_series(values["knots"]), heights=_series(values["heights"]))
    if isinstance(values, dict) and keys == {"knots", "zeros", "ones"}:
        return VennAbersCurve(
            knots=_series(values["knots"]), zeros=_series(values["zeros"]), ones=_series(values["ones"])
        )
    raise ValueError("a curve must have a, b and c, or knots and heights, or knots, zeros and ones")


def _numbers(values: Mapping[str, JSON], names: tuple[str, ...]) -> list[float]:
    """Return the named numbers, the only ones there."""
    found = [values.get(name) for name in names]
    numbers = [value for value in found if isinstance(value, float)]
    if len(values) != len(names) or len(numbers) != len(names):
        raise ValueError(f"must have the numbers {' and '.join(names)} alone")
    return numbers


def _series(values: JSON) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) > MOST_KNOTS or not all(is_finite(value) for value in values):
        raise ValueError(f"a curve must be given by lists of at most {MOST_KNOTS} finite numbers")
    return tuple(float(value) for value in values if isinstance(value, (int, float)))
