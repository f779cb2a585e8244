"""`tcptrace explain`: names in any spelling, those that mean several things, and those unknown."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.schemas import checked
from tracer import cli
from tracer.explain import shown
from tracer.explain.glossary import lookup, nearest, terms
from tracer.explain.term import Kernel, Term
from tracer.words.entry import Entry
from tracer.words.topics import TOPICS

ROOT = Path(__file__).resolve().parents[2]


def names(text: str, topic: str | None = None) -> list[tuple[str, str]]:
    return [(term.topic, term.name) for term in lookup(text, topic)]


@pytest.mark.parametrize(
    ("spellings", "meant"),
    [
        (
            ("close-wait", "CLOSE_WAIT", "TCP_CLOSE_WAIT", "8", "closewait", " Close Wait "),
            ("states", "CLOSE_WAIT"),
        ),
        (("ESTAB", "established", "TCP_ESTABLISHED", "1"), ("states", "ESTABLISHED")),
        (("FIN-WAIT-1", "fin_wait1", "FINWAIT1"), ("states", "FIN_WAIT1")),
        (("ECONNREFUSED", "111", "Connection refused", "econnrefused"), ("errnos", "ECONNREFUSED")),
        (("EWOULDBLOCK", "eagain"), ("errnos", "EAGAIN")),
        (
            ("TCPBacklogDrop", "TcpExtTCPBacklogDrop", "tcpext_tcpbacklogdrop"),
            ("counter-names", "TcpExtTCPBacklogDrop"),
        ),
        (("SKB_DROP_REASON_NO_SOCKET", "no_socket", "NO_SOCKET"), ("drop-reasons", "NO_SOCKET")),
        (("SK_RST_REASON_NO_SOCKET", "NO_SOCKET"), ("reset-reasons", "NO_SOCKET")),
        (
            ("net.ipv4.tcp_tw_reuse", "tcp_tw_reuse", "/proc/sys/net/ipv4/tcp_tw_reuse"),
            ("sysctls", "net.ipv4.tcp_tw_reuse"),
        ),
        (("net.ipv4.conf.eth0.rp_filter",), ("sysctls", "net.ipv4.conf.all.rp_filter")),
        (("Recv-Q", "recv-q"), ("ss-columns", "Recv-Q")),
        (("RECV-Q",), ("columns", "RECV-Q")),
        (
            ("    17 SYNs to LISTEN sockets dropped", "SYNs to LISTEN sockets dropped"),
            ("netstat-lines", "SYNs to LISTEN sockets dropped"),
        ),
        (
            ("Detected reordering 5 times using SACK",),
            ("netstat-lines", "Detected reordering times using SACK"),
        ),
        (("    TCPLossProbes: 3",), ("counter-names", "TcpExtTCPLossProbes")),
        (("by=linger0", "by.linger0", "linger0"), ("reset-causes", "linger0")),
        (("handshake.rtt_us", "rtt_us"), ("members", "rtt_us")),
        (("Ip6OutNoRoutes",), ("counter-names", "Ip6OutNoRoutes")),
    ],
)
def test_a_name_is_found_in_any_spelling(
    spellings: tuple[str, ...], meant: tuple[str, str]
) -> None:
    for spelling in spellings:
        assert meant in names(spelling), spelling


def test_a_whole_name_of_the_kernels_means_that_alone() -> None:
    assert names("SKB_DROP_REASON_NO_SOCKET") == [("drop-reasons", "NO_SOCKET")]
    assert names("SK_RST_REASON_NO_SOCKET") == [("reset-reasons", "NO_SOCKET")]
    assert names("TCP_CLOSE_WAIT") == [("states", "CLOSE_WAIT")]


def test_a_number_that_is_both_a_state_and_an_errno_gives_both() -> None:
    assert names(str(errno.EAGAIN)) == [("states", "CLOSING"), ("errnos", "EAGAIN")]


def test_a_name_of_several_things_gives_each_and_its_topic_one() -> None:
    found = names("no_socket")
    assert [topic for topic, _ in found] == ["drop-reasons", "reset-causes", "reset-reasons"]
    assert names("no_socket", "reset-causes") == [("reset-causes", "no_socket")]
    assert names("no_socket", "errnos") == []


@pytest.mark.parametrize("text", ["", " ", "--", "\x1b[2J", "no such thing", "\udcff"])
def test_what_is_no_name_means_nothing(text: str) -> None:
    assert lookup(text) == []


def test_every_term_is_found_by_its_own_name_and_all_its_spellings() -> None:
    for term in terms():
        for spelling in (term.name, *term.entry.also, *term.keys):
            assert not spelling or term in lookup(spelling, term.topic), spelling


def test_the_kernel_is_asked_only_for_a_name_that_is_not_known() -> None:
    asked = []

    def ask() -> Kernel:
        asked.append(1)
        return Kernel(("NEWER_THAN_THIS",), ())

    assert lookup("CLOSE_WAIT", None, ask)
    assert not asked
    (found,) = lookup("SKB_DROP_REASON_NEWER_THAN_THIS", None, ask)
    assert (found.topic, found.name) == ("drop-reasons", "NEWER_THAN_THIS")
    assert "knows no sentence" in found.entry.meaning


def test_names_that_are_near_are_given() -> None:
    assert "CLOSE_WAIT" in nearest("close_wiat")
    assert "net.core.somaxconn" in nearest("somaxcon")
    assert nearest("econrefused", "errnos")[0] == "ECONNREFUSED"
    assert nearest("qqqq") == []


# --- how it is shown --------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 80, 100])
def test_prose_fits_the_width_and_commands_stay_whole(width: int) -> None:
    found = terms()
    lines = [*shown.topics(found, width)]
    for topic in TOPICS:
        own = [term for term in found if term.topic == topic]
        lines += [*shown.listed(own, width), *shown.told(own[:1], width, lambda term: "4096 1 2")]
        lines += shown.told(own[:3], width, lambda term: None)
    commands = {command for term in found for command in term.entry.commands}
    alone = re.compile(r"^ *(type +)?")
    long = [line for line in lines if len(line) > width]
    words = {name for term in found for name in (term.name, *term.entry.also)}
    for line in long:
        is_one_word = len(line.split()) <= 2  # with the label in front
        assert is_one_word or alone.sub("", line) in commands or line.strip() in words, line


def test_two_things_are_told_in_full_and_more_in_a_sentence_each() -> None:
    entry = Entry("means it", "causes it", "look there", ("type this",))
    of = [Term(topic, "same", entry) for topic in ("errnos", "states", "sysctls")]
    two, three = (shown.told(of[:many], 80, lambda term: None) for many in (2, 3))
    assert sum("type this" in line for line in two) == 2
    assert not [line for line in three if "type this" in line]
    assert sum("means it" in line for line in three) == 3
    assert three[-1] == "more of one: tcptrace explain errnos same"


# --- the command ------------------------------------------------------------------


def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tracer", "explain", *words]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=os.environ | more, check=False
    )


def test_without_a_term_the_topics_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:-1]]
    counts = {row[0]: int(row[1]) for row in rows}
    assert list(counts) == list(TOPICS)
    assert counts["states"] == 12
    for topic in ("errnos", "sysctls"):
        assert cli.run(["explain", topic]) == 0
        listed = [line for line in capsys.readouterr().out.splitlines() if line[0] != " "]
        assert len(listed) == counts[topic]


def test_json_is_a_record_a_line_as_its_schema_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", "-j"]) == 0
    records = checked(capsys.readouterr().out.splitlines())
    assert len(records) == len({(r["topic"], r["name"], str(r["where"])) for r in records}) > 1000
    assert cli.run(["explain", "tcp_fin_timeout", "--json"]) == 0
    (record,) = checked(capsys.readouterr().out.splitlines())
    assert record["here"] == Path("/proc/sys/net/ipv4/tcp_fin_timeout").read_text().strip()


def test_an_unknown_term_gives_the_nearest_and_the_status_of_a_wrong_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["explain", "close_wiat"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    cause, hint = said.err.splitlines()
    assert cause == "tcptrace: 'close_wiat' is not known"
    assert "CLOSE_WAIT" in hint
    for hostile in ("close\x1b[2Jwait", "\x1b[2J\n", "\udcff"):
        assert cli.run(["explain", "errnos", hostile]) == 2
        assert all(line.isprintable() for line in capsys.readouterr().err.splitlines())


def test_words_need_no_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", "connection", "refused"]) == 0
    assert capsys.readouterr().out.startswith(
        "ECONNREFUSED  (errnos, 111; also Connection refused)"
    )


def test_neither_root_nor_the_kernels_types_are_needed_nor_anything_heavy_loaded() -> None:
    """A name that is known, in a process of nobody's, without NumPy."""
    program = (
        "import os, sys; os.setgid(65534); os.setuid(65534); from tracer import cli;"
        " assert cli.run(['explain', 'close-wait']) == 0;"
        " assert not {'numpy', 'textual', 'rich'} & set(sys.modules), 'slow'"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("CLOSE_WAIT  (states, 8; also CLOSE-WAIT)\n")


def test_it_fits_where_only_ascii_can_be_written() -> None:
    done = run(PYTHONIOENCODING="ascii", COLUMNS="200")
    assert (done.returncode, done.stderr) == (0, "")
    done = run("-j", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert all(json.loads(line)["kind"] == "term" for line in done.stdout.splitlines())
