"""Blocks of README.md that show a trouble: it is made for them."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.harness import Tracer, namespace
from tests.programs.driver import Program
from tests.programs.leaking import build_leak, leaking
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


def leak() -> str:
    """A program that leaks what one of its functions accepts, and not what another does."""
    with (
        tempfile.TemporaryDirectory() as directory,
        namespace("web") as space,
        Program("client", space.enter) as client,
        leaking(
            space, build_leak(Path(directory) / "server", "-O2"), ADDRESS, PORT, PORT
        ) as program,
    ):

        def ask(word: str, count: int) -> None:
            client.do("hold", address=ADDRESS, port=PORT, count=count)
            program.tell(word, count)
            client.do("let_go")
            program.hear()

        ask("forget", 11)
        time.sleep(2)
        with Tracer("advise", "--stack", "--netns", space.name, json=False) as tracer:
            for _ in range(7):
                ask("forget", 13)
                ask("close", 17)
                time.sleep(0.5)
            tracer.process.wait(60)
            tracer.stop()
        shown = tracer.stdout.replace(directory, "/srv").rstrip()
    return f"$ tcptrace advise --stack --netns web\n{shown}\n"


BLOCKS = {"ports": ports, "advise": advise, "leak": leak}
