"""--names and --delta: the same lines with names for numbers, and spans for times of day."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Tracer, namespace
from tests.programs.places import inside

pytestmark = pytest.mark.kernel

NAMELESS = "127.0.5.5"  # in no hosts file
CONNECTIONS = 3


@pytest.fixture(scope="module")
def room() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture(scope="module")
def kept(room: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Connections from two addresses to the port of https."""

    def work() -> None:
        with socket.create_server(("127.0.0.1", 443)) as server:
            for source in ("127.0.0.1", NAMELESS) * CONNECTIONS:
                with socket.create_connection(("127.0.0.1", 443), source_address=(source, 0)):
                    server.accept()[0].close()

    path = tmp_path_factory.mktemp("kept") / "a.rec"
    line = ["record", str(path), "--kind", "all", "--netns", room.name]
    with Tracer(*line, json=False):
        inside(room, work)
    return path


def show(kept: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> str:
    line = [*prefix, *COMMAND, *arguments, "-r", str(kept)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=True, timeout=60)
    return done.stdout


@pytest.mark.parametrize(
    ("command", "number", "name"),
    [
        ("events", "127.0.0.1:443", "localhost:https"),
        ("handshakes", "127.0.0.1:443", "localhost:https"),
        ("handshakes --by raddr", "127.0.0.1", "localhost"),
        ("accepts", "127.0.0.1:443", "localhost:https"),
        ("accepts --by peer", "127.0.0.1", "localhost"),
        ("listeners", "127.0.0.1:443", "localhost:https"),
        ("states --by laddr", "127.0.0.1", "localhost"),
    ],
)
def test_an_address_of_the_hosts_file_and_a_service_have_names_where_asked_for(
    kept: Path, command: str, number: str, name: str
) -> None:
    def words(*more: str) -> set[str]:
        return set(show(kept, *command.split(), *more).split())

    for plain in (words(), words("-n")):
        assert number in plain
        assert name not in plain
    named = words("--names")
    assert name in named
    assert number not in named


def test_names_change_no_number_of_a_table(kept: Path) -> None:
    columns = ("--columns", "ROLE,TRIES,OK", "--sort", "role")
    plain = show(kept, "handshakes", *columns)
    named = show(kept, "handshakes", "--names", *columns)
    assert plain.splitlines()[1:] == named.splitlines()[1:]


def test_a_resolver_that_never_answers_holds_nothing_up(
    room: Namespace, kept: Path, tmp_path: Path
) -> None:
    """It would take 20 minutes to give up."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.53\noptions timeout:30 attempts:5\n" * 8)
    silent = inside(room, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with silent:
        silent.bind(("127.0.0.53", 53))
        mount = 'mount --bind "$1" /etc/resolv.conf; shift; exec "$@"'
        prefix = (*room.enter, "unshare", "-m", "sh", "-ec", mount, "sh", str(conf))
        for command in ("events", "handshakes --by raddr"):
            text = show(kept, *command.split(), "--names", prefix=prefix)
            assert "localhost" in text
            assert NAMELESS in text
        silent.setblocking(False)
        assert silent.recv(512), "it was asked"


def test_a_delta_is_what_lies_between_two_records_of_the_recording(kept: Path) -> None:
    moments = [json.loads(line)["mono_ns"] for line in show(kept, "events", "-j").splitlines()]
    _, header, *lines = show(kept, "events", "--delta").splitlines()
    assert header.split()[:2] == ["DELTA", "KIND"]
    for before, now, line in zip([moments[0], *moments], moments, lines, strict=False):
        found = re.match(r"00:00:(\d\d)\.(\d{6}) ", line)
        assert found
        assert int(found[1]) * 10**6 + int(found[2]) == (now - before) // 1000
    assert len(lines) == len(moments) > 10


def test_all_but_the_time_is_as_without_delta(kept: Path) -> None:
    columns = ("--columns", "KIND,TIME,REMOTE,EVENT")
    plain, spans = (
        [line.split() for line in show(kept, "events", *more, *columns).splitlines()[1:]]
        for more in ([], ["--delta"])
    )
    assert [line[:1] + line[2:] for line in plain] == [line[:1] + line[2:] for line in spans]
