"""Which name of one run is compared with which name of the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from metamodel.errors import ConfigError, nearest_name_hint

Kind: TypeAlias = Literal["primary", "behavior", "metamodel"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
KnownNames: TypeAlias = Mapping[Kind, Sequence[str]]


class NamePair(NamedTuple):
    """A name in the old run and the name of the same thing in the new run."""

    old: str
    new: str

    def __str__(self) -> str:
        """Return one name where both are equal."""
        return self.old if self.old == self.new else f"{self.old} = {self.new}"


def paired_names(old: KnownNames, new: KnownNames, matches: Sequence[str] = ()) -> dict[Kind, list[NamePair]]:
    """Pair the names of two runs: those that are told to match, then those that are equal and not told otherwise.

    Args:
        old: Names in the old run.
        new: Names in the new run.
        matches: `OLD=NEW`, or `KIND:OLD=NEW` where several kinds have both names.

    Raises:
        ConfigError: A match is none, or names something that is not there, or could mean several kinds.

    >>> kinds = {"primary": ["a"], "behavior": ["loop"], "metamodel": ["bag", "base_rate"]}
    >>> paired_names(kinds, {**kinds, "metamodel": ["bag2", "base_rate"]}, ["bag=bag2"])["metamodel"]
    [NamePair(old='bag', new='bag2'), NamePair(old='base_rate', new='base_rate')]
    """
    problems: list[str] = []
    told: dict[Kind, list[NamePair]] = {kind: [] for kind in KINDS}
    for text in matches:
        found = _told(text, old, new)
        if isinstance(found, str):
            problems.append(found)
        else:
            kind, pair = found
            told[kind] += [pair] if pair not in told[kind] else []
    if problems:
        raise ConfigError(problems, source="compare")
    pairs = {}
    for kind in KINDS:
        taken_old, taken_new = {pair.old for pair in told[kind]}, {pair.new for pair in told[kind]}
        there = set(new[kind]) - taken_new
        pairs[kind] = told[kind] + [
            NamePair(name, name) for name in old[kind] if name in there and name not in taken_old
        ]
    return pairs


def unpaired_names(names: Sequence[str], paired: Sequence[str]) -> list[str]:
    """Return the names that have no partner, in their order."""
    return [name for name in names if name not in set(paired)]


def _told(text: str, old: KnownNames, new: KnownNames) -> tuple[Kind, NamePair] | str:
    """Return what a match says, or what is wrong with it."""
    left, equals, new_name = text.partition("=")
    if not equals or not left or not new_name:
        return f"--match is {text!r}, must be OLD=NEW or KIND:OLD=NEW with KIND one of {', '.join(KINDS)}"
    prefix, colon, rest = left.partition(":")
    named = [kind for kind in KINDS if colon and kind == prefix]
    old_name, kinds = (rest, named) if named else (left, list(KINDS))
    fitting = [kind for kind in kinds if old_name in old[kind] and new_name in new[kind]]
    if len(fitting) == 1:
        return fitting[0], NamePair(old_name, new_name)
    if fitting:
        return f"--match {text!r} may mean {' or '.join(fitting)}: write {fitting[0]}:{old_name}={new_name}"
    for name, names, which in ((old_name, old, "first"), (new_name, new, "second")):
        known = [one for kind in kinds for one in names[kind]]
        if name not in known:
            return f"--match {text!r}: the {which} run has no {name!r}: {nearest_name_hint(name, known)}"
    return f"--match {text!r}: the two names are of different kinds"
