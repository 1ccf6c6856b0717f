"""What a slice of prompts is: one or two conditions that each prompt meets or not.

Shapes: n = prompts, s = conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csc_array

SliceKind = Literal["ngrams", "surface", "clusters"]
SLICE_KINDS: Final[tuple[SliceKind, ...]] = get_args(SliceKind)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Something that a prompt meets or not, in words. It may hold text of prompts, which nobody vouches for.

    Attributes:
        kind: What it looks at.
        source: What several conditions share that cut the same number at different places; conditions of one source are
            not joined.
        met: How to say that a prompt meets it.
        unmet: How to say that it does not.
    """

    kind: SliceKind
    source: str
    met: str
    unmet: str


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Prompts that meet one condition, or two at once.

    Attributes:
        columns: Numbers of the conditions.
        negated: Whether each is to be unmet.
    """

    columns: tuple[int, ...]
    negated: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """s conditions over n prompts.

    Attributes:
        conditions: What they say, s of them.
        members: Which prompt meets which, [n, s], ones.
    """

    conditions: Sequence[Condition]
    members: csc_array

    def __len__(self) -> int:
        """Return the number of conditions s."""
        return len(self.conditions)

    def column(self, number: int) -> NDArray[np.bool_]:
        """Return which prompts meet one condition, [n]."""
        found = np.zeros(self.members.shape[0], dtype=bool)
        found[self.members.indices[self.members.indptr[number] : self.members.indptr[number + 1]]] = True
        return found

    def prompts_of(self, one: Slice) -> NDArray[np.bool_]:
        """Return which prompts are in a slice, [n]."""
        found = np.ones(self.members.shape[0], dtype=bool)
        for column, is_negated in zip(one.columns, one.negated, strict=True):
            found &= self.column(column) ^ is_negated
        return found

    def text_of(self, one: Slice) -> str:
        """Say in words which prompts a slice holds."""
        pairs = zip(one.columns, one.negated, strict=True)
        said = [(self.conditions[column], is_negated) for column, is_negated in pairs]
        return " and ".join(condition.unmet if is_negated else condition.met for condition, is_negated in said)

    def kind_of(self, one: Slice) -> str:
        """Name what a slice looks at, joined by + where it looks at two things."""
        return "+".join(dict.fromkeys(self.conditions[column].kind for column in one.columns))


def joined_conditions(parts: Iterable[Conditions], *, least: int) -> Conditions:
    """Return the conditions of all parts; of those that the same prompts meet the first, and none that are too rare.

    Args:
        parts: Over the same n prompts.
        least: Fewest prompts that must meet it, and fewest that must not.
    """
    from scipy.sparse import csc_array, hstack

    held = list(parts)
    conditions = [condition for part in held for condition in part.conditions]
    members = csc_array(hstack([part.members for part in held], format="csc"))
    sizes = np.diff(members.indptr)
    # Equal sets of prompts have equal sums of random numbers; the other way round but for one in 2^64.
    codes = np.random.default_rng(0).integers(0, 2**64, size=members.shape[0], dtype=np.uint64)
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(codes[members.indices], dtype=np.uint64)])
    marks = sums[members.indptr[1:]] - sums[members.indptr[:-1]]
    everyone = codes.sum(dtype=np.uint64)
    marks = np.minimum(marks, everyone - marks)  # a set and its complement are one slice and its negation
    _, firsts = np.unique(marks, return_index=True)
    is_first = np.zeros(len(conditions), dtype=bool)
    is_first[firsts] = True
    kept = np.flatnonzero(is_first & (sizes >= least) & (sizes <= members.shape[0] - least))
    return Conditions(conditions=[conditions[number] for number in kept], members=csc_array(members[:, kept]))


def members_from(columns: Sequence[NDArray[np.bool_]], n_prompts: int) -> csc_array:
    """Return columns of which each says which prompts meet a condition, as a matrix [n, s]."""
    from scipy.sparse import csc_array

    rows = [np.flatnonzero(column) for column in columns]
    indptr = np.cumsum([0, *(len(row) for row in rows)])
    indices = np.concatenate([np.empty(0, dtype=np.int64), *rows])
    return csc_array((np.ones(len(indices), dtype=np.float64), indices, indptr), shape=(n_prompts, len(columns)))
