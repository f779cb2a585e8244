"""Dropped packets as a capture: their headers, and in a comment why, where and whose."""

from __future__ import annotations

from pathlib import Path

from tracer.errors import TracerError
from tracer.views import stack_words
from tracer.views.columns import Facts, Row, rows
from tracer.views.drop_columns import is_expected_drop, told_by
from tracer.views.drop_rows import owner_text
from tracer.views.text import escape
from tracer.wire import reasons
from tracer.wire.layout import Records
from tracer.wire.pcapng import Capture


class Captured:
    """The file is made by `open`. Expected ones are left out, if not asked for."""

    def __init__(self, path: Path, force: bool, expected: bool) -> None:
        self._path, self._force, self._expected = path, force, expected
        self._headless = 0  # dropped before they had an IP header
        self._capture: Capture

    def open(self) -> None:
        """Make the file. Errors: TracerError."""
        try:
            self._capture = Capture(self._path, self._force)
        except OSError as error:
            raise self._refused(error) from error

    def add(self, records: Records, facts: Facts) -> None:
        """Keep a batch. Errors: TracerError where there is no more room."""
        try:
            for row in rows(records, "drop"):
                if self._expected or not is_expected_drop(row, facts):
                    self._add(row, facts)
            self._capture.flush()
        except OSError as error:
            raise self._refused(error) from error

    def _add(self, row: Row, facts: Facts) -> None:
        if not row.headers_length:
            self._headless += 1
            return
        device = f"{row.dev.decode('utf-8', 'replace') or 'unknown'} netns {row.netns}"
        self._capture.add(
            row.mono_ns + facts.clock.offset_ns,
            device,
            row.headers[: row.headers_length],
            row.length,
            facts.directions[row.direction] == "rx",
            comment(row, facts),
        )

    def _refused(self, error: OSError) -> TracerError:
        return TracerError(
            f"cannot write to {self._path}: {error.strerror}", "give more room or another place"
        )

    def close(self) -> list[str]:
        """End the file; returns what is to be said of it."""
        self._capture.close()
        told = [f"{self._path}: headers of {self._capture.packets} dropped packets"]
        if self._headless:
            told.append(f"{self._headless} more had no IP header yet")
        return told


def comment(row: Row, facts: Facts) -> str:
    """`NETFILTER_DROP at nf_hook_slow+0x9c (netfilter): a firewall rule …; owner gunicorn[7]`.

    With --stack the calls that led there are below it, a line each.
    """
    reason, function, syn, spent = told_by(row, facts)
    layer = reasons.layer_of(reason, function)
    place = f"{reason} at {facts.code.get(row.location, 'an unknown place')}"
    meaning = reasons.meaning_of(reason, function, syn, spent)
    text = f"{place}{f' ({layer})' if layer else ''}: {meaning}"
    owner = owner_text(facts, (row.pid, row.start))
    if owner is None:
        text += "; owner not known"
    else:
        how = facts.owners_from[row.owner_from].replace("_", " ")
        text = escape(f"{text}; owner ") + f"{owner}, by its {how}"
    stack = stack_words.below(row, facts) if facts.calls.shown else []
    return "\n".join([text, *stack])
