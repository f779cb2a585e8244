"""The stacks of dropped packets: the kernel's way to where it let go, and the owner's to its call.

The ways are known: the kernel's by the drop's place, the program's by its own functions.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, wait_until
from tests.kernel.test_drops import SHUT, drops, replayed, rules, stop_after
from tests.programs.crafted import SYN, Host
from tests.programs.driver import Program
from tests.programs.knocking import WAY, Knocker, build_knock, knocker, only_there
from tests.programs.places import NEAR, PORT
from tracer.kernel.core import CoreObject
from tracer.kernel.live import LiveSource
from tracer.kernel.settings import Settings
from tracer.limits import Limits
from tracer.session import Session
from tracer.views.events import EventView
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.wire.filters import Filters

pytestmark = pytest.mark.kernel
STACKED = ("events", "--kind", "drop", "--stack")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return build_knock(tmp_path / "tt knock")


@pytest.fixture
def knocks(ns: Namespace, program: Path) -> Iterator[Knocker]:
    """What it sends is dropped by the firewall on its way out."""
    rules(ns, "output", f"tcp dport {SHUT}")
    with knocker(ns, program, SHUT) as made:
        yield made


def functions(frames: list[str] | None) -> list[str]:
    """Names of the functions of a stack."""
    assert frames is not None
    return [frame.partition("+")[0] for frame in frames]


def in_order(names: list[str], *wanted: str) -> bool:
    """Whether these are there, in this order."""
    left = iter(names)
    return all(name in left for name in wanted)


def traced(ns: Namespace, *more: str, json: bool = True) -> Tracer:
    return Tracer(*STACKED, "--netns", ns.name, *more, json=json)


# --- the kernel's -------------------------------------------------------------------


def test_a_packet_to_nobody_has_the_way_from_the_device_to_tcp(ns: Namespace) -> None:
    count = 13
    with Host(ns) as host, traced(ns) as tracer:
        for i in range(count):
            host.send(SYN, 20000 + i, SHUT)
        found = stop_after(tracer, count)
    assert len(found) == count
    for record in found:
        names = functions(record["stack"])
        assert in_order(names, "tcp_v4_rcv", "ip_local_deliver_finish", "net_rx_action")
        # the place itself is on the way, to the byte
        assert record["location"] in record["stack"]
        assert not [name for name in names if name.startswith(("bpf_", "__bpf", "__traceiter"))]
        # nobody owns it, so nobody called for it
        assert record["user_stack"] is None


def test_a_packet_that_the_firewall_drops_as_it_comes_has_its_hook(
    ns: Namespace, server: Program
) -> None:
    count = 7
    counted = rules(ns, "input", f"tcp dport {PORT}")
    server.do("listen", name="l")
    with Host(ns) as host, traced(ns) as tracer:
        for i in range(count):
            host.send(SYN, 20000 + i)
        found = stop_after(tracer, count)
    assert counted() == len(found) == count
    for record in found:
        assert in_order(functions(record["stack"]), "nf_hook_slow", "ip_local_deliver")
        assert record["pid"] == server.pid
        # another process sent it: what its owner did at that time has nothing to do with it
        assert record["user_stack"] is None


def test_without_the_option_not_even_the_room_for_stacks_is_made(ns: Namespace) -> None:
    """So the code that uses it is not loaded either: the kernel would refuse it."""
    settings = Settings(filters=Filters(kinds=frozenset({"drop"})))
    for wanted in (False, True):
        source = LiveSource(replace(settings, stacks=wanted))
        try:
            assert isinstance(source._object, CoreObject)
            assert source._object.has_map("tt_kernel_stacks") == wanted
            assert (source.stacks is not None) == wanted
        finally:
            source.close()


def test_without_the_option_nothing_is_said(ns: Namespace) -> None:
    with Host(ns) as host, Tracer("events", "--kind", "drop", "--netns", ns.name) as tracer:
        host.send(SYN, 20000, SHUT)
        (record,) = stop_after(tracer, 1)
    assert (record["stack"], record["user_stack"]) == (None, None)


# --- the owner's --------------------------------------------------------------------


def of(records: list[Record], pid: int) -> list[Record]:
    return [record for record in records if record["pid"] == pid]


def test_a_packet_that_is_dropped_as_it_is_sent_has_its_senders_calls(
    ns: Namespace, knocks: Knocker, program: Path
) -> None:
    count = 5
    with traced(ns) as tracer:
        knocks.knock(count)
        found = of(stop_after(tracer, count), knocks.pid)
    assert len(found) == count
    for record in found:
        assert in_order(functions(record["stack"]), "nf_hook_slow", "tcp_v4_connect")
        assert in_order(functions(record["user_stack"]), "connect", *WAY)
        own = [frame for frame in record["user_stack"] if frame.endswith(f" ({program})")]
        assert in_order(functions(own), *WAY)
    # its offsets are those of one place each
    assert len({tuple(record["user_stack"]) for record in found}) == 1


def test_of_a_program_whose_file_is_deleted_the_places_in_it_stay(
    ns: Namespace, knocks: Knocker, program: Path
) -> None:
    program.unlink()
    with traced(ns) as tracer:
        knocks.knock(1)
        (record,) = of(stop_after(tracer, 1), knocks.pid)
    own = [frame for frame in record["user_stack"] if str(program) in frame]
    assert len(own) >= len(WAY)
    assert all(frame.startswith(f"{program} (deleted)+0x") for frame in own)
    # what is still there is known as before
    assert "connect" in functions(record["user_stack"])


def test_a_program_that_only_its_own_mount_namespace_has_is_read_there(
    ns: Namespace, program: Path, tmp_path: Path
) -> None:
    rules(ns, "output", f"tcp dport {SHUT}")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    inside = hidden / "knock"
    with (
        knocker(ns, inside, SHUT, *only_there(program, inside)) as knocks,
        traced(ns) as tracer,
    ):
        assert not inside.exists()
        knocks.knock(1)
        (record,) = of(stop_after(tracer, 1), knocks.pid)
    own = [frame for frame in record["user_stack"] if frame.endswith(f" ({inside})")]
    assert in_order(functions(own), *WAY)


def test_of_a_stripped_program_the_places_in_its_file_are_told(
    ns: Namespace, tmp_path: Path
) -> None:
    rules(ns, "output", f"tcp dport {SHUT}")
    stripped = build_knock(tmp_path / "stripped", "-s")
    with knocker(ns, stripped, SHUT) as knocks, traced(ns) as tracer:
        knocks.knock(1)
        (record,) = of(stop_after(tracer, 1), knocks.pid)
    own = [frame for frame in record["user_stack"] if str(stripped) in frame]
    assert len(own) >= len(WAY)
    assert all(frame.startswith(f"{stripped}+0x") for frame in own)


def test_a_hostile_file_name_stays_on_its_line(ns: Namespace, tmp_path: Path) -> None:
    rules(ns, "output", f"tcp dport {SHUT}")
    program = build_knock(tmp_path / "evil\n\x1b[31mname")
    with knocker(ns, program, SHUT) as knocks, traced(ns, json=False) as tracer:
        knocks.knock(1)
        out = tracer.path / "out"
        wait_until(lambda: "go_around" in out.read_text(), "the drop")
        tracer.stop()
    assert "\x1b" not in tracer.stdout
    (line,) = [line for line in tracer.stdout.splitlines() if "go_around" in line]
    assert "evil" in line
    assert line.endswith("[31mname)")


BUSY = """
import os, select, socket
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
made = socket.socket()
made.setblocking(False)
made.connect_ex((%r, %d))
while not select.select([0], [], [], 0)[0]:
    pass
