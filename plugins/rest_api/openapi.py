"""The OpenAPI 3.1 document, from what endpoints declare: what is not declared is not in it, and is not done."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from rainbow_xmpp.plugin import Access, EndpointMark
from rainbow_xmpp.plugins.rest_api.problems import MEDIA_TYPE, TITLES, ProblemDocument

_REF = "#/components/schemas/{name}"

PARAMETERS = {
    "company_id": "24 hex digits",
    "user_id": "24 hex digits",
}


def document(endpoints: Iterable[EndpointMark], url: str) -> dict[str, Any]:
    """For the endpoints of all plugins; `url` is where they are reached, with the prefix."""
    marks = sorted(endpoints, key=lambda mark: (mark.tag, mark.path, mark.method))
    kinds = [
        kind
        for mark in marks
        for kind in (mark.query, mark.body, mark.answer, *mark.others.values())
        if kind is not None
    ]
    references, schemas = msgspec.json.schema_components([*kinds, ProblemDocument], ref_template=_REF)
    schema_of = {
        _key(kind): schema for kind, schema in zip([*kinds, ProblemDocument], references, strict=True)
    }
    paths: dict[str, dict[str, Any]] = {}
    for mark in marks:
        paths.setdefault(mark.path, {})[mark.method.lower()] = _operation(mark, schema_of, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rainbow XMPP",
            "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url}],
        "tags": [{"name": tag} for tag in sorted({mark.tag for mark in marks})],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "password": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _operation(
    mark: EndpointMark, schema_of: Mapping[Any, Any], schemas: Mapping[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name(mark),
        "summary": mark.summary,
        "tags": [mark.tag],
        "parameters": [*_path_parameters(mark), *_query_parameters(mark, schemas), *_header_parameters(mark)],
        "responses": _responses(mark, schema_of),
        "security": _security(mark),
    }
    if mark.body is not None:
        content = {"application/json": {"schema": schema_of[_key(mark.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _name(mark: EndpointMark) -> str:
    words = re.sub(r"\W+", " ", mark.path.replace("{", "").replace("}", "")).split()
    return "_".join([mark.method.lower(), *words])


def _security(mark: EndpointMark) -> list[dict[str, list[str]]]:
    if mark.access is not Access.ANYBODY or mark.path.startswith("/auth/second-factor"):
        return [{"token": []}]
    return [{"password": []}] if mark.path == "/auth/login" else []


def _path_parameters(mark: EndpointMark) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "maxLength": 100}}
        for name in re.findall(r"{(\w+)}", mark.path)
    ]


def _query_parameters(mark: EndpointMark, schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    if mark.query is None:
        return []
    schema = schemas[mark.query.__name__]
    needed = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": part}
        for name, part in schema["properties"].items()
    ]


def _header_parameters(mark: EndpointMark) -> list[dict[str, Any]]:
    found = []
    if mark.method == "POST" and mark.access is not Access.ANYBODY:
        found.append(_header("Idempotency-Key", "A repetition with the same key gets the same answer."))
    if 412 in mark.problems:
        found.append(_header("If-Match", "The entity tag of what is to be changed."))
    return found


def _header(name: str, what: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": what, "schema": {"type": "string", "maxLength": 200}}


def _responses(mark: EndpointMark, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done"}
    if mark.answer is not None:
        done["content"] = {"application/json": {"schema": schema_of[_key(mark.answer)]}}
    found = {str(mark.status): done}
    for status, kind in mark.others.items():
        found[str(status)] = {
            "description": "Something else is wanted first",
            "content": {"application/json": {"schema": schema_of[_key(kind)]}},
        }
    refused = {"content": {MEDIA_TYPE: {"schema": schema_of[_key(ProblemDocument)]}}}
    for status, text in {**dict.fromkeys(_usual(mark), ""), **mark.problems}.items():
        found[str(status)] = {"description": text or TITLES[status], **refused}
    found["431"] = {"description": "Said before anybody reads the request", "content": {"text/plain": {}}}
    return dict(sorted(found.items()))


def _usual(mark: EndpointMark) -> Iterable[int]:
    """The refusals that need no word of the endpoint's."""
    yield from (400, 405, 429, 500, 503)
    if mark.access is not Access.ANYBODY:
        yield 401
    if mark.access in (Access.COMPANY_ADMIN, Access.OPERATOR):
        yield 403
        if mark.method != "GET":
            yield 422  # operators say why
    if "{" in mark.path:
        yield 404
    if mark.body is not None:
        yield from (413, 415, 422)
    if mark.method == "POST" and mark.access is not Access.ANYBODY:
        yield from (409, 422)


def _key(kind: Any) -> Any:
    return kind
