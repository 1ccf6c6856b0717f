"""Pre-screens inside other people's frameworks: a plain function, and a guardrail for LiteLLM.

>>> from metamodel.integrations import guard
>>> guard.__name__
'guard'
"""

from metamodel.integrations.plain import Guard, StoppedError, guard

__all__ = ["Guard", "StoppedError", "guard"]
