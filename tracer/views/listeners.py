"""`listeners`: the queues of every listening socket, how deep, how long full, what they lost."""

from __future__ import annotations

import csv
import io
import json

import numpy as np

from tracer.flows.drops import DROPS, Counters, explained
from tracer.flows.listeners import Listener, ListenerTable
from tracer.flows.tally import Outcome, Tally
from tracer.views.base import View
from tracer.views.closing import Proofs, closing, explain_lost
from tracer.views.columns import Facts
from tracer.views.output import Notices, Output
from tracer.views.reconciled import Witness, proof_document
from tracer.views.scope import probes, scope
from tracer.views.tables import Heading, table
from tracer.views.text import address, endpoint, escape
from tracer.wire.batch import Batch
from tracer.wire.head import Head
from tracer.wire.layout import Records

HEADINGS = (
    Heading("LISTENER", words=True),
    Heading("OWNER", words=True),
    Heading("QUEUE"),
    Heading("PEAK"),
    Heading("MAX"),
    Heading("SET BY", words=True),
    Heading("FULL"),
    Heading("SYNQ"),
    Heading("PEAK"),
    Heading("MAX"),
    Heading("ACC/s"),
    Heading("OVERFL"),
    Heading("DROPS"),
)
ANY = (b"\0" * 16, b"\0" * 10 + b"\xff\xff" + b"\0" * 4)


