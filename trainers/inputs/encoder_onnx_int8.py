"""Round a carried encoder's weights to 8 bits: a quarter of the size, about half of the time, other predictions.

Every column of a weight matrix has a scale of its own; what is multiplied with it is rounded as it comes. Seven of the
eight bits are used, as sums of two products overflow on processors without 8-bit instructions of their own.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from metamodel.errors import MetamodelError
from trainers.inputs.encoder_onnx import OnnxStates

_ROUNDED = ("MatMul", "Gather")
# Where the quantizer looks whether a network was simplified first, which onnxruntime does anyway when it opens it.
_SIMPLIFIED = ("onnx.quant.pre_process", "onnxruntime.quant")


def rounded_states(states: OnnxStates) -> OnnxStates:
    """Return a carried encoder with weights of 8 bits.

    Raises:
        MetamodelError: onnx or onnxruntime is not installed.
    """
    if states.precision == "int8":
        return states
    try:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise MetamodelError(
            "rounding a carried encoder to 8 bits needs onnx and onnxruntime, and one is not installed: "
            "pip install 'metamodel[onnx]'"
        ) from error
    network = onnx.load_model_from_string(states.network)
    key, value = _SIMPLIFIED
    network.metadata_props.add(key=key, value=value)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rounded.onnx"
        quantize_dynamic(
            network,
            path,
            op_types_to_quantize=list(_ROUNDED),
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
        return replace(states, network=path.read_bytes(), precision="int8").checked()
