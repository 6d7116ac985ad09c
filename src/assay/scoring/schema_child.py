"""Holds values against schemas, in a process that a schema which branches without end may take with it.

    python -P -m assay.scoring.schema_child MEGABYTES SECONDS

A request is [schema, draft, formats, value], an answer what is wrong with the value ("" for nothing), or
{"wrong": words} where the schema cannot be used.
"""

from __future__ import annotations

import sys
from typing import Any

from assay.errors import AssayError
from assay.scoring.pattern_child import serve
from assay.scoring.schemas import schema_of


def problem(request: list[Any]) -> Any:
    """What is wrong with the value of a request by its schema."""
    text, draft, formats, value = request
    try:
        return schema_of(text, draft=draft, formats=formats).problem_here(value)
    except AssayError as error:
        return {"wrong": str(error)}
    except RecursionError:
        return {"wrong": "The answer is nested too deeply for this schema."}
    except Exception as error:  # noqa: BLE001 - this process has no other purpose than to say what went wrong
        return {"wrong": f"The schema cannot be applied to this answer: {type(error).__name__}: {str(error)[:200]}"}


if __name__ == "__main__":
    serve(problem, *sys.argv[1:])
