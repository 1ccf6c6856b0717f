"""A metamodel's encoder, taken along instead of borrowed."""

from __future__ import annotations

from dataclasses import replace

from metamodel.protocols import Compression
from trainers.artifacts.artifact import Artifact
from trainers.artifacts.compression_packing import is_rounded, without
from trainers.inputs.encoder_onnx import DOCUMENT, OnnxStates, carried_states
from trainers.inputs.encoder_tuned import PREFIX


def with_encoder(artifact: Artifact, states: OnnxStates) -> Artifact:
    """Return an artifact that carries an encoder; what was learned of it is in the network and kept nowhere else.

    Where the artifact's own weights are rounded to 8 bits, so are the encoder's.
    """
    if is_rounded(artifact.weights):
        from trainers.inputs.encoder_onnx_int8 import rounded_states

        states = rounded_states(states)
    return replace(
        artifact,
        weights=without(artifact.weights, PREFIX),
        documents={**artifact.documents, DOCUMENT: states.document},
        borrowed_bits={},
        files=states.files,
    )


def shorter_encoder(artifact: Artifact, compression: Compression) -> Artifact:
    """Return an artifact whose carried encoder, if it has one, is as short as asked for; pruning leaves it alone."""
    if not compression.int8 or DOCUMENT not in artifact.documents:
        return artifact
    from trainers.inputs.encoder_onnx_int8 import rounded_states

    states = carried_states(artifact)
    return artifact if states is None else with_encoder(artifact, rounded_states(states))
