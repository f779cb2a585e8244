"""Make README.md's output blocks from real runs: `make readme`.

A block stands between `<!-- output: NAME -->` and `<!-- end -->`; the tables between
`<!-- bench -->`, `<!-- peers -->` or `<!-- kernels -->` and `<!-- end -->` are the last ones that
`make bench`, `make bench-peers` and `make test-kernels` wrote.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests import readme_troubles
from tests.harness import ROOT, Namespace, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.knocking import build_knock, knocker, only_there
from tests.programs.losing import Losing
from tests.programs.places import ADDRESS, server_in
from tests.programs.screen import screen

README = ROOT / "README.md"
BENCH = ROOT / "tests" / "build" / "bench"
TABLES = {
    "bench": BENCH / "table.md",
    "peers": BENCH / "peers.md",
    "kernels": ROOT / "tests" / "build" / "vm" / "table.md",
}
PORT = 8000


def serve(connections: int) -> None:
    """A server process of its own: accept, answer, close; says when it listens."""
    with socket.create_server(("127.0.0.1", PORT)) as server:
        print(os.getpid(), flush=True)
        for _ in range(connections):
            accepted, _ = server.accept()
            accepted.sendall(accepted.recv(16))
            accepted.recv(1)
            accepted.close()


def ask(connections: int) -> None:
    """A client process: connect, ask, close, one after the other."""
    for _ in range(connections):
        with socket.create_connection(("127.0.0.1", PORT)) as client:
            client.sendall(b"hello")
            client.recv(16)


def _traffic(space: Namespace, connections: int) -> None:
    def start(what: str) -> subprocess.Popen[str]:
        command = [*space.enter, sys.executable, "-m", "tests.readme", what, str(connections)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    server = start("serve")
    assert server.stdout is not None
    server.stdout.readline()
    client = start("ask")
    assert client.wait(timeout=30) == 0
    assert server.wait(timeout=30) == 0
    server.stdout.close()


def _run(arguments: list[str], connections: int, enough: Callable[[Tracer], bool]) -> str:
    with namespace("web") as space:
        with Tracer(*arguments, "--netns", space.name, json=False) as tracer:
            worker = threading.Thread(target=_traffic, args=(space, connections))
            worker.start()
            worker.join()
            if arguments[0] == "events":
                wait_until(lambda: enough(tracer), "the records")
            tracer.stop()
        return tracer.stdout.rstrip() + "\n"


def _lines(count: int) -> Callable[[Tracer], bool]:
    return lambda tracer: len((tracer.path / "out").read_text().splitlines()) >= count


def _events() -> str:
    return "$ tcptrace events --netns web\n" + _run(["events"], 1, _lines(17))


def _json() -> str:
    records = _run(["events", "-j", "--kind", "accept"], 1, _lines(1))
    return "$ tcptrace events --netns web --kind accept -j | jq .\n" + _pretty(records)


def _summed(*line: str) -> str:
    command, *options = line
    shown = " ".join([command, "--netns web", *options])
    return f"$ tcptrace {shown}\n" + _run([*line], 211, lambda _: True)


def _doctor() -> str:
    command = [sys.executable, "-m", "tracer", "doctor"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return "$ tcptrace doctor\n" + done.stdout


def _explained(term: str) -> str:
    command = [sys.executable, "-m", "tracer", "explain", term]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return f"$ tcptrace explain {term}\n{done.stdout}"


def _picture() -> str:
    """The whole screen, on a server whose accept queue is full and that closes nothing."""
    with (
        namespace("web") as space,
        server_in(space, PORT) as server,
        server_in(space, PORT + 1) as lazy,
        Program("client", space.enter) as client,
        tempfile.TemporaryDirectory() as path,
    ):
        lazy.do("listen", name="l", backlog=4)
        client.do("hold", address=ADDRESS, port=PORT, count=211)
        server.do("accept_waiting", listener="l")
        client.do("hold", address=ADDRESS, port=PORT + 1, count=5)
        with screen(Path(path), (80, 24), "--netns", "web") as shown:
            shown.wait_for("NOW ", "the first picture")
            shown.wait_for(r"up 0:0[5-9]", "a picture of when it has settled")
            text = shown.text()
            shown.press("q")
            shown.exit_status()
    return "".join(line.rstrip() + "\n" for line in text.rstrip().splitlines())


def _open() -> str:
    """A server that does not read what it was sent, and holds on to what was closed."""
    with (
        namespace("web") as space,
        server_in(space, PORT) as server,
        Program("client", space.enter) as client,
    ):
        for name in ("a", "b", "c", "d"):
            client.do("connect", name=name, address=ADDRESS, port=PORT)
            server.do("accept", name=name, listener="l")
        client.do("send", name="a", count=38000)
        for name in ("b", "c", "d"):
            client.do("half_close", name=name)
        columns = "state,process,remote,lport,age,recv-q,send-q,in,out,rtt"
        line = f"connections --open --netns web --columns {columns}"
        command = [sys.executable, "-m", "tracer", *line.split()]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return f"$ tcptrace {line}\n{done.stdout}"


def _resets() -> str:
    """A server that forgets who is silent, one that closes on data unread, and one that leaves."""
    with (
        namespace("web") as space,
        server_in(space, PORT) as server,
        server_in(space, PORT + 1) as old,
        Program("next", space.enter) as new,
        Program("client", space.enter) as client,
        Tracer("resets", "--netns", space.name, json=False) as tracer,
    ):
        for i in range(11):
            client.do("connect", name=f"c{i}", address=ADDRESS, port=PORT)
            server.do("accept", name=f"s{i}", listener="l")
            client.do("send", name=f"c{i}", count=1200)
            server.do("receive", name=f"s{i}", count=1200)
        time.sleep(3)
        for i in range(11):
            server.do("reset", name=f"s{i}")
            client.attempt("receive", name=f"c{i}")
        client.do("connect", name="c", address=ADDRESS, port=PORT)
        server.do("accept", name="s", listener="l")
        client.do("send", name="c", count=1200)
        time.sleep(0.1)
        server.do("close", name="s")
        client.attempt("receive", name="c")
        old.do("close", name="l")
        for _ in range(211):
            client.attempt("connect", name="c", address=ADDRESS, port=PORT + 1)
        new.do("bind", name="l", address=ADDRESS, port=PORT + 1)
        new.do("listen", name="l")
        client.do("connect", name="c", address=ADDRESS, port=PORT + 1)
        tracer.stop()
    return f"$ tcptrace resets --netns web\n{tracer.stdout.rstrip()}\n"


def _retransmits() -> str:
    """An upload on a bad link, one whose link is down for a while, and a SYN that is lost."""
    with namespace("web") as space:
        losing = Losing(space)
        to_server = f"tcp dport {PORT}"
        losing.lose(f"{to_server} tcp flags & (syn | ack) == syn", count=1)
        losing.lose(f"{to_server} meta length 90-1000", count=3)
        losing.lose(f"{to_server} meta length > 1000", first=7, count=1, every=50)
        with (
            server_in(space, PORT) as server,
            Program("client", space.enter) as client,
            Tracer("retransmits", "--netns", space.name, json=False) as tracer,
        ):
            space.run("ip", "link", "set", "lo", "mtu", "1500")
            client.do("connect", name="c", address=ADDRESS, port=PORT)
            server.do("accept", name="s", listener="l")
            for size in (500, 4_000_000):
                client.tell("send", name="c", count=size)
                server.do("receive", name="s", count=size)
                client.answer()
            tracer.stop()
    return f"$ tcptrace retransmits --netns web\n{tracer.stdout.rstrip()}\n"


def _stacks() -> str:
    """A client whose SYNs a firewall on the same machine drops."""
    with namespace("web") as space, tempfile.TemporaryDirectory() as path:
        Losing(space, "output").lose(f"tcp dport {PORT}")
        built, inside = build_knock(Path(path) / "client"), Path("/usr/local/bin/client")
        way = only_there(built, inside)
        with (
            knocker(space, inside, PORT, *way, address=ADDRESS) as client,
            Tracer("events", "--kind", "drop", "--stack", "--netns", space.name, json=False) as one,
        ):
            client.knock(1)
            wait_until(lambda: "main+0x" in (one.path / "out").read_text(), "the record")
            one.stop()
    return f"$ tcptrace events --kind drop --stack --netns web\n{one.stdout.rstrip()}\n"


def _ended() -> str:
    """One that was closed by its client, one by its server, two broken off, one refused."""
    with (
        namespace("web") as space,
        server_in(space, PORT) as server,
        Program("client", space.enter) as client,
        Tracer("connections", "--netns", space.name, json=False) as tracer,
    ):
        for first, second in ((client, server), (server, client)):
            client.do("connect", name="c", address=ADDRESS, port=PORT)
            server.do("accept", name="c", listener="l")
            client.do("send", name="c", count=1200)
            server.do("receive", name="c", count=1200)
            server.do("send", name="c", count=38000)
            client.do("receive", name="c", count=38000)
            first.do("close", name="c")
            second.do("receive", name="c")
            second.do("close", name="c")
        client.do("connect", name="c", address=ADDRESS, port=PORT)
        server.do("accept", name="c", listener="l")
        client.do("reset", name="c")
        server.attempt("receive", name="c")
        server.do("close", name="c")
        client.attempt("connect", name="c", address=ADDRESS, port=PORT + 1)
        wait_until(lambda: _lines(9)(tracer), "the rows")
        tracer.stop()
    return f"$ tcptrace connections --netns web\n{tracer.stdout.rstrip()}\n"


def _pretty(text: str) -> str:
    done = subprocess.run(["jq", "."], input=text, check=True, capture_output=True, text=True)
    return done.stdout


def fill(text: str, blocks: dict[str, str], tables: dict[str, str]) -> str:
    """The README with its blocks, and the tables there are, replaced."""
    made = {f"output: {name}": f"```\n{block}```\n" for name, block in blocks.items()}
    made |= {name: f"{table.rstrip()}\n" for name, table in tables.items()}
    for name, content in made.items():
        block = rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)"
        before, *rest = re.split(block, text, maxsplit=1, flags=re.S)
        assert len(rest) == 1, f"README.md has no block {name}"
        text = before + content + rest[0]
    return text


# each block by its name, and the run that its text is made from
BLOCKS: dict[str, Callable[[], str]] = {
    "live": _picture,
    "connections": _open,
    "ended": _ended,
    "resets": _resets,
    "retransmits": _retransmits,
    "stacks": _stacks,
    "events": _events,
    **{
        name: partial(_summed, name)
        for name in ("states", "handshakes", "accepts", "listeners", "top")
    },
    "counters": partial(_summed, "counters", "-d", "10"),
    "json": _json,
    "doctor": _doctor,
    **readme_troubles.BLOCKS,
    "explain": lambda: "\n".join(_explained(term) for term in ("close-wait", "11")),
}


def main() -> None:
    """Write README.md anew."""
    if len(sys.argv) == 3:
        {"serve": serve, "ask": ask}[sys.argv[1]](int(sys.argv[2]))
        return
    heading = re.compile(r"\A# [^\n]*\n\n")  # the section has its own
    tables = {n: heading.sub("", path.read_text()) for n, path in TABLES.items() if path.exists()}
    outputs = {name: run() for name, run in BLOCKS.items()}
    README.write_text(fill(README.read_text(), outputs, tables))


if __name__ == "__main__":
    main()
