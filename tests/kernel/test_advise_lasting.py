"""`advise` of what lasts: silence without probes, peers that are gone, ends that do not come."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.harness import Namespace, Record, Tracer, wait_until
from tests.kernel.test_advise import findings
from tests.programs.advising import advising, told
from tests.programs.driver import Program
from tests.programs.places import CALLED, PORT, Link, link, server_in

pytestmark = pytest.mark.kernel

BLIND, LATE, PROBED = 7, 2, 3  # without keepalive, with the two hours, every 5 s
LONG_S = 60
DEAD_BY_PROBES, DEAD_BY_DATA = 4, 3
FORGOTTEN, FORGOTTEN_PROBING, SILENT_S = 7, 3, 1.2
HELD, LEFT, STUCK = 11, 103, 107


@pytest.fixture
def path() -> Iterator[Link]:
    with link() as made:
        yield made


@pytest.fixture
def server(path: Link) -> Iterator[Program]:
    with server_in(path.there, PORT, CALLED) as made:
        yield made


@pytest.fixture
def client(path: Link) -> Iterator[Program]:
    with Program("tt-client", path.here.enter) as made:
        yield made


def ages_ms(ns: Namespace, what: str) -> list[int]:
    """Since something was sent, or received, on each that is established, by ss."""
    text = ns.run("ss", "-Htin", "state", "established")
    return [int(age) for age in re.findall(rf"\b{what}:(\d+)", text)]


def connect(client: Program, server: Program, *names: str) -> None:
    for name in names:
        client.do("connect", name=name, address=CALLED, port=PORT)
        server.do("accept", name=name, listener="l")


def in_state(ns: Namespace, state: str) -> int:
    return len(ns.run("ss", "-Htan", "state", state).splitlines())


def by_id(records: list[Record], ident: str) -> Record:
    (one,) = [one for one in records if one["id"] == ident]
    return one


# --- silence, and who is gone -----------------------------------------------------


def test_silence_that_nobody_probes_is_told_and_what_is_probed_or_is_of_few_is_not(
    path: Link, server: Program, client: Program
) -> None:
    """The server holds the same connections, and sends no probes over any."""
    names = [f"c{i}" for i in range(BLIND + LATE + PROBED)]
    connect(client, server, *names)
    for name in names[:LATE]:
        client.do("keep_alive", name=name, idle=7200, interval=75, probes=9)
    for name in names[LATE : LATE + PROBED]:
        client.do("keep_alive", name=name, idle=5, interval=5, probes=3)
    lasts = LONG_S * 1000 + 100

    def are_silent() -> bool:
        return sum(age > lasts for age in ages_ms(path.here, "lastack")) == BLIND + LATE

    wait_until(are_silent, "them to be silent for long", LONG_S + 20)
    (one,) = findings("--now", "--netns", path.here.name)
    assert (one["id"], one["severity"], one["pid"]) == ("keepalive", "info", client.pid)
    numbers = one["evidence"]
    assert (numbers["silent"], numbers["without_keepalive"]) == (BLIND + LATE, BLIND)
    assert numbers["keepalive_late"] == LATE
    assert LONG_S <= numbers["longest_s"] <= max(ages_ms(path.here, "lastack")) / 1000
    assert "TCP_KEEPIDLE 60, TCP_KEEPINTVL 10, TCP_KEEPCNT 6" in one["fix"][0]
    with advising(path.here) as tracer:
        (watched,) = told(path.here, tracer)
    assert watched["evidence"]["without_keepalive"] == BLIND


def test_peers_found_dead_are_told_by_what_found_them(
    path: Link, server: Program, client: Program
) -> None:
    probed = [f"p{i}" for i in range(DEAD_BY_PROBES)]
    sent = [f"d{i}" for i in range(DEAD_BY_DATA)]
    connect(client, server, *probed, *sent)
    for name in probed:
        client.do("keep_alive", name=name, idle=1, interval=1, probes=1)
    for name in sent:
        client.do("limit_time", name=name, limit_ms=700)
    with Tracer("advise", "--netns", path.here.name, "-d", "60") as tracer:
        path.cut(path.here)
        for name in sent:
            client.do("send", name=name)
        got = {client.do("error", name=name)["error"] for name in (*sent, *probed)}
        counted = path.here.counters()
        found = tracer.stop()
    assert got == {"ETIMEDOUT"}
    one = by_id(found, "keepalive")
    assert (one["severity"], one["pid"]) == ("warn", client.pid)
    numbers = one["evidence"]
    assert numbers["found_dead_by_probes"] == DEAD_BY_PROBES
    assert numbers["found_dead_by_data"] == DEAD_BY_DATA
    assert counted["TcpExtTCPAbortOnTimeout"] == DEAD_BY_PROBES + DEAD_BY_DATA
    assert any("TCP_USER_TIMEOUT" in text for text in one["fix"])


def test_resets_after_the_same_silence_are_told_with_it_and_with_who_had_probed(
    path: Link, server: Program, client: Program
) -> None:
    names = [f"c{i}" for i in range(FORGOTTEN)]
    connect(client, server, *names)
    for name in names[:FORGOTTEN_PROBING]:
        client.do("keep_alive", name=name, idle=30, interval=5, probes=3)
    with Tracer("advise", "--netns", path.here.name, "-d", "60") as tracer:
        wait_until(
            lambda: min(ages_ms(path.here, "lastack")) > SILENT_S * 1000, "them to be silent"
        )
        at_least, began = min(ages_ms(path.here, "lastack")) / 1000, time.monotonic()
        most = max(ages_ms(path.here, "lastack")) / 1000
        for name in names:
            server.do("reset", name=name)
        most += time.monotonic() - began
        got = [client.do("error", name=name)["error"] for name in names]
        found = tracer.stop()
    assert got == ["ECONNRESET"] * FORGOTTEN
    one = by_id(found, "idle-timeout")
    assert (one["severity"], one["pid"]) == ("warn", client.pid)
    numbers = one["evidence"]
    assert (numbers["resets"], numbers["of"]) == (FORGOTTEN, FORGOTTEN)
    assert at_least - 0.02 <= numbers["silent_s"] <= most + 0.02  # ages are good to a tick
    assert (numbers["looked_at"], numbers["with_keepalive"]) == (FORGOTTEN, FORGOTTEN_PROBING)
    assert numbers["first_probe_s"] == 30


def test_clients_that_end_what_is_idle_with_a_rst_are_no_idle_timeout_to_their_server(
    path: Link, server: Program, client: Program
) -> None:
    earlier, later = ([f"{when}{i}" for i in range(FORGOTTEN)] for when in "el")
    connect(client, server, *earlier)
    with Tracer("advise", "--netns", path.there.name, "-d", "60") as tracer:
        connect(client, server, *later)
        wait_until(
            lambda: min(ages_ms(path.there, "lastack")) > SILENT_S * 1000, "them to be silent"
        )
        for name in (*earlier, *later):
            client.do("reset", name=name)
        got = [server.do("error", name=name)["error"] for name in (*earlier, *later)]
        found = tracer.stop()
    assert got == ["ECONNRESET"] * 2 * FORGOTTEN
    assert found == []


# --- what does not end ------------------------------------------------------------


def test_what_is_shut_down_and_held_is_told_by_process_and_nothing_of_it_while_data_comes(
    path: Link, server: Program, client: Program
) -> None:
    names = [f"c{i}" for i in range(HELD)]
    connect(client, server, *names, "busy")
    for name in (*names, "busy"):
        client.do("half_close", name=name)
    wait_until(lambda: in_state(path.here, "fin-wait-2") == HELD + 1, "their FINs to be known")
    with advising(path.here) as tracer:
        server.do("send", name="busy", count=100)
        (one,) = told(path.here, tracer)
    assert (one["id"], one["severity"], one["pid"]) == ("fin-wait2", "warn", client.pid)
    numbers = one["evidence"]
    assert (numbers["fin_wait2"], numbers["kept"]) == (HELD + 1, HELD)
    assert not any("sysctl" in text for text in one["fix"])


def test_closed_connections_whose_peers_do_not_follow_are_counted_as_ss_does(
    path: Link, server: Program, client: Program
) -> None:
    client.do("hold", address=CALLED, port=PORT, count=LEFT)
    server.do("accept_waiting", listener="l")
    client.do("let_go")
    wait_until(lambda: in_state(path.here, "fin-wait-2") == LEFT, "their FINs to be known")
    with advising(path.here) as tracer:
        (one,) = told(path.here, tracer)
    assert in_state(path.here, "fin-wait-2") == LEFT
    assert (one["id"], one["severity"], one["pid"]) == ("fin-wait2", "info", None)
    numbers = one["evidence"]
    assert (numbers["fin_wait2"], numbers["unacknowledged"]) == (LEFT, 0)
    timeout = int(path.here.run("sysctl", "-n", "net.ipv4.tcp_fin_timeout"))
    assert numbers["fin_timeout_s"] == timeout
    assert f"kept for {timeout} s" in one["meaning"]


def test_orphans_that_nobody_acknowledges_are_counted_with_the_machines_limit(
    path: Link, server: Program, client: Program
) -> None:
    client.do("hold", address=CALLED, port=PORT, count=STUCK)
    server.do("accept_waiting", listener="l")
    path.cut(path.here)
    client.do("let_go")
    assert in_state(path.here, "fin-wait-1") == STUCK
    with advising(path.here) as tracer:
        one = by_id(told(path.here, tracer), "fin-wait2")
    numbers = one["evidence"]
    assert numbers["unacknowledged"] == numbers["orphans"] == STUCK
    with open("/proc/sys/net/ipv4/tcp_max_orphans") as file:
        assert numbers["max_orphans"] == int(file.read())
    assert not any("tcp_max_orphans=" in text for text in one["fix"])  # it does not bind
    path.mend(path.here)  # nothing is left behind


# --- what is well -----------------------------------------------------------------


def test_a_server_beyond_a_network_that_is_used_and_left_as_it_should_be_yields_nothing(
    path: Link, server: Program, client: Program
) -> None:
    names = [f"c{i}" for i in range(BLIND)]
    connect(client, server, *names)
    for name in names[:3]:
        client.do("keep_alive", name=name, idle=1, interval=1, probes=3)
    with (
        Tracer("advise", "--netns", path.names, "-d", "2.5", "--fail-on", "warn") as tracer,
        server_in(path.there, PORT + 1, CALLED) as other,
    ):
        other.tell("serve", listener="l")
        client.do("call", address=CALLED, port=PORT + 1, count=97)
        for name in names:
            client.do("send", name=name, count=50)
            server.do("receive", name=name, count=50)
        other.stop()
        tracer.process.wait(30)
    assert tracer.stop() == []
    assert tracer.status == 0
