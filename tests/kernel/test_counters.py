"""`counters`: known counts in namespaces of the tests' own, beside nstat and /proc/net/dev."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, SHUT_PORT, inside, server_in
from tests.schemas import checked

pytestmark = pytest.mark.kernel
REFUSED = 17
NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def count(*arguments: str) -> list[Record]:
    """What one reading tells."""
    command = [*COMMAND, "counters", "-j", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return checked(done.stdout.splitlines())


def refuse(client: Program, times: int = REFUSED) -> None:
    for i in range(times):
        found = client.attempt("connect", name=f"r{i}", address=ADDRESS, port=SHUT_PORT)
        assert found["errno"] == "ECONNREFUSED"
        client.do("close", name=f"r{i}")


def by_name(records: list[Record], *, total: bool = True) -> dict[str, Record]:
    found = {r["name"]: r for r in records if r["total"] is total and not r["dev"]}
    assert len(found) == len([r for r in records if r["total"] is total and not r["dev"]])
    return found


def of_protocols(records: list[Record]) -> dict[str, int]:
    return {r["name"]: r["value"] for r in records if r["source"] in ("snmp", "netstat")}


# --- exact counts -----------------------------------------------------------------


@pytest.mark.guest
def test_refused_connects_move_exactly_their_counters(ns: Namespace, client: Program) -> None:
    before = ns.counters()
    with Tracer("counters", "--netns", ns.name, "-d", "60") as tracer:
        refuse(client)
        records = tracer.stop()
    after = ns.counters()
    told = {r["name"]: r["delta"] for r in records if r["source"] in ("snmp", "netstat")}
    assert told == {n: after[n] - before[n] for n in after if after[n] != before[n]}
    for name in ("TcpActiveOpens", "TcpAttemptFails", "TcpOutRsts"):
        assert told[name] == REFUSED
    assert {r["netns"] for r in records if r["source"] != "softnet"} == {ns.inode}
    assert by_name([r for r in records if r["source"] == "snmp"])["TcpAttemptFails"]["trouble"]


def test_a_reading_is_what_nstat_reads(ns: Namespace, client: Program) -> None:
    refuse(client)
    settings = ("TcpRto", "TcpMaxConn", "IpForwarding", "IpDefaultTTL")
    wanted = {n: v for n, v in ns.counters().items() if not n.startswith(settings)}
    found = of_protocols(count("--netns", ns.name, "--all"))
    assert found == wanted
    nonzero = of_protocols(count("--netns", ns.name))
    assert nonzero == {name: value for name, value in wanted.items() if value}


def test_blocks_tell_what_each_of_them_brought(ns: Namespace, client: Program) -> None:
    """Three rounds of refusals, each told in a block that began before and ended after it."""
    rounds = (3, 5, 7)

    with Tracer("counters", "--netns", ns.name, "-i", "100ms") as tracer:
        for i, times in enumerate(rounds, 1):
            refuse(client, times)
            due = sum(rounds[:i])
            wait_until(partial(_has_failed, tracer, ns.inode, due), f"round {i} to be told")
        records = tracer.stop()
    blocks = [r for r in records if r["name"] == "TcpAttemptFails"]
    assert sum(r["delta"] for r in blocks if not r["total"]) == sum(rounds)
    assert [r["delta"] for r in blocks if r["total"]] == [sum(rounds)]
    assert {r["delta"] for r in blocks if not r["total"]} - {0} != set()


def rate_of_refusals(ns: Namespace, client: Program) -> tuple[float, float]:
    """The rate, within what the application's clock allows; and that of the span that is told."""
    outer = time.monotonic()
    with Tracer("counters", "--netns", ns.name, "-d", "60") as tracer:
        inner = time.monotonic()
        refuse(client, 101)
        wait_until(lambda: time.monotonic() > inner + 0.5, "half a second")
        shortest = time.monotonic() - inner
        records = tracer.stop()
    longest = time.monotonic() - outer
    fails = by_name([r for r in records if r["source"] == "snmp"])["TcpAttemptFails"]
    assert 101 / longest <= fails["rate"] <= 101 / shortest
    return fails["rate"], 101 / (fails["span_us"] / 1e6)


