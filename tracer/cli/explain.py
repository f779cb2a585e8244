"""`tcptrace explain`: what a name means, what causes it, what to look at, which command to type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tracer.errors import UsageError
    from tracer.explain.term import Kernel, Term

WIDEST = 100  # prose is hard to read beyond


@click.command()
@click.argument("words", nargs=-1, metavar="[TOPIC] [TERM]")
@click.option("-j", "--json", "as_json", is_flag=True, help="A JSON record of each, a line.")
def explain(words: tuple[str, ...], as_json: bool) -> None:
    """What a name means, what causes it, what to look at next, and the command to type.

    TERM is a state, errno, cause, reason, counter, setting, column or member of a record, of
    tcptrace, ss or netstat, in any spelling: close-wait, 111, "Connection refused", no_socket,
    TcpExtListenDrops, somaxconn, Recv-Q. Of a name that means several things each is told;
    `explain TOPIC TERM` tells of one. A topic alone lists its terms, nothing at all the topics.

    Nothing is traced, and no privileges are needed.
    """
    from tracer.explain import glossary, shown
    from tracer.words.topics import TOPICS

    width = _width()
    topic = words[0] if words and words[0] in TOPICS else None
    asked = " ".join(words[1:] if topic else words)
    if not asked.strip():
        found = glossary.terms(topic, _kernel)
        lines = shown.listed(found, width) if topic else shown.topics(found, width)
    else:
        found = glossary.lookup(asked, topic, _kernel)
        if not found:
            raise _unknown(asked, topic)
        lines = shown.told(found, width, _here)
    print("\n".join(_records(found) if as_json else lines))


def told(name: str, width: int) -> list[str]:
    """What a name means, in lines; none where it is not known."""
    from tracer.explain import glossary, shown

    found = glossary.lookup(name, None, _kernel)
    return shown.told(found, width, _here) if found else []


def _records(found: list[Term]) -> list[str]:
    import json

    from tracer.explain.term import document

    return [json.dumps(document(term, _here(term))) for term in found]


def _unknown(asked: str, topic: str | None) -> UsageError:
    from tracer.errors import UsageError
    from tracer.explain import glossary

    near = glossary.nearest(asked, topic, _kernel)
    listing = f"tcptrace explain{f' {topic}' if topic else ''} lists what is known"
    hint = f"nearest: {', '.join(near)}; {listing}" if near else listing
    return UsageError(f"{asked!r} is not known{f' among {topic}' if topic else ''}", hint)


def _width() -> int:
    """Of the terminal; 80 where there is none."""
    import os
    import shutil

    columns = shutil.get_terminal_size().columns if os.isatty(1) else 80
    return max(40, min(columns, WIDEST))


def _kernel() -> Kernel:
    """The running kernel's names; none where it does not tell."""
    from tracer.errors import TracerError
    from tracer.explain.term import Kernel

    try:
        from tracer.kernel import kernel_btf
        from tracer.kernel.packets import reason_names as drops
        from tracer.kernel.resets import reason_names as resets

        found = Kernel(tuple(drops().values()), tuple(resets().values()))
        kernel_btf.forget()
    except (TracerError, OSError):
        return Kernel()
    return found


def _here(term: Term) -> str | None:
    """What a setting stands at in this network namespace; None where it is not there."""
    from pathlib import Path

    if term.topic != "sysctls":
        return None
    try:
        text = Path("/proc/sys", *term.name.split(".")).read_text(encoding="utf-8")
    except OSError:
        return None
    return " ".join(text.split())
