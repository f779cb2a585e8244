"""The words of which the schemas are made: a type, and what it says."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
STATES = (
    *("ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE"),
    *("CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
)


def of(kind: str | list[str], says: str, **more: Any) -> Schema:
    """What is of this type, with more rules for it."""
    return {"type": kind, **more, "description": says}


def number(says: str, *, null: bool = False) -> Schema:
    """A number of 0 or more."""
    return of(["number", "null"] if null else "number", says, minimum=0)


def count(says: str, *, null: bool = False) -> Schema:
    """A whole number of 0 or more."""
    return of(["integer", "null"] if null else "integer", says, minimum=0)


def traced(says: str) -> Schema:
    """A whole number that a single look cannot tell."""
    return count(f"{says}; null: not traced", null=True)


def text(says: str, *, null: bool = False) -> Schema:
    """A string."""
    return of(["string", "null"] if null else "string", says)


def one_of(says: str, *names: str | None) -> Schema:
    """One of these values."""
    return {"enum": list(names), "description": says}


def flag(says: str, *, null: bool = False) -> Schema:
    """True or false."""
    return of(["boolean", "null"] if null else "boolean", says)


def counts(says: str) -> Schema:
    """An object of counts by name."""
    return of("object", says, additionalProperties={"type": "integer", "minimum": 0})


_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
_COOKIE = r"^[0-9a-f]+$"


def moment(says: str, *, null: bool = False) -> Schema:
    """A moment in UTC, to the microsecond."""
    return of(["string", "null"] if null else "string", says, pattern=_TIME)


def cookie(says: str) -> Schema:
    """A socket's cookie in hex; null for none."""
    return of(["string", "null"], says, pattern=_COOKIE)


def spread(says: str) -> Schema:
    """Percentiles in us; null without any."""
    names = ("sum", "min", "p50", "p90", "p99", "p999", "max")
    return {
        "type": ["object", "null"],
        "description": f"{says}: us; quantiles are good to 6 %",
        "properties": {"count": {"type": "integer"}, **{n: {"type": "number"} for n in names}},
        "required": ["count", *names],
        "additionalProperties": False,
    }


def at_least(name: str) -> Schema:
    """Beside percentiles: of how many there is a lower bound alone, and the greatest of these."""
    return {
        f"{name}_at_least_count": count("others, which began before tracing"),
        f"{name}_at_least_us": number("the greatest lower bound of these", null=True),
    }
