"""The page at /docs: what the server answers to, without a script and without a request to anywhere else."""

from __future__ import annotations

import json
from html import escape

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}}
pre{{background:#f4f4f4;padding:.8rem;overflow:auto}}code{{font-size:.95em}}summary{{cursor:pointer}}</style></head>
<body><h1>{title}</h1><p>{description}</p>
<p>The whole interface as <a href="/openapi.json">OpenAPI</a>.</p>{operations}
<h2>Schemas</h2>{schemas}</body></html>
"""


def docs_page(schema: dict[str, object]) -> str:
    """Return the page that says what an OpenAPI schema says."""
    paths, info, components = _mapping(schema, "paths"), _mapping(schema, "info"), _mapping(schema, "components")
    operations = "".join(
        _operation(path, method, _mapping(methods, method))
        for path in paths
        for methods in (_mapping(paths, path),)
        for method in methods
    )
    schemas = "".join(
        f"<details><summary><code>{escape(name)}</code></summary>{_code(body)}</details>"
        for name, body in _mapping(components, "schemas").items()
    )
    return _PAGE.format(
        title=escape(str(info.get("title", ""))),
        description=escape(str(info.get("description", ""))),
        operations=operations,
        schemas=schemas,
    )


def _operation(path: str, method: str, operation: dict[str, object]) -> str:
    responses = _mapping(operation, "responses")
    answers = "".join(
        f"<li><code>{escape(status)}</code> {escape(str(_mapping(responses, status).get('description', '')))}</li>"
        for status in responses
    )
    body = _mapping(operation, "requestBody")
    shown = f"<details><summary>Request</summary>{_code(body)}</details>" if body else ""
    text = escape(str(operation.get("description", "")))
    return f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2><p>{text}</p>{shown}<ul>{answers}</ul>"


def _code(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2))}</pre>"


def _mapping(value: dict[str, object], key: str) -> dict[str, object]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
