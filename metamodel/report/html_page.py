"""The text of a page: escaped, with its policy, styles, scripts and data in one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from metamodel.report.chart_json import to_safe_json
from metamodel.report.elements import JSONValue, Section
from metamodel.report.html_elements import FACETS, Layout, View
from metamodel.report.table_elements import POOLED
from metamodel.report.visible_text import plain

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER: Final = Path(__file__).parent
_ASSETS: Final = _FOLDER / "assets"
_LIBRARY: Final = "vendor/echarts.min.js"
_SCRIPTS: Final = ("table.js", "chart_parts.js", "chart_bars.js", "chart_curves.js", "chart_grids.js", "figure.js")
_FACET_WORDS: Final = {
    "primary": "Primary model",
    "behavior": "Behavior",
    "metamodel": "Metamodel",
    "split": "Split",
    "domain": "Domain",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of the contents."""

    id: str
    title: str
    facets: Mapping[str, JSONValue]
    children: Sequence[Entry] = ()


def render_page(
    title: str,
    sections: Sequence[Section],
    *,
    lead: str = "",
    kicker: str = "metamodel report",
    overview: Sequence[tuple[str, int]] = (),
) -> str:
    """Return a page as the text of one HTML file.

    Whatever comes from data is escaped; styles and scripts are let in by their hashes alone, and the page's own policy
    forbids every request.

    Args:
        title: Heading of the page.
        sections: What it shows, in order.
        lead: One sentence below the heading.
        kicker: A few words above it.
        overview: Names of what was counted, with the counts.

    Raises:
        ValueError: Two sections have one id, or a widget has no script.
    """
    layout = Layout()
    views = [layout.section(section) for section in sections]
    if len({view.id for view in views}) < len(views):
        raise ValueError(f"two sections share an id: {[view.id for view in views]}")
    widgets = sorted(set(_widget_names(layout)))
    style = _asset("report.css") + "".join(_widget_file(name, "css") or "" for name in widgets)
    scripts = _scripts(widgets, has_charts=bool(layout.figures))
    page = (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=plain(title),
            kicker=kicker,
            lead=plain(lead),
            overview=overview,
            policy=content_security_policy(styles=[style], scripts=scripts),
            style=_trusted(style),
            scripts=[_trusted(script) for script in scripts],
            sections=views,
            contents=[_entry(view) for view in views],
            filters=_filters(layout),
            data=_trusted(
                to_safe_json(
                    {
                        "figures": layout.figures,
                        "widgets": layout.widgets,
                        "looks": layout.looks(),
                        "pooled": POOLED,
                    }
                )
            ),
        )
    )
    # A lone surrogate cannot be written to a file; names have theirs shown, this is for what slipped through.
    return page.encode("utf-8", errors="replace").decode("utf-8")


def content_security_policy(*, styles: Sequence[str], scripts: Sequence[str]) -> str:
    """Return a policy that forbids every request and admits exactly these style sheets and scripts."""
    return (
        f"default-src 'none'; style-src {' '.join(map(_hash_source, styles))}; "
        f"script-src {' '.join(map(_hash_source, scripts))}; base-uri 'none'; form-action 'none'"
    )


def _filters(layout: Layout) -> list[tuple[str, str, list[str]]]:
    """Return the facets that have something to choose from: key, word and names."""
    found = [(facet, _FACET_WORDS[facet], list(layout.names[facet])) for facet in FACETS]
    return [one for one in found if len(one[2]) > 1]


def _entry(view: View) -> Entry:
    return Entry(id=view.id, title=view.title, facets=view.facets, children=list(_group_entries(view)))


def _group_entries(view: View) -> Iterator[Entry]:
    for child in view.children:
        if child.kind == "group":
            yield Entry(id=child.id, title=child.title, facets=child.facets)


def _widget_names(layout: Layout) -> Iterator[str]:
    for widget in layout.widgets.values():
        if isinstance(widget, Mapping):
            yield str(widget["name"])


def _scripts(widgets: Sequence[str], *, has_charts: bool) -> list[str]:
    """Return the scripts in the order in which they run: library, widgets, page."""
    found = [_asset(_LIBRARY)] if has_charts else []
    for name in widgets:
        script = _widget_file(name, "js")
        if script is None:
            raise ValueError(f"the widget {name!r} has no script {name}.js")
        found.append(script)
    parts = "\n".join(_asset(name) for name in (*_SCRIPTS, "page.js"))
    return [*found, f'"use strict";\n(() => {{\n{parts}\n}})();\n']


@cache
def _widget_file(name: str, ending: str) -> str | None:
    """Return a widget's file, or None where there is none."""
    if not name.isidentifier():
        raise ValueError(f"the name of a widget is {name!r}; it must be an identifier")
    for path in (_ASSETS / f"{name}.{ending}", _FOLDER / name / f"{name}.{ending}"):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return None


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = plain
    environment.filters["trusted"] = _trusted
    environment.filters["json"] = to_safe_json
    return environment


def _trusted(text: str) -> str:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704  # the package's own files, escaped JSON, and drawings that were checked


@cache
def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _hash_source(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"
