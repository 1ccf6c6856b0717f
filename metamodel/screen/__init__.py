"""Pre-screens: a metamodel with thresholds, in front of a primary model.

>>> from metamodel.screen import ScreenRule
>>> ScreenRule(behavior="correct", failures=("no",), threshold=0.3).threshold
0.3
"""

from metamodel.screen.folder import load_screen
from metamodel.screen.rules import Guarantee, ScreenRule
from metamodel.screen.screen import Screen
from metamodel.screen.screened import ScreenedPrompt

__all__ = ["Guarantee", "Screen", "ScreenRule", "ScreenedPrompt", "load_screen"]
