"""From a matplotlib figure to an SVG that can stand in a page: named, themed, without styles, scripts or shared ids."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from metamodel.report.palette import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG_NAMESPACE: Final = "http://www.w3.org/2000/svg"
_SVG: Final = f"{{{SVG_NAMESPACE}}}"
_XLINK_HREF: Final = "{http://www.w3.org/1999/xlink}href"
_XML_SPACE: Final = "{http://www.w3.org/XML/1998/namespace}space"
_STYLE: Final = Path(__file__).parent / "assets" / "charts.mplstyle"
_FONT_SIZE: Final = re.compile(r"([\d.]+)px")
_URL: Final = re.compile(r"url\(#([^)]+)\)")


@contextmanager
def drawing_style() -> Iterator[None]:
    """Set matplotlib so that the same data gives the same bytes and names are never read as formulas."""
    import matplotlib as mpl

    with mpl.rc_context(fname=_STYLE), warnings.catch_warnings():
        # Names may hold letters that the layout font lacks; the page is set in the reader's own fonts.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font", category=UserWarning)
        yield


def figure_to_svg(figure: Figure, *, name: str, title: str, description: str) -> str:
    """Return a figure as the text of one `<svg>` element.

    Args:
        figure: What was drawn, inside `drawing_style`.
        name: Stands before every id, so that several charts can share a page.
        title: Accessible name.
        description: Accessible description.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    root = ET.fromstring(buffer.getvalue())  # noqa: S314  # matplotlib's own output
    _drop(root, {"metadata", "style"})
    _inline(root)
    _scope_ids(root, prefix=name)
    _label(root, name=name, title=title, description=description)
    ET.register_namespace("", SVG_NAMESPACE)
    return ET.tostring(root, encoding="unicode")


def _drop(root: ET.Element, tags: set[str]) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {_SVG + tag for tag in tags}:
                parent.remove(child)


def _inline(root: ET.Element) -> None:
    """Turn style attributes, which a strict page refuses, into plain ones, and ink into the text color."""
    for element in root.iter():
        style = element.attrib.pop("style", "")
        element.attrib.pop(_XML_SPACE, None)
        if _XLINK_HREF in element.attrib:
            element.set("href", element.attrib.pop(_XLINK_HREF))
        for declaration in filter(None, (part.strip() for part in style.split(";"))):
            key, _, value = declaration.partition(":")
            _set_property(element, key.strip(), value.strip())
        for key, value in element.attrib.items():
            if value == INK:
                element.set(key, "currentColor")


def _set_property(element: ET.Element, key: str, value: str) -> None:
    """Set one property, but for the font's name: the page is set in the reader's own."""
    if key == "font":  # before matplotlib 3.11, one shorthand for size, weight and name
        size = _FONT_SIZE.search(value)
        if size:
            element.set("font-size", size.group(1))
        if "bold" in value or re.search(r"\b[67]00\b", value):
            element.set("font-weight", "600")
    elif key != "font-family":
        element.set(key, value)


def _scope_ids(root: ET.Element, *, prefix: str) -> None:
    """Put the chart's name before ids that are referred to and drop all others."""
    used = {match for element in root.iter() for match in _references(element)}
    for element in root.iter():
        identifier = element.attrib.pop("id", None)
        if identifier in used:
            element.set("id", f"{prefix}-{identifier}")
        for key, value in list(element.attrib.items()):
            if key == "href":
                element.set(key, value.replace("#", f"#{prefix}-", 1))
            elif "url(#" in value:
                element.set(key, _URL.sub(rf"url(#{prefix}-\1)", value))


def _references(element: ET.Element) -> Iterator[str]:
    for key, value in element.attrib.items():
        if key == "href":
            yield value.removeprefix("#")
        yield from _URL.findall(value)


def _label(root: ET.Element, *, name: str, title: str, description: str) -> None:
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    root.set("font-family", "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif")
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(_SVG + tag, {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(position, element)
