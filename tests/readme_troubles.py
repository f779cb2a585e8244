"""Blocks of README.md that show a trouble: it is made for them."""

from __future__ import annotations

import time

from tests.harness import Tracer, namespace
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, server_in

PORT = 8000


def ports() -> str:
    """A client that closes what it opens, and has few ports; another that keeps some."""
    with (
        namespace("web") as space,
        server_in(space, PORT) as server,
        server_in(space, PORT + 1),
        Program("worker", space.enter) as worker,
        Program("pool", space.enter) as pool,
    ):
        limits = ("net.ipv4.ip_local_port_range=40000 40999", "net.ipv4.tcp_tw_reuse=0")
        space.run("sysctl", "-qw", *limits)
        server.tell("serve", listener="l")
        pool.do("hold", address=ADDRESS, port=PORT + 1, count=31)
        with Tracer("ports", "--netns", space.name, json=False) as tracer:
            for _ in range(20):
                worker.do("call", address=ADDRESS, port=PORT, count=23)
                time.sleep(0.2)
            tracer.stop()
        server.stop()
    return f"$ tcptrace ports --netns web\n{tracer.stdout.rstrip()}\n"


def advise() -> str:
    """A server that closes nothing that its clients have closed, and one that falls behind."""
    with (
        namespace("web") as space,
        server_in(space, PORT) as leaky,
        server_in(space, PORT + 1) as lazy,
        Program("client", space.enter) as client,
    ):
        client.do("hold", address=ADDRESS, port=PORT, count=211)
        leaky.do("accept_waiting", listener="l")
        client.do("let_go")
        time.sleep(10)
        lazy.do("listen", name="l", backlog=16)
        with Tracer("advise", "--netns", space.name, json=False) as tracer:
            for _ in range(3):
                client.do("hold", address=ADDRESS, port=PORT, count=13)
                leaky.do("accept_waiting", listener="l")
                client.do("let_go")
            client.do("hold", address=ADDRESS, port=PORT + 1, count=17)
            client.do("give_up", address=ADDRESS, port=PORT + 1, count=31)
            time.sleep(0.2)
            lazy.do("accept_waiting", listener="l")
            tracer.process.wait(60)
            tracer.stop()
    return f"$ tcptrace advise --netns web\n{tracer.stdout.rstrip()}\n"


def outputs() -> dict[str, str]:
    """Each block's text, from a run made now."""
    return {"ports": ports(), "advise": advise()}
