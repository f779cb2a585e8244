"""Every JSON record that a test reads is held to its schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import fastjsonschema

from tracer.views.schema import schema

Record = dict[str, Any]


@cache
def _checker(kind: str) -> Callable[[Record], Record]:
    made: Callable[[Record], Record] = fastjsonschema.compile(schema(kind))
    return made


def checked(lines: Iterable[str]) -> list[Record]:
    """Records, one a line; fails for one that is not as `tcptrace schema` has it."""
    records: list[Record] = [json.loads(line) for line in lines]
    for record in records:
        try:
            _checker(record["kind"])(record)
        except fastjsonschema.JsonSchemaValueException as error:
            raise AssertionError(f"{error.message}: {record}") from error
    return records