"""


def test_who_was_only_interrupted_by_a_timer_of_its_own_socket_is_no_caller(ns: Namespace) -> None:
    """Its SYN is sent again after a second, while it does something else on that CPU."""
    rules(ns, "output", f"tcp dport {SHUT}")
    command = [*ns.enter, sys.executable, "-c", BUSY % (NEAR, SHUT)]
    with traced(ns) as tracer, subprocess.Popen(command, stdin=subprocess.PIPE) as busy:
        try:
            wait_until(lambda: len(of(drops(tracer.so_far()), busy.pid)) >= 2, "a SYN sent again")
        finally:
            assert busy.stdin
            busy.stdin.close()
        first, again, *_ = of(drops(tracer.stop()), busy.pid)
    assert "tcp_v4_connect" in functions(first["stack"])
    assert first["user_stack"]
    assert "tcp_write_timer" in functions(again["stack"])
    # what it was doing then is no part of the packet's way
    assert "entry_SYSCALL_64_after_hwframe" not in functions(again["stack"])
    assert again["user_stack"] is None


# --- every form, live and replayed ----------------------------------------------------


def test_a_line_has_its_stack_below_it_and_who_called(
    ns: Namespace, knocks: Knocker, program: Path
) -> None:
    with traced(ns, json=False) as tracer:
        knocks.knock(1)
        wait_until(lambda: "main+0x" in (tracer.path / "out").read_text(), "the drop")
        tracer.stop()
    lines = tracer.stdout.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.split()[1:2] == ["drop"]]
    below = lines[at + 1 :]
    assert all(line.startswith("    ") for line in below)
    (called,) = [
        i for i, line in enumerate(below) if line == f"    called by tt knock[{knocks.pid}]"
    ]
    kernel, own = below[:called], below[called + 1 :]
    assert in_order(functions([line.strip() for line in kernel]), "nf_hook_slow", "tcp_v4_connect")
    assert in_order(functions([line.strip() for line in own]), "connect", *WAY)


@pytest.mark.parametrize(
    "form", [(), ("-j",), ("-f", "csv"), ("-f", "md")], ids=lambda form: " ".join(form) or "lines"
)
@pytest.mark.parametrize("transport", ["perf", "ring"])
def test_a_recording_says_the_same_byte_for_byte(
    ns: Namespace, knocks: Knocker, tmp_path: Path, form: tuple[str, ...], transport: str
) -> None:
    kept, count = str(tmp_path / "kept"), 3
    arguments = (*form, "-w", kept, "--transport", transport)
    with traced(ns, *arguments, json=False) as tracer, Host(ns) as host:
        knocks.knock(count)
        for i in range(count):
            host.send(SYN, 20000 + i, SHUT)
        out = tracer.path / "out"
        wait_until(lambda: out.read_text().count("NO_SOCKET") >= count, "the last drop")
        tracer.stop()
    knocks.end()  # nothing of it is there any more
    again = subprocess.run(
        [*COMMAND, *STACKED, "-r", kept, *form],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert again.stdout == tracer.stdout
    assert tracer.stdout.count("go_around+0x") == count
    assert tracer.stdout.count("tcp_v4_rcv+0x") >= count


def test_csv_has_a_stack_in_one_cell(ns: Namespace) -> None:
    with Host(ns) as host, traced(ns, "-f", "csv", json=False) as tracer:
        host.send(SYN, 20000, SHUT)
        wait_until(lambda: "NO_SOCKET" in (tracer.path / "out").read_text(), "the drop")
        tracer.stop()
    (row,) = csv.DictReader(tracer.stdout.splitlines())
    assert in_order(functions(row["stack"].split(";")), "tcp_v4_rcv", "net_rx_action")
    assert row["user_stack"] == ""


def test_the_table_has_the_stacks_of_each_place_with_their_counts(
    ns: Namespace, knocks: Knocker, tmp_path: Path
) -> None:
    shut, sent = 13, 5
    kept = str(tmp_path / "kept")
    asked = ("drops", "--packets", "--stack", "--netns", ns.name)
    with (
        Host(ns) as host,
        Tracer(*asked) as tracer,
        Tracer(*asked, "-w", kept, json=False) as table,
    ):
        knocks.knock(sent)
        for i in range(shut):
            host.send(SYN, 20000 + i, SHUT)
        wait_until(lambda: ns.counters()["TcpOutRsts"] >= shut, "resets")
        documents = tracer.stop()
        table.stop()
    found: Counter[tuple[str, str]] = Counter()
    for document in documents:
        if document["kind"] != "drop_summary":
            continue
        assert sum(one["count"] for one in document["stacks"]) == document["count"]
        for one in document["stacks"]:
            names = functions(one["stack"])
            (place,) = {"tcp_v4_rcv", "nf_hook_slow"} & set(names)
            found[document["reason"], place] += one["count"]
    assert found == {("NO_SOCKET", "tcp_v4_rcv"): shut, ("NETFILTER_DROP", "nf_hook_slow"): sent}
    lines = table.stdout.splitlines()
    (row,) = [i for i, line in enumerate(lines) if line.startswith("tcp ") and "NO_SOCKET" in line]
    assert lines[row + 1] == f"    {shut} packets:"
    below = [line.strip() for line in lines[row + 2 :] if line.startswith("        ")]
    assert in_order(functions(below), "tcp_v4_rcv", "net_rx_action")
    again = subprocess.run(
        [*COMMAND, "drops", "--packets", "--stack", "-r", kept],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert again.stdout == table.stdout


def test_a_group_of_by_has_the_stacks_of_all_that_is_in_it(ns: Namespace, knocks: Knocker) -> None:
    shut, sent = 7, 3
    with (
        Host(ns) as host,
        Tracer("drops", "--packets", "--stack", "--by", "netns", "--netns", ns.name) as tracer,
    ):
        knocks.knock(sent)
        for i in range(shut):
            host.send(SYN, 20000 + i, SHUT)
        wait_until(lambda: ns.counters()["TcpOutRsts"] >= shut, "resets")
        documents = tracer.stop()
    (group,) = [one for one in documents if one["kind"] == "drop_summary"]
    assert group["count"] == shut + sent
    counts = [one["count"] for one in group["stacks"]]
    assert sum(counts) == group["count"]
    assert counts == sorted(counts, reverse=True)
    tops = {"tcp_v4_rcv": 0, "nf_hook_slow": 0}
    for one in group["stacks"]:
        (place,) = set(tops) & set(functions(one["stack"]))
        tops[place] += one["count"]
    assert tops == {"tcp_v4_rcv": shut, "nf_hook_slow": sent}


def test_a_recording_without_stacks_says_that_it_has_none(ns: Namespace, tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    with (
        Host(ns) as host,
        Tracer("events", "--kind", "drop", "--netns", ns.name, "-w", kept) as tracer,
    ):
        host.send(SYN, 20000, SHUT)
        stop_after(tracer, 1)
    for command in ("events", "drops"):
        done = subprocess.run(
            [*COMMAND, command, "--stack", "-r", kept], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0
        assert "this recording keeps no stacks" in done.stderr
    (record,) = drops(replayed("events", "--stack", "-r", kept))
    assert record["stack"] is None


# --- what there is no room for --------------------------------------------------------


def test_stacks_that_find_no_room_are_counted_and_said(
    ns: Namespace,
    server: Program,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With one place for all, whatever is not like the first is not kept."""
    load, shut, refused = CoreObject.load, 5, 7

    def small(bpf: CoreObject) -> None:
        bpf.resize("tt_kernel_stacks", 1)
        load(bpf)

    monkeypatch.setattr(CoreObject, "load", small)
    rules(ns, "input", f"tcp dport {PORT}")
    out, limits = tmp_path / "out", Limits(seconds=30)

    def enough() -> None:
        limits.stop = "count"

    look = Look(form="json", stacks=True)
    output = Output(out)
    view = EventView(output, Notices(False), look, shut + refused, enough=enough)
    filters = Filters(kinds=frozenset({"drop"}), netns=frozenset({ns.inode}))
    with Host(ns) as host:

        def act() -> None:
            for i in range(shut):
                host.send(SYN, 20000 + i, SHUT)
            for i in range(refused):
                host.send(SYN, 20000 + i, PORT)

        Session(Settings(filters=filters, stacks=True), view, ready=act, limits=limits).run()
    output.close()
    lines = out.read_text().splitlines()
    known = [line for line in lines if '"stack":[' in line]
    unknown = [line for line in lines if '"stack":null' in line]
    assert all("NO_SOCKET" in line and "tcp_v4_rcv+0x" in line for line in known)
    assert (len(known), len(unknown)) == (shut, refused)
    assert f"{refused} stacks were not kept" in capsys.readouterr().err


