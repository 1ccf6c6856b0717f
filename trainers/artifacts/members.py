"""Read the metamodels that another one is made of, each in a folder of its own below members/.

All that is wrong raises a MetamodelError; no link is followed, and the nesting is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path

from metamodel.errors import DataError
from metamodel.labels import LabelSpace
from metamodel.metamodels import load_metamodel
from metamodel.protocols import Metamodel
from trainers.artifacts.artifact import JSON, MEMBERS_FOLDER, SPEC_FILE, StoredMetamodel
from trainers.artifacts.checks import mapping, read_json, whole

MOST_MEMBERS = 100
MOST_DEPTH = 4

_depth: ContextVar[int] = ContextVar("members_depth", default=0)


def read_members(folder: Path, count: JSON, spaces: Mapping[str, LabelSpace]) -> tuple[Metamodel, ...]:
    """Return the members of the metamodel in a folder.

    Args:
        folder: As `Artifact.save` wrote it.
        count: How many the spec says there are.
        spaces: Label spaces that each of them must have.

    Raises:
        DataError: A member is missing, outside the folder, nested too deep or of other behaviors.
    """
    spec_path = folder / SPEC_FILE
    n_members = whole(count, spec_path, "n_members")
    if not 0 <= n_members <= MOST_MEMBERS:
        raise DataError(f"{spec_path}: n_members is {n_members}, must be from 0 to {MOST_MEMBERS}: train again")
    if n_members and _depth.get() >= MOST_DEPTH:
        raise DataError(f"{folder}: metamodels are nested more than {MOST_DEPTH} deep, the most that is read")
    token = _depth.set(_depth.get() + 1)
    try:
        return tuple(_member(folder, position, spaces) for position in range(n_members))
    finally:
        _depth.reset(token)


def _member(folder: Path, position: int, spaces: Mapping[str, LabelSpace]) -> Metamodel:
    place = folder / MEMBERS_FOLDER / str(position)
    if place.resolve() != folder.resolve() / MEMBERS_FOLDER / str(position):
        raise DataError(f"{place}: is a link, members are read from inside the folder alone: copy it there")
    # Bounded in size and depth before anything else opens it.
    mapping(read_json(place / SPEC_FILE), place / SPEC_FILE)
    member = load_metamodel(place)
    if isinstance(member, StoredMetamodel) and dict(member.spaces) != dict(spaces):
        raise DataError(
            f"{place}: predicts {', '.join(member.spaces)}, must predict {', '.join(spaces)} in the same label spaces: "
            "train again"
        )
    return member
