"""`error`: what an application was told, with its owner and the state that it ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, SHUT_PORT, SILENT, add_silent_host, server_in

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

NOBODY = "10.99.0.7"  # on the link, and nobody tells its hardware address


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        add_silent_host(made)
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def stop_after(tracer: Tracer, count: int) -> list[Record]:
    """Its records, once there are so many."""
    wait_until(lambda: len(tracer.so_far()) >= count, f"{count} errors told")
    return tracer.stop()


def trace(ns: Namespace) -> Tracer:
    return Tracer("events", "--kind", "error", "--netns", ns.name)


def open_one(server: Program, client: Program) -> None:
    client.do("connect", name="c", address=ADDRESS, port=PORT)
    server.do("accept", name="s", listener="l")


def told(records: list[Record]) -> list[tuple[object, ...]]:
    return [(r["errno"], r["state"], r["ended"], r["pid"], r["comm"]) for r in records]


def test_attempts_that_fail_are_told_what_connect_returned(ns: Namespace, client: Program) -> None:
    with trace(ns) as tracer:
        refused = client.attempt("connect", name="a", address=ADDRESS, port=SHUT_PORT)["errno"]
        (late,) = client.do("time_out", address=SILENT, port=PORT, count=1, limit_ms=50)["errors"]
        nowhere = client.attempt("connect", name="b", address=NOBODY, port=PORT)["errno"]
        records = stop_after(tracer, 3)
    assert (refused, late, nowhere) == ("ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH")
    assert told(records) == [
        (name, "SYN_SENT", True, client.pid, "tt-client") for name in (refused, late, nowhere)
    ]


@pytest.mark.guest("error", "tp_btf")
def test_connections_that_break_are_told_what_the_application_got(
    ns: Namespace, client: Program
) -> None:
    with server_in(ns) as server, trace(ns) as tracer:
        open_one(server, client)
        server.do("reset", name="s")
        reset = client.attempt("receive", name="c")["errno"]
        client.do("close", name="c")

        open_one(server, client)
        server.do("close", name="s")
        client.do("receive", name="c")  # its end
        client.do("send", name="c")
        wait_until(lambda: len(tracer.so_far()) >= 2, "the RST to come")
        pipe = client.attempt("send", name="c")["errno"]
        client.do("close", name="c")

        open_one(server, client)
        ns.run("ss", "-K", f"sport = :{PORT}")
        killed = server.attempt("receive", name="s")["errno"]
        after = client.attempt("receive", name="c")["errno"]
        records = stop_after(tracer, 4)
    assert (reset, pipe, killed, after) == ("ECONNRESET", "EPIPE", "ECONNABORTED", "ECONNRESET")
    mine, its = (client.pid, "tt-client"), (server.pid, server.comm)
    assert sorted(told(records), key=str) == sorted(
        [
            (reset, "ESTABLISHED", True, *mine),
            (pipe, "CLOSE_WAIT", True, *mine),
            (killed, "ESTABLISHED", True, *its),
            (after, "ESTABLISHED", True, *mine),
        ],
        key=str,
    )


@pytest.mark.guest("error", "tp_btf")
def test_nobody_is_told_of_what_nobody_holds(ns: Namespace, client: Program) -> None:
    """close() with SO_LINGER 0, and a peer's RST to one that is closed, are no application's."""
    with server_in(ns) as server, trace(ns) as tracer:
        open_one(server, client)
        client.do("reset", name="c")
        assert server.do("error", name="s")["error"] == "ECONNRESET"
        server.do("close", name="s")
        open_one(server, client)
        client.do("send", name="c", count=17)
        server.do("receive", name="s", count=17)
        client.do("close", name="c")
        server.do("reset", name="s")
        open_one(server, client)
        server.do("reset", name="s")
        assert client.do("error", name="c")["error"] == "ECONNRESET"
        records = stop_after(tracer, 2)
    assert told(records) == [
        ("ECONNRESET", "ESTABLISHED", True, server.pid, server.comm),
        ("ECONNRESET", "ESTABLISHED", True, client.pid, "tt-client"),
    ]


def test_an_error_stands_beside_the_rst_that_made_it(ns: Namespace, client: Program) -> None:
    kinds = ("events", "--kind", "reset,error,connection", "--netns", ns.name)
    with server_in(ns) as server, Tracer(*kinds) as tracer:
        for _ in range(7):
            open_one(server, client)
            server.do("reset", name="s")
            assert client.do("error", name="c")["error"] == "ECONNRESET"
            client.do("close", name="c")
        records = stop_after(tracer, 7 * 5)
    errors = [r for r in records if r["kind"] == "error"]
    assert len(errors) == 7
    for one in errors:
        same = [r for r in records if r["cookie"] == one["cookie"]]
        assert [r["kind"] for r in same] == ["reset", "connection", "error"]
        assert {r["errno"] for r in same} == {"ECONNRESET"}
        assert (same[0]["direction"], same[1]["end"]) == ("received", "rst_received")