def test_a_rate_is_of_the_time_that_the_applications_clock_shows(
    ns: Namespace, client: Program
) -> None:
    # a namespace is timed as it is read: some ms into the span where the machine was asleep
    rates = [rate_of_refusals(ns, client) for _ in range(5)]
    assert any(rate == pytest.approx(told, rel=0.01) for rate, told in rates), rates


# --- gauges -----------------------------------------------------------------------


def test_connections_that_are_established_are_a_gauge(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server:
        for i in range(3):
            client.do("connect", name=f"c{i}", address=ADDRESS, port=PORT)
            server.do("accept", name=f"s{i}", listener="l")
        with Tracer("counters", "--netns", ns.name, "-d", "60") as tracer:
            client.do("close", name="c0")
            server.do("receive", name="s0")
            server.do("close", name="s0")
            records = tracer.stop()
        established = by_name([r for r in records if r["source"] == "snmp"])["TcpCurrEstab"]
        assert ns.counters()["TcpCurrEstab"] == 4
    assert (established["value"], established["gauge"]) == (4, True)
    assert (established["delta"], established["rate"]) == (None, None)


# --- devices and their queues -----------------------------------------------------


def cable(ns: Namespace) -> None:
    """`near` and `far`, and somebody behind `far` who takes nothing."""
    ns.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
    for end in ("near", "far"):
        ns.run("sysctl", "-qw", f"net.ipv6.conf.{end}.disable_ipv6=1")
        ns.run("ip", "link", "set", end, "up")
    ns.run("ip", "addr", "add", "10.97.0.1/24", "dev", "near")
    ns.run("ip", "neigh", "add", "10.97.0.2", "lladdr", "02:00:00:00:00:97", "dev", "near")


def send(times: int, size: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(times):
            sender.sendto(b"x" * size, ("10.97.0.2", 9))


def test_a_devices_counters_are_those_of_proc_net_dev(ns: Namespace) -> None:
    cable(ns)
    with Tracer("counters", "--netns", ns.name, "--dev", "near,far", "-d", "60") as tracer:
        inside(ns, lambda: send(13, 100))
        records = tracer.stop()
    found = {(r["dev"], r["name"]): r["delta"] for r in records if r["source"] == "dev"}
    frame = 14 + 20 + 8 + 100
    assert found["near", "tx_packets"] == 13 == found["far", "rx_packets"]
    assert found["near", "tx_bytes"] == 13 * frame == found["far", "rx_bytes"]
    assert {r["source"] for r in records} <= {"dev", "nic"}
    lines = ns.run("cat", "/proc/net/dev").splitlines()
    shown = {line.split(":")[0].strip(): line.split(":")[1].split() for line in lines[2:]}
    values = {(r["dev"], r["name"]): r["value"] for r in records if r["source"] == "dev"}
    assert values["near", "tx_packets"] == int(shown["near"][9])
    assert values["far", "rx_bytes"] == int(shown["far"][0])


def test_what_a_driver_counts_is_told_by_queue(ns: Namespace) -> None:
    ns.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
    records = count("--netns", ns.name, "--dev", "near", "--all")
    queues = {r["queue"] for r in records if r["source"] == "nic"}
    assert "rx-0" in queues
    names = {r["name"] for r in records if r["source"] == "nic"}
    assert "rx_queue_0_drops" in names
    assert "peer_ifindex" not in names, "that counts nothing"
    kernels = set(os.listdir("/sys/class/net/lo/statistics"))
    assert kernels <= {r["name"] for r in records if r["source"] == "dev"}


def test_what_a_cable_drops_is_told_at_both_ends_and_marked(ns: Namespace) -> None:
    """Its far end takes shorter packets than the near one sends."""
    cable(ns)
    ns.run("ip", "link", "set", "far", "mtu", "576")
    with Tracer("counters", "--netns", ns.name, "--dev", "near,far", "-d", "60") as tracer:
        inside(ns, lambda: send(11, 1200))
        records = tracer.stop()
    found = {(r["dev"], r["name"]): r for r in records if r["source"] == "dev"}
    for where in (("near", "tx_dropped"), ("far", "rx_dropped")):
        assert (found[where]["delta"], found[where]["trouble"]) == (11, True)
    assert ("near", "tx_packets") not in found


# --- namespaces that come and go --------------------------------------------------


def failed(tracer: Tracer, netns: int) -> int:
    """What the blocks so far tell of that namespace."""
    return sum(
        r["delta"]
        for r in tracer.so_far()
        if r["netns"] == netns and r["name"] == "TcpAttemptFails" and not r["total"]
    )


def _has_failed(tracer: Tracer, netns: int, times: int) -> bool:
    return failed(tracer, netns) == times


def test_what_a_namespace_counted_since_its_birth_is_told(ns: Namespace) -> None:
    with Tracer("counters", "-i", "100ms") as tracer, namespace() as born:
        with Program("tt-late", born.enter) as late:
            refuse(late, 7)
        wait_until(lambda: failed(tracer, born.inode) == 7, "the new namespace to be told of")
        records = tracer.stop()
        inode = born.inode
    mine = [r for r in records if r["netns"] == inode and r["name"] == "TcpAttemptFails"]
    assert [r["delta"] for r in mine if r["total"]] == [7]
    assert sum(r["delta"] for r in mine if not r["total"]) == 7


def test_what_a_namespace_that_ended_had_counted_is_told_at_the_end(
    ns: Namespace, client: Program
) -> None:
    with Tracer("counters", "-i", "100ms") as tracer:
        with namespace() as short:
            inode = short.inode
            with Program("tt-short", short.enter) as caller:
                refuse(caller, 5)

            wait_until(lambda: failed(tracer, inode) == 5, "its counts to be told")
        refuse(client, 3)
        wait_until(lambda: failed(tracer, ns.inode) == 3, "a block without it")
        records = tracer.stop()
    total = [r for r in records if r["total"] and r["netns"] == inode]
    assert {r["name"]: r["delta"] for r in total}["TcpAttemptFails"] == 5


# --- who may ----------------------------------------------------------------------


def test_without_privileges_the_own_namespace_is_read_and_the_rest_is_named() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        """As a user that cannot even read this tree: the interpreter is started before."""
        script = (
            "import os\n"
            "import tracer.cli.looking, tracer.views.counters, tracer.cli.setup\n"
            "import tracer.cli.counters, numpy\n"
            f"os.setgroups([]); os.setresgid({NOBODY}, {NOBODY}, {NOBODY})\n"
            f"os.setresuid({NOBODY}, {NOBODY}, {NOBODY})\n"
            "from tracer.cli import main\n"
            f"main({list(arguments)!r})\n"
        )
        return subprocess.run(
            [COMMAND[0], "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
        )

    done = run("counters", "-j")
    assert done.returncode == 0, done.stderr
    records = checked(done.stdout.splitlines())
    own = os.stat("/proc/self/ns/net").st_ino
    assert {r["netns"] for r in records if r["source"] != "softnet"} == {own}
    assert "CAP_SYS_PTRACE (find the namespaces of other users' processes)" in done.stderr
    with namespace() as other:
        refused = run("counters", "--netns", other.name)
    assert refused.returncode == 77
    assert "CAP_SYS_ADMIN (enter other network namespaces" in refused.stderr
    assert "sudo" in refused.stderr


# --- forms and refusals -----------------------------------------------------------


def test_each_is_shown_with_its_sentence(ns: Namespace, client: Program) -> None:
    refuse(client)
    command = [*COMMAND, "counters", "--netns", ns.name, "-f", "md"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    line = next(line for line in text.splitlines() if "TcpAttemptFails" in line)
    assert "attempts to connect that came to nothing" in line


def test_rows_by_name_add_up_over_namespaces() -> None:
    with namespace() as one, namespace() as two:
        names = f"{one.name},{two.name}"
        for space, times in ((one, 2), (two, 3)):
            with Program("tt-client", space.enter) as caller:
                refuse(caller, times)
        apart = count("--netns", names)
        joined = count("--netns", names, "--by", "name")
        fails = {r["netns"]: r["value"] for r in apart if r["name"] == "TcpAttemptFails"}
        assert fails == {one.inode: 2, two.inode: 3}
    (sum_,) = [r for r in joined if r["name"] == "TcpAttemptFails"]
    assert (sum_["value"], sum_["netns"]) == (5, None)


def test_a_device_that_is_not_there_is_told_so() -> None:
    command = [*COMMAND, "counters", "--dev", "nix0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--dev nix0: no device is called so" in done.stderr
