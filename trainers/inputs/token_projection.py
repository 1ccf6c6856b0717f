"""Token vectors that a metamodel takes along, as its pools see them: standardized, weighed and projected.

Projecting is linear, so that the mean of projected vectors is the projection of their mean. The table of them is a
sixteenth of the vectors' own, and the only part of them that predictions depend on.

Shapes: v = tokens, p = numbers a token, see `StaticMetamodel`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metamodel.errors import DataError
from metamodel.protocols import Compression
from metamodel.types import FloatArray
from trainers.artifacts.artifact import Artifact
from trainers.artifacts.carried import TOKENIZER_FILE
from trainers.artifacts.compression_packing import PackedWeights, is_rounded, packed, stored_tensors
from trainers.inputs.token_vectors import TokenVectors

TABLE = "carried_table"
# What the table was made with; nothing else reads it.
_REPLACED = ("standardizer", "network.scorers", "network.projections")


def with_table(artifact: Artifact, vectors: TokenVectors, table: FloatArray) -> Artifact:
    """Return an artifact that carries its own table instead of borrowing vectors.

    Where the artifact's other weights are rounded to 8 bits, so is the table.

    Args:
        artifact: Without a table.
        vectors: Whose tokenizer is carried too.
        table: Numbers of each token, [v, p].
    """
    carried = {TABLE: table.astype(np.float32)}
    kept = {
        name: tensor
        for name, tensor in stored_tensors(artifact.weights).items()
        if not any(name == one or name.startswith(f"{one}.") for one in _REPLACED)
    }
    rounded = PackedWeights({**kept, **packed(carried, Compression(int8=True)).stored})
    return replace(
        artifact,
        weights=rounded if is_rounded(artifact.weights) else {**kept, **carried},
        borrowed_bits={},
        files={TOKENIZER_FILE: vectors.tokenizer.to_str().encode()},
    )


def is_carried(artifact: Artifact) -> bool:
    """Say whether an artifact carries its table."""
    return TOKENIZER_FILE in artifact.files


def carried_vectors(artifact: Artifact) -> TokenVectors:
    """Return the tokenizer that an artifact carries; of the vectors there is only the table, so they have no width.

    Raises:
        DataError: It cannot be read, or has tokens that the table does not have.
    """
    from tokenizers import Tokenizer

    if set(artifact.files) != {TOKENIZER_FILE}:
        raise DataError(f"carries {sorted(artifact.files)}, must carry {TOKENIZER_FILE} alone: export again")
    try:
        tokenizer = Tokenizer.from_buffer(artifact.files[TOKENIZER_FILE])
    except Exception as error:  # tokenizers raises Exception itself
        raise DataError(f"{TOKENIZER_FILE}: is no tokenizer that can be read ({str(error)[:200]})") from error
    n_tokens = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    n_rows = len(artifact.floats(TABLE, (None, None)))
    if n_tokens > n_rows:
        raise DataError(f"{TOKENIZER_FILE}: has {n_tokens} tokens, {TABLE} {n_rows} rows: export again")
    identity = str(artifact.documents.get("vectors"))
    return TokenVectors(identity=identity, table=np.zeros((n_rows, 0), dtype=np.float16), tokenizer=tokenizer)
