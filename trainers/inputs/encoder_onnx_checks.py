"""Look through a network in the ONNX format before onnxruntime opens it: only standard operations, all data inside.

The format is a protocol buffer, walked here field by field: the package that knows it is not there where a pre-screen
is served. Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). A field that
a message may have once and has twice is checked each time: readers differ in which one they take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

_STANDARD_DOMAINS = (b"", b"ai.onnx")
# What was written by an older or newer exporter than these computes something else, or nothing.
LEAST_OPSET, MOST_OPSET = 11, 25
# An encoder has thousands; walking a file that is all tiny fields would take hours.
MOST_FIELDS = 2_000_000
_MOST_VARINT_BYTES = 10
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_FIXED_BYTES = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}

Value = memoryview | int


def problem_of_network(content: bytes) -> str:
    """Return what makes a file no network that may be opened; nothing where it may.

    >>> problem_of_network(b"")
    'holds no graph or imports no operations'
    """
    walk = _Walk()
    try:
        walk.model(memoryview(content))
    except _RefusedError as error:
        return str(error)
    return "" if walk.n_graphs and walk.n_opsets else "holds no graph or imports no operations"


class _RefusedError(ValueError):
    """What is wrong with a network."""


Visit = Callable[[Value], None]


@dataclass
class _Walk:
    """One pass over a file.

    Attributes:
        n_fields: Fields seen.
        n_graphs: Graphs seen.
        n_opsets: Sets of operations seen.
    """

    n_fields: int = field(default=0)
    n_graphs: int = field(default=0)
    n_opsets: int = field(default=0)

    def model(self, message: memoryview) -> None:
        """Check a ModelProto."""
        self._visit(
            message,
            {7: self._graph, 8: self._opset, 20: _refusal("can be trained"), 25: _refusal("has functions of its own")},
        )

    def _opset(self, value: Value) -> None:
        self.n_opsets += 1
        self._visit(_message(value), {1: _standard_domain, 2: _known_version})

    def _graph(self, value: Value) -> None:
        self.n_graphs += 1
        self._visit(
            _message(value), {1: self._node, 5: self._tensor, 15: _refusal("has sparse weights, which no encoder has")}
        )

    def _node(self, value: Value) -> None:
        self._visit(_message(value), {5: self._attribute, 7: _standard_domain})

    def _attribute(self, value: Value) -> None:
        branches, sparse = _refusal("has branches or loops"), _refusal("has sparse weights, which no encoder has")
        self._visit(
            _message(value), {5: self._tensor, 10: self._tensor, 6: branches, 11: branches, 22: sparse, 23: sparse}
        )

    def _tensor(self, value: Value) -> None:
        self._visit(_message(value), {13: _refusal("keeps weights in other files"), 14: _inside})

    def _visit(self, message: memoryview, visits: Mapping[int, Visit]) -> None:
        for number, value in _fields(message):
            self.n_fields += 1
            if self.n_fields > MOST_FIELDS:
                raise _RefusedError(f"has more than {MOST_FIELDS} fields")
            if number in visits:
                visits[number](value)


def _refusal(reason: str) -> Visit:
    def refuse(value: Value) -> None:  # noqa: ARG001 - that the field is there is enough
        raise _RefusedError(reason)

    return refuse


def _standard_domain(value: Value) -> None:
    domain = bytes(_message(value)[:100])
    if domain not in _STANDARD_DOMAINS:
        raise _RefusedError(
            f"has operations of domain {domain.decode(errors='replace')!r}, only the standard's are run"
        )


def _known_version(value: Value) -> None:
    if not isinstance(value, int) or not LEAST_OPSET <= value <= MOST_OPSET:
        raise _RefusedError(f"is written for operations of another version than {LEAST_OPSET} to {MOST_OPSET}")


def _inside(value: Value) -> None:
    if value != 0:
        raise _RefusedError("keeps weights in other files")


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise _RefusedError("is no network in the ONNX format")
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field of a message.

    Source: https://protobuf.dev/programming-guides/encoding; groups, which the format does not use, are refused.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == _LENGTH:
            length, place = _varint(message, place)
        elif kind in _FIXED_BYTES:
            length = _FIXED_BYTES[kind]
        else:
            raise _RefusedError("is no network in the ONNX format")
        if length > len(message) - place:
            raise _RefusedError("ends too early")
        yield number, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return a whole number of up to 64 bits and where the next thing begins."""
    value = 0
    for position, byte in enumerate(message[place : place + _MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:  # noqa: PLR2004 - the last byte's highest bit is not set
            return value, place + position + 1
    raise _RefusedError("ends too early")
