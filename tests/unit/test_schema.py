"""`tcptrace schema`: what all JSON is held to."""

from __future__ import annotations

import json

import fastjsonschema
import pytest

from tracer.views.columns import EVENTS, LOST
from tracer.views.schema import CAUSES, KINDS, OUTCOMES, schema
from tracer.views.schema_words import STATES
from tracer.wire.layout import Layout


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_refuses_a_member_it_does_not_know_and_one_that_is_missing(kind: str) -> None:
    check = fastjsonschema.compile(schema(kind))
    for wrong in ({"kind": kind}, {"kind": "other"}, {"kind": kind, "surprise": 1}):
        with pytest.raises(fastjsonschema.JsonSchemaValueException):
            check(wrong)


@pytest.mark.parametrize("kind", EVENTS)
def test_an_events_schema_has_exactly_its_columns(kind: str) -> None:
    assert set(schema(kind)["required"]) == set(EVENTS[kind])


def test_the_schema_of_losses_has_exactly_their_columns() -> None:
    assert set(schema("lost")["required"]) == set(LOST)


def test_names_of_states_outcomes_and_causes_are_those_of_the_wire(wire: Layout) -> None:
    names = {name: set(values) for name, values in wire.enums.items()}
    assert set(STATES) == names["tcp_state"] - {"NONE"}
    assert {outcome.upper() for outcome in OUTCOMES} == names["outcome"]
    assert {cause.upper() for cause in CAUSES} == names["cause"] - {"MAX"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_member_says_what_it_is(kind: str) -> None:
    members = schema(kind)["properties"]
    silent = {name for name, member in members.items() if not member.get("description")}
    assert silent <= {"kind", "transitions"}
    assert json.dumps(schema(kind))
