"""The description of the service as one page: made here, loads nothing from anywhere, runs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#1b1f2a;background:#fff}
h2{margin-top:2rem;font-size:1.05rem}code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{background:#f4f5f9;padding:.75rem;overflow:auto;border-radius:.375rem}b{color:#4338ca}
table{border-collapse:collapse}td{padding:.15rem 1rem .15rem 0;vertical-align:top}
@media (prefers-color-scheme:dark){body{color:#e6e9f2;background:#12151d}pre{background:#1c2130}b{color:#a5b4fc}}
"""


def page_of(schema: Mapping[str, Any]) -> str:
    """The page of an OpenAPI description."""
    title = escape(f"{schema['info']['title']} {schema['info']['version']}")
    routes = "".join(_routes(schema))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>Completions through Assay's ledger, within its budgets. Send "
        "<code>Authorization: Bearer</code> with the token, unless the service runs without one. Further headers: "
        "<code>X-Assay-Tag</code> (tags of the call), <code>X-Zero-Data-Retention: true</code>, "
        "<code>X-Assay-Allow-Unknown: true</code>. The machine-readable description is "
        f'<a href="openapi.json">openapi.json</a>.</p>{routes}</body></html>'
    )


def _routes(schema: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            yield f"<h2><b>{escape(method.upper())}</b> <code>/api{escape(path)}</code></h2>"
            yield f"<p>{escape(route.get('summary', ''))}</p>"
            fields = _fields(route)
            if fields:
                yield f"<table>{fields}</table>"
                yield f"<pre>{escape(_example(path))}</pre>"


def _fields(route: Mapping[str, Any]) -> str:
    content = route.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = content.get("schema", {})
    needed = schema.get("required", ())
    return "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{'needed' if name in needed else ''}</td>"
        f"<td>{escape(field.get('description', ''))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    )


def _example(path: str) -> str:
    text = {"/v1/embeddings": '"input": "..."', "/v1/responses": '"input": "Hello"'}
    asked = text.get(path, '"messages": [{"role": "user", "content": "Hello"}], "temperature": 0.7')
    return (
        f"curl http://127.0.0.1:8600/api{path} -H 'Authorization: Bearer ...' \\\n"
        f"  -H 'Content-Type: application/json' -d '{{\"model\": \"...\", {asked}}}'"
    )