class ListenersView(View):
    """A block at each mark, and one for the whole at the end."""

    needs = ("listeners",)

    def __init__(self, output: Output, notices: Notices, form: str = "table") -> None:
        self._output, self._notices, self._form = output, notices, form
        self._marks = 0
        self._facts: Facts
        self._head: Head
        self._told: Counters = {}

    def begin(self, facts: Facts, head: Head) -> None:
        """Start to gather."""
        self._facts, self._head = facts, head
        self._table = ListenerTable(facts.layout)
        self._witness = Witness(DROPS)
        self._began_ns = self._mark_ns = head.started_ns
        self._proofs = Proofs()
        self._total = False
        if self._form == "csv":
            self._output.write([",".join(_CSV)])

    def batch(self, batch: Batch) -> None:
        """Only names are wanted of the records."""
        for task in batch.kinds.get("task", ()):
            self._facts.processes.add_event(task)

    def listeners(self, rows: Records) -> None:
        """Take a look at all of them."""
        self._table.look(rows)

    def drops(self, pairs: Records, filtered: bool) -> None:
        """What was told of drops, whatever the filters: the witness knows of none."""
        self._told = explained(pairs, self._facts.layout)

    def kernel(self, counters: Counters) -> None:
        """Take the witness's word."""
        self._witness.take(counters)

    def notice(self, text: str) -> None:
        """Something about the session."""
        self._notices.say(text)

    def mark(self, now_ns: int, tally: Tally) -> None:
        """Show what this interval brought."""
        proof = self._proofs.line(tally, now_ns - self._mark_ns)
        self._show(self._table.since_last(), now_ns, now_ns - self._mark_ns, "", proof)
        self._mark_ns = now_ns
        self._marks += 1

    def end(self, outcome: Outcome) -> None:
        """Show the whole span."""
        headed = "total  " if self._marks else ""
        self._total = True
        proof = closing(outcome.tally, outcome.span_ns)
        now = self._began_ns + outcome.span_ns
        self._show(self._table.in_all(), now, outcome.span_ns, headed, proof, last=True)
        for text in explain_lost(outcome.tally):
            self._notices.say(text)
        if self._form != "table":
            self._notices.say(proof)

    # --- forms ----------------------------------------------------------------

    def _show(
        self,
        found: list[Listener],
        now_ns: int,
        span_ns: int,
        headed: str,
        proof: str,
        last: bool = False,
    ) -> None:
        if self._form == "json":
            documents = [self._document(one, now_ns, span_ns) for one in found]
            if last:
                moment = self._facts.clock.iso(now_ns)
                documents += [
                    proof_document(one, moment) for one in self._witness.proof(self._told)
                ]
            self._output.write([json.dumps(document) for document in documents])
        elif self._form == "csv":
            self._output.write([self._csv(one, now_ns, span_ns) for one in found])
        else:
            how = probes(self._head)
            lines = [headed + scope("listeners", self._head, self._facts, now_ns, span_ns, how)]
            lines += table(HEADINGS, [self._row(one, span_ns) for one in found])
            lines += [text for one in found if (text := self._causes(one))]
            if last:
                lines += self._witness.lines(self._told)
            self._output.write([*lines, proof, *([] if headed or not self._marks else [""])])

    def _name(self, row: np.void) -> str:
        host = bytes(row["addr"])
        return endpoint("*" if host in ANY else address(host), int(row["port"]))

    def _owner(self, row: np.void) -> str:
        process = self._facts.process(int(row["pid"]), int(row["start"]))
        if process is None:
            return "-"
        others = self._holders(row) - 1
        more = f" +{others}" if others > 0 else ""
        return f"{escape(process.comm)}[{process.pid or '-'}]{more}"

    def _holders(self, row: np.void) -> int:
        holders = self._facts.holders
        if holders is None:
            return 0
        return len(np.unique(holders["pid"][holders["cookie"] == row["cookie"]]))

    def _row(self, one: Listener, span_ns: int) -> list[str]:
        row, counted = one.row, one.counted
        closed = bool(row["closed_ns"])
        full = counted["full_ns"] / span_ns if span_ns else 0
        queue = ["-", "-"] if closed else [str(row["accept_queue"]), str(row["syn_queue"])]
        limit = str(row["accept_queue_max"])
        seconds = span_ns / 1e9
        dropped = sum(one.drops.values())
        return [
            self._name(row) + (" (closed)" if closed else ""),
            self._owner(row),
            queue[0],
            str(one.accept_queue_peak),
            limit,
            max_set_by(row) or "-",
            f"{full:.0%}",
            queue[1],
            str(one.syn_queue_peak),
            limit,
            f"{counted['accepts'] / seconds:.0f}" if seconds else "-",
            str(counted["overflows"]) + (" !" if counted["overflows"] else ""),
            str(dropped) + (" !" if dropped else ""),
        ]

    def _causes(self, one: Listener) -> str:
        counted = one.counted
        parts = [f"{cause} {count}" for cause, count in one.drops.items()]
        if counted["cookies_sent"]:
            parts.append(f"cookies {counted['cookies_sent']}")
        for name in ("reset_in_queue", "never_accepted"):
            if counted[name]:
                parts.append(f"{name.replace('_', ' ')} {counted[name]}")
        if not parts:
            return ""
        hint = "; a queue of MAX holds MAX+1" if "accept_queue_full" in one.drops else ""
        return f"{self._name(one.row)}  {', '.join(parts)}{hint}"

    def _document(self, one: Listener, now_ns: int, span_ns: int) -> dict[str, object]:
        row, clock = one.row, self._facts.clock
        process = self._facts.process(int(row["pid"]), int(row["start"]))
        closed = bool(row["closed_ns"])
        return {
            "ts": clock.iso(now_ns),
            "span_us": span_ns // 1000,
            "kind": "listener",
            "total": self._total,
            "listener_addr": address(bytes(row["addr"])),
            "listener_port": int(row["port"]),
            "listener_pid": process.pid if process else None,
            "listener_comm": process.comm if process else None,
            "listener_cookie": f"{int(row['cookie']):x}",
            "netns": int(row["netns"]),
            "holders": self._holders(row),
            "reuseport": bool(row["reuseport"]),
            "defer_accept": int(row["defer_accept"]),
            "fastopen": bool(row["fastopen"]),
            "accept_queue": None if closed else int(row["accept_queue"]),
            "accept_queue_peak": one.accept_queue_peak,
            "accept_queue_max": int(row["accept_queue_max"]),
            "max_set_by": max_set_by(row),
            "full_us": one.counted["full_ns"] // 1000,
            "syn_queue": None if closed else int(row["syn_queue"]),
            "syn_queue_peak": one.syn_queue_peak,
            "syn_queue_max": int(row["accept_queue_max"]),
            "finished": one.counted["finished"],
            "accepts": one.counted["accepts"],
            "reset_in_queue": one.counted["reset_in_queue"],
            "never_accepted": one.counted["never_accepted"],
            "overflows": one.counted["overflows"],
            "syn_drops": one.drops,
            "cookies_sent": one.counted["cookies_sent"],
            "opened": clock.iso(int(row["opened_ns"])) if row["opened_ns"] else None,
            "closed": clock.iso(int(row["closed_ns"])) if closed else None,
        }

    def _csv(self, one: Listener, now_ns: int, span_ns: int) -> str:
        values = self._document(one, now_ns, span_ns)
        values["syn_drops"] = sum(one.drops.values())
        text = io.StringIO()
        cells = [values[name] for name in _CSV]
        csv.writer(text, lineterminator="").writerow(
            ["" if c is None else escape(c) if isinstance(c, str) else c for c in cells]
        )
        return text.getvalue()


_CSV = (
    *("ts", "span_us", "kind", "total", "listener_addr", "listener_port"),
    *("listener_pid", "listener_comm"),
    *("listener_cookie", "netns", "holders", "reuseport", "defer_accept", "fastopen"),
    *("accept_queue", "accept_queue_peak", "accept_queue_max", "max_set_by", "full_us"),
    *("syn_queue", "syn_queue_peak", "syn_queue_max", "finished", "accepts", "reset_in_queue"),
    *("never_accepted", "overflows", "syn_drops", "cookies_sent", "opened", "closed"),
)


def max_set_by(row: np.void) -> str | None:
    """Which of the two binds: listen()'s backlog is cut down to somaxconn (net/socket.c)."""
    if not row["somaxconn"]:
        return None
    return "somaxconn" if row["accept_queue_max"] >= row["somaxconn"] else "listen"
