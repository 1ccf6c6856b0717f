"""A jinja2 environment for templates from strangers: text in, text out.

What is left of the language can name, choose, loop and cut; it cannot reach Python, and nothing in it makes a long text
out of a short one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

_FILTERS: Final = (
    *("capitalize", "count", "d", "default", "first", "float", "int", "items", "join", "last", "length", "list"),
    *("lower", "max", "min", "reject", "reverse", "round", "select", "sort", "string", "title", "tojson", "trim"),
    *("unique", "upper", "wordcount"),
)
_TEXT_METHODS: Final = frozenset(
    {
        "capitalize",
        "endswith",
        "lower",
        "lstrip",
        "rstrip",
        "split",
        "splitlines",
        "startswith",
        "strip",
        "title",
        "upper",
    }
)
_MAPPING_METHODS: Final = frozenset({"get", "items", "keys", "values"})
# With these a few characters make gigabytes: "x" * 10**9, 9**9**9, "%999999999d" % 1.
_COSTLY: Final = frozenset({"*", "**", "%"})


def template_environment() -> SandboxedEnvironment:
    """Return the environment; an undefined name in a template is an error, not an empty text."""
    from jinja2 import StrictUndefined
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class TextEnvironment(ImmutableSandboxedEnvironment):
        intercepted_binops = _COSTLY

        def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
            del value
            return attr in _TEXT_METHODS if isinstance(obj, str) else isinstance(obj, dict) and attr in _MAPPING_METHODS

        def wrap_str_format(self, value: object) -> None:
            """Leave out `str.format`, which the sandbox allows: "{:999999999}" is costly as well."""
            del value

        def call_binop(self, context: object, operator: str, left: object, right: object) -> object:
            del context
            if operator == "%" and isinstance(left, int) and isinstance(right, int):
                return left % right
            if operator == "*" and isinstance(left, int | float) and isinstance(right, int | float):
                return (
                    float(left) * float(right) if isinstance(left, float) or isinstance(right, float) else left * right
                )
            raise SecurityError(f"{operator} is for numbers only here")

    # A prompt is no web page: escaping would change what the model reads.
    environment = TextEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    # `range` counts on, `lipsum` is random, the others make objects: a template needs none of them.
    environment.globals = {}
    return environment
