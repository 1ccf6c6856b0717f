"""Shorter variants of a saved metamodel: what is described is what predicts.

A variant is written, read back by the trainer of its kind, and predicts from the tensors that were read: the bits it
gains are those of exactly what was described.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from metamodel.errors import DataError
from metamodel.metamodels import load_metamodel
from metamodel.protocols import Compresses, Compression, Metamodel
from trainers.artifacts.artifact import Artifact
from trainers.artifacts.compression_packing import packed


def compressed_metamodel(artifact: Artifact, compression: Compression) -> Metamodel:
    """Return the metamodel of a shorter artifact; of what is made of others, these are compressed too.

    Args:
        artifact: As a trainer fitted or read it.
        compression: What to leave out.

    Raises:
        DataError: It has no weights to compress, or its trainer refuses to read what is left of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        _compressed(artifact, compression).save(Path(folder))
        return load_metamodel(folder)


def _compressed(artifact: Artifact, compression: Compression) -> Artifact:
    """Pack the artifact's own weights and those of its members, wherever there are any to pack."""
    members = tuple(_compressed_member(member, compression) for member in artifact.members)
    has_shorter_member = any(new is not old for new, old in zip(members, artifact.members, strict=True))
    try:
        weights = packed(artifact.weights, compression)
    except ValueError as error:
        if has_shorter_member:
            return replace(artifact, members=members)
        raise DataError(f"metamodel {artifact.facts.name} ({artifact.kind}): {error}") from error
    return replace(artifact, weights=weights, members=members)


def _compressed_member(member: Metamodel, compression: Compression) -> Metamodel:
    if not isinstance(member, Compresses):
        return member
    try:
        return member.compressed(compression)
    except DataError:  # nothing to leave out: it is kept whole
        return member
