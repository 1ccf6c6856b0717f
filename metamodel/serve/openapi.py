"""The description of the HTTP interface, with this server's limits and this pre-screen's behaviors in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi.openapi.utils import get_openapi

from metamodel.serve.bodies import request_schema
from metamodel.serve.settings import ServeSettings

if TYPE_CHECKING:
    from fastapi import FastAPI


def described(app: FastAPI, settings: ServeSettings, behaviors: Sequence[str], *, needs_key: bool) -> dict[str, object]:
    """Return the OpenAPI schema."""
    schema: dict[str, object] = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components, paths = schema["components"], schema["paths"]
    if not isinstance(components, dict) or not isinstance(paths, dict):
        raise TypeError("FastAPI described an interface without paths")
    # The route reads its body itself, so FastAPI does not know of it.
    components["schemas"]["ScreenRequest"] = request_schema(settings, behaviors)
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ScreenRequest"}}}
    paths["/v1/screen"]["post"]["requestBody"] = {"required": True, "content": content}
    for path in ("/v1/screen", "/metrics"):
        for operation in paths[path].values():
            if needs_key:
                operation["security"] = [{"key": []}]
            else:
                del operation["responses"]["401"]
    if needs_key:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return schema