def test_a_capture_has_the_calls_below_each_comment(
    ns: Namespace, knocks: Knocker, tmp_path: Path
) -> None:
    sent, path = 3, str(tmp_path / "dropped.pcapng")
    asked = ("drops", "--packets", "--stack", "--netns", ns.name, "-w", path)
    with Host(ns) as host, Tracer(*asked) as tracer:
        knocks.knock(sent)
        host.send(SYN, 20000, SHUT)
        wait_until(lambda: ns.counters()["TcpOutRsts"] >= 1, "the reset")
        tracer.stop()
    read = ["tshark", "-n", "-r", path, "-T", "json", "-e", "frame.comment", "-e", "ip.src"]
    done = subprocess.run(read, capture_output=True, text=True, check=True)
    found: dict[bool, list[list[str]]] = {True: [], False: []}
    for packet in json.loads(done.stdout):
        (comment,) = packet["_source"]["layers"]["frame.comment"]
        found[comment.startswith("NETFILTER_DROP at ")].append(comment.split("\n"))
    assert len(found[True]) == sent
    for first, *below in found[True]:
        assert f"owner tt knock[{knocks.pid}]" in first
        assert all(line.startswith("    ") for line in below)
        called = below.index(f"    called by tt knock[{knocks.pid}]")
        kernel, own = ([line.strip() for line in part] for part in (below[:called], below[called:]))
        assert in_order(functions(kernel), "nf_hook_slow", "tcp_v4_connect")
        assert in_order(functions(own[1:]), "connect", *WAY)
    ((first, *below),) = found[False]
    assert first.startswith("NO_SOCKET at tcp_v4_rcv+0x")
    assert in_order(functions([line.strip() for line in below]), "tcp_v4_rcv", "net_rx_action")
