"""Moments on the command line: dates and times, times of day, and spans from begin or end."""

from __future__ import annotations

import datetime
import re

from tracer.cli import values
from tracer.errors import UsageError
from tracer.wire.window import Moment

_OF_DAY = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d{1,9})?))?")


def moment(text: str, option: str) -> Moment:
    """`2026-07-01 03:12:41.5`, `2026-07-01T01:12:41Z`, `03:12`, `+30s`, `-1m`. Errors: UsageError.

    With `+` it counts from the recording's begin, with `-` from its end.
    """
    text = text.strip()
    typed = f"{option} {text}"
    if text[:1] in ("+", "-"):
        ns = round(values.duration(text[1:], option) * 1e9)
        return Moment(typed, after_ns=ns if text[0] == "+" else -ns)
    found = _OF_DAY.fullmatch(text)
    if found and int(found[1]) < 24 and int(found[2]) < 60 and float(found[3] or 0) < 60:
        minutes = int(found[1]) * 60 + int(found[2])
        return Moment(typed, day_ns=minutes * 60 * 10**9 + round(float(found[3] or 0) * 1e9))
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is no moment",
            "give one like 03:12:41, 2026-07-01T03:12:41, +30s (from the begin) or -1m (the end)",
        ) from None
    if when.tzinfo is None:
        return Moment(typed, local=when)
    whole = int((when - _EPOCH) / datetime.timedelta(microseconds=1))
    return Moment(typed, wall_ns=whole * 1000)


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
