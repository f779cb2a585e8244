"""Filters and options mean the same wherever they stand; nothing here traces or needs root."""

from __future__ import annotations

import ipaddress
import platform
import pwd
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from tracer import cli
from tracer.cli import looking, options, setup
from tracer.cli.grammar import BARE, build
from tracer.wire.filters import Filters

ROOT = Path(__file__).resolve().parents[2]
# what must follow each command's name
OPERANDS = {"record": ["a.rec"]}
TRACING = ["events", "states", "accepts", "handshakes", "listeners", "drops", "connections"]
TRACING += ["retransmits", "record", "top", "resets", "ports", "advise"]
FILTERED = TRACING
COMMANDS = [*FILTERED, "counters", "explain", "schema", "doctor"]

# every filter, with a value that differs from none given
FILTERS: dict[str, list[str]] = {
    "--pid": ["--pid", "1"],
    "-p": ["-p1"],
    "--no-follow": ["--no-follow", "--pid", "1"],
    "--port": ["--port", "80,8000-8010"],
    "--lport": ["--lport=80"],
    "--rport": ["--rport", "443"],
    "--failed": ["--failed"],
    "--slower": ["--slower", "200ms"],
    "--cgroup": ["--cgroup", "nginx.service,/user.slice"],
    "--comm": ["--comm", "nginx,work*"],
    "--uid": ["--uid", "0,12345"],
    "--laddr": ["--laddr", "10.0.0.0/8"],
    "--raddr": ["--raddr", "::1"],
    "--exclude": ["--exclude", "port=22,443,addr=10.0.0.7"],
    "--addr": ["--addr", "10.0.0.0/8,fe80::/10"],
    "-4": ["-4"],
    "-6": ["-6"],
    "--state": ["--state", "close-wait"],
    "--netns": ["--netns", "self"],
    "--kind": ["--kind", "accept"],
}
# what they sum up is of one kind
ENDS = ("--failed", "--slower")  # of what comes to an end
REFUSED = {(name, "--kind") for name in FILTERED if name not in ("events", "record")} | {
    (name, option)
    for name in ("listeners", "drops", "top", "resets", "retransmits", "ports", "advise")
    for option in ENDS
}
REFUSED |= {("top", "--state"), ("ports", "--state"), ("advise", "--state")}

# options that change nothing about what is traced, before or after the command
OPTIONS: dict[str, list[str]] = {
    "-d": ["-d", "200ms"],
    "-c": ["-c", "5"],
    "-f": ["-f", "json"],
    "-j": ["-j"],
    "-o": ["-o", "results"],
    "--force": ["--force"],
    "-r": ["-r", "a.rec"],
    "--from": ["--from", "a.rec"],
    "-w": ["-w", "a.rec"],
    "--utc": ["--utc"],
    "--since": ["--since", "+1s", "-r", "a.rec"],
    "--until": ["--until", "-1m", "-r", "a.rec"],
    "-n": ["-n"],
    "--color": ["--color", "never"],
    "--columns": ["--columns", "TIME,event"],
    "--no-header": ["--no-header"],
    "--names": ["--names"],
    "--delta": ["--delta"],
    "-q": ["-q"],
    "--transport": ["--transport", "perf"],
    "--buffer-pages": ["--buffer-pages", "8"],
    "--sockets": ["--sockets", "1000"],
    "--no-accept-hook": ["--no-accept-hook"],
    "--kernel-cost": ["--kernel-cost"],
    "--ready-file": ["--ready-file", "ready"],
    "--attach": ["--attach", "raw"],
    "--backend": ["--backend", "core"],
    "-v": ["-v"],
}
# those that tables of sums take as well
OF_SUMS: dict[str, list[str]] = {
    "-i": ["-i", "500ms"],
    "--limit": ["--limit", "5"],
    "--sort": ["--sort", "opened"],
    "--by": ["--by", "comm"],
}
# tried by themselves
TRIED = {"--stack", "--now", "--follow"}

Run = Callable[..., tuple[int, str, str]]
Read = Callable[..., setup.Command]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line to its end: status, standard output, standard error."""

    def go(*arguments: str) -> tuple[int, str, str]:
        status = cli.run(list(arguments))
        said = capsys.readouterr()
        return status, said.out, said.err

    return go


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Read:
    """Read a command line up to where it would trace, and give what it came to."""
    found: list[setup.Command] = []

    def keep(command: setup.Command, show: object) -> None:
        found.append(command)

    monkeypatch.setattr(setup.Command, "run", keep)
    monkeypatch.setattr(looking, "look", keep)

    def go(*arguments: str) -> setup.Command:
        found.clear()
        assert cli.run(list(arguments)) == 0, capsys.readouterr().err
        (command,) = found
        return command

    return go


def meaning(command: setup.Command) -> dict[str, Any]:
    """All that a command line came to, but for objects made anew each time."""
    return {
        "given": command.given,
        "filters": command.filters,
        "form": command.form,
        "limits": command.limits,
        "pages": command.pages,
        "sockets": command.sockets,
        "stream": command.stream,
        "quiet": command.notices.quiet,
        "output": command.output.path,
    }


# --- where things stand ---------------------------------------------------------


@pytest.mark.parametrize("command", FILTERED)
@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_means_the_same_before_and_after_the_command(
    read: Read, run: Run, command: str, name: str
) -> None:
    if (command, name) in REFUSED:
        status, _, stderr = run(*FILTERS[name], command)
        assert status == 2
        assert f"tcptrace {command} cannot use {name}" in stderr
        return
    before = meaning(read(*FILTERS[name], command, *OPERANDS.get(command, [])))
    after = meaning(read(command, *FILTERS[name], *OPERANDS.get(command, [])))
    last = meaning(read(command, *OPERANDS.get(command, []), *FILTERS[name]))
    assert before == after == last
    assert before["filters"] != Filters(), "the filter was ignored"


@pytest.mark.parametrize("name", FILTERS)
def test_no_filter_is_ignored_without_a_command(read: Read, name: str) -> None:
    assert read(*FILTERS[name]).filters == read("events", *FILTERS[name]).filters != Filters()


@pytest.mark.parametrize("command", ["doctor", "counters", "explain", "schema"])
@pytest.mark.parametrize("name", FILTERS)
def test_what_looks_at_no_sockets_refuses_every_filter_of_them_by_its_name(
    run: Run, command: str, name: str
) -> None:
    if (command, name) == ("counters", "--netns"):
        return
    status, _, stderr = run(command, *FILTERS[name])
    assert status == 2
    assert f"tcptrace {command} cannot use {name}" in stderr


def test_the_table_of_filters_is_the_whole_of_them() -> None:
    @click.command()
    @options.filters
    @options.ends
    @options.kind
    def command(**given: Any) -> None:
        """Take all filters and nothing else."""

    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    assert known == {*FILTERS, "--follow"}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_means_the_same_before_and_after_the_command(read: Read, name: str) -> None:
    before, after = read(*OPTIONS[name], "events"), read("events", *OPTIONS[name])
    assert meaning(before) == meaning(after)
    assert before.given != read("events").given, "the option was ignored"


@pytest.mark.parametrize("name", OF_SUMS)
def test_an_option_of_sums_means_the_same_before_and_after_the_command(
    read: Read, name: str
) -> None:
    before, after = read(*OF_SUMS[name], "states"), read("states", *OF_SUMS[name])
    assert meaning(before) == meaning(after)
    assert before.given != read("states").given, "the option was ignored"


def test_the_tables_of_options_are_the_whole_of_them() -> None:
    known = {*FILTERS, *OPTIONS, *OF_SUMS, *TRIED}
    for command in ("events", "states"):
        options = [p for p in build().commands[command].params if isinstance(p, click.Option)]
        names = [{*option.opts, *option.secondary_opts} for option in options]
        assert [found for found in names if not found & known] == []


@pytest.mark.parametrize(
    "line", ["drops --stack", "--stack events --kind drop", "--stack -r a.rec", "drops -r a.rec"]
)
def test_stacks_are_shown_where_they_are_asked_for(read: Read, line: str) -> None:
    assert read(*line.split()).look.stacks == ("--stack" in line)


def test_filters_on_both_sides_of_the_command_add_up(read: Read) -> None:
    filters = read("--pid", "1", "-4", "states", "--port", "80", "--pid", "2,3").filters
    assert filters.pids == (1, 2, 3)
    assert filters.family == 4
    assert filters.ports == ((80, 80),)


def test_pids_take_lists_and_repetition(read: Read) -> None:
    assert read("--pid", "1,2,3").filters.pids == (1, 2, 3)
    assert read("--pid", "1", "-p", "2", "-p3").filters.pids == (1, 2, 3)


def test_the_value_of_an_option_is_no_command(read: Read) -> None:
    assert read("-o", "states", "events").given["output"] == "states"
    assert read("record", "events").given["keep"] == "events"


def test_short_options_can_be_bundled_and_joined_to_their_values(read: Read) -> None:
    command = read("-jqd200ms", "-4", "states")
    assert (command.form, command.notices.quiet) == ("json", True)
    assert command.limits.seconds == 0.2
    assert command.filters.family == 4


@pytest.mark.parametrize("command", [[], *([name] for name in TRACING)], ids=" ".join)
def test_what_follows_the_first_two_dashes_is_a_program(read: Read, command: list[str]) -> None:
    line = [*command, *OPERANDS.get(" ".join(command), [])]
    program = read(*line, "--", "states", "--pid", "x", "--", "-r").program
    assert program
    assert program.words == ["states", "--pid", "x", "--", "-r"]
    assert not program.pid, "nothing is started before tracing is"


def test_with_a_program_results_go_to_standard_error_or_where_they_are_wanted(read: Read) -> None:
    assert read("--", "true").output.open() == 2
    assert read("-o", "-", "--", "true").output.open() == 1
    assert read("events").output.open() == 1


def test_a_recording_from_standard_input_is_no_command(read: Read) -> None:
    assert read("-r", "-", "states").given["source"] == "-"
    assert read("-jr", "-").given["source"] == "-"


@pytest.mark.parametrize(
    ("written", "state"),
    [("CLOSE_WAIT", 8), ("close-wait", 8), ("TCP_CLOSE_WAIT", 8), ("estab", 1), ("SynSent", 2)],
)
def test_states_are_known_in_any_spelling(read: Read, written: str, state: int) -> None:
    assert read("--state", written).filters.states == {state}


def test_an_ipv4_address_in_ipv6_clothes_is_ipv4(read: Read) -> None:
    assert read("--addr", "::ffff:10.0.0.7").filters == read("--addr", "10.0.0.7").filters


def test_users_are_known_by_name(read: Read) -> None:
    assert read("--uid", "root,nobody").filters.uids == {0, pwd.getpwnam("nobody").pw_uid}


def test_excluded_values_belong_to_the_key_before_them(read: Read) -> None:
    filters = read("--exclude", "port=ssh,443,addr=::1", "--exclude", "state=close").filters
    left_out = Filters(
        ports=((22, 22), (443, 443)),
        addrs=(ipaddress.ip_network("::1"),),
        states=frozenset({7}),
    )
    assert filters.exclude is not None
    assert replace(filters.exclude, typed=()) == left_out
    assert replace(filters, exclude=None) == read().filters


def test_names_of_services_are_ports(read: Read) -> None:
    assert read("--port", "https,ssh").filters.ports == ((443, 443), (22, 22))


# --- what is refused ------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "cause", "hint"),
    [
        # programs
        ("doctor --sockets 5", "--sockets is for the self-test alone", "add --self-test"),
        ("doctor --self-test --attach x", "--attach 'x' is not known", "tracepoint"),
        ("--", "no program stands after --", "tcptrace -- curl URL"),
        ("doctor -- true", "tcptrace doctor cannot use `-- true`", "tcptrace doctor --help"),
        ("schema -- a --b", "cannot use `-- a --b`", "tcptrace schema --help"),
        ("-r a.rec -- true", "-- PROGRAM has no use with a recording", "leave -- PROGRAM out"),
        # numbers and names where they do not belong
        ("1234", "'1234' is no command", "did you mean --pid 1234?"),
        ("-j 12,34", "'12,34' is no command", "did you mean --pid 12,34?"),
        ("--pid nginx", "'nginx' is a name", "--comm nginx"),
        ("--pid php-fpm8.2", "'php-fpm8.2' is a name", "--comm php-fpm8.2"),
        ("dump.pcap", "'dump.pcap' looks like a packet capture", "Debian's package tcptrace"),
        ("a.cap", "'a.cap' looks like a packet capture", "Debian's package tcptrace"),
        ("a.pcap.gz", "'a.pcap.gz' looks like a packet capture", "Debian's package tcptrace"),
        ("-j a.pcapng", "'a.pcapng' looks like a packet capture", "Debian's package tcptrace"),
        # the nearest name
        ("stats", "'stats' is no command", "did you mean states?"),
        ("--pid 1 event", "'event' is no command", "did you mean events?"),
        ("xyzzy", "'xyzzy' is no command", "one of: "),
        ("live", "'live' is no command", "one of: "),
        ("--prot 80", "no such option: --prot", "did you mean --port?"),
        ("events --prot 80", "no such option: --prot", "did you mean --port?"),
        ("--sate listen states", "no such option: --sate", "did you mean --state?"),
        ("--xyzzy", "no such option: --xyzzy", "see: tcptrace --help"),
        ("-z", "no such option: -z", "see: tcptrace --help"),
        ("-jz", "no such option: -z", "see: tcptrace --help"),
        # no abbreviations
        ("--po 80", "no such option: --po", "did you mean --port?"),
        ("events --dur 5", "no such option: --dur", ""),
        ("state", "'state' is no command", "did you mean states?"),
        # what a command cannot use
        ("states --count 5", "tcptrace states cannot use --count", "see: tcptrace states --help"),
        ("-c 5 states", "tcptrace states cannot use -c", "see: tcptrace states --help"),
        ("states --kind accept", "tcptrace states cannot use --kind", "states --help"),
        ("accepts --kind state", "tcptrace accepts cannot use --kind", "accepts --help"),
        ("accepts --no-accept-hook", "accepts has nothing to show without", "--no-accept-hook out"),
        ("states --stack", "tcptrace states cannot use --stack", "see: tcptrace states --help"),
        ("--stack resets", "tcptrace resets cannot use --stack", "see: tcptrace resets --help"),
        ("--stack", "--stack is of dropped packets, and no drop", "add --kind drop"),
        ("events --kind state --stack", "and no drop records are asked for", "add --kind drop"),
        ("record --stack a.rec", "and no drop records are asked for", "add --kind drop"),
        ("-r a.rec --kind state --stack", "and no drop records are asked for", "add --kind drop"),
        ("drops --syn --stack", "--stack is of packets", "leave out --stack or --syn"),
        ("events --by pid", "tcptrace events cannot use --by", "see: tcptrace events --help"),
        ("events -i 1", "tcptrace events cannot use -i", "see: tcptrace events --help"),
        ("-i 1", "tcptrace cannot use -i", "see: tcptrace --help"),
        ("record -r a.rec b.rec", "tcptrace record cannot use -r", "record --help"),
        ("record -j a.rec", "tcptrace record cannot use -j", "record --help"),
        ("handshakes --kind state", "tcptrace handshakes cannot use --kind", "handshakes --help"),
        ("events --by role", "tcptrace events cannot use --by", "see: tcptrace events --help"),
        ("handshakes --failed -i 1", "--failed shows single attempts", "leave out --interval or"),
        ("handshakes --slower 1s --by pid", "--slower shows single attempts", "leave out --by or"),
        ("counters --attach raw", "tcptrace counters cannot use --attach", "counters --help"),
        ("counters -r a.rec", "tcptrace counters cannot use -r", "counters --help"),
        ("counters -w a.rec", "tcptrace counters cannot use -w", "counters --help"),
        ("counters --color never", "tcptrace counters cannot use --color", "counters --help"),
        ("counters -- true", "tcptrace counters cannot use `-- true`", "counters --help"),
        ("counters --dev ,", "--dev '' is no device", "ip link"),
        ("counters --by port", "--by 'port' is no key here", "one of: name, netns, dev"),
        ("counters --sort pid", "--sort: there is no column 'pid'", "counter"),
        ("top --exclude state=close", "--exclude state=: top counts", "connections --open"),
        ("top --failed", "tcptrace top cannot use --failed", "top --help"),
        ("top -r a.rec --since +1s", "tcptrace top cannot use --since", "top --help"),
        ("top --by port", "--by 'port' is no key here", "rport"),
        ("top --by comm/8", "--by 'comm/8' is no key here", ""),
        ("doctor -d 1", "tcptrace doctor cannot use -d", "doctor --help"),
        ("events states", "unexpected extra argument (states)", "see: "),
        ("record", "Missing argument 'FILE'", "see: "),
        ("events --pid", "'--pid' requires an argument", "see: "),
        # what contradicts itself, or a recording
        ("-4 -6", "-4 and -6 together leave nothing", "one of them"),
        ("-j -f csv", "--json and --format csv", "one of them"),
        ("-j -f md", "--json and --format md", "one of them"),
        ("-j --columns pid", "--columns chooses those of a table or of CSV", "jq"),
        ("-j --no-header", "--no-header has no use with --format json", "leave it out"),
        ("states -f md --no-header", "--no-header has no use with --format md", "leave it out"),
        ("states --names -n", "--names and --numeric contradict each other", "one of them"),
        ("states -j --names", "--names has no use with --format json", "leave --names out"),
        ("events -f csv --delta", "--delta has no use with --format csv", "leave --delta out"),
        ("events --delta --columns KIND", "--delta changes the column TIME", "name it there"),
        ("states --delta", "tcptrace states cannot use --delta", "states --help"),
        ("states --since 12:00", "--since chooses a part of a recording", "-r FILE"),
        ("--until +5s", "--until chooses a part of a recording", "leave --until out"),
        ("-r a.rec --since noon", "--since 'noon' is no moment", "+30s"),
        ("-r a.rec --since 24:00", "--since '24:00' is no moment", "03:12:41"),
        ("-r a.rec --until +0", "--until '0' is not a time above 0", "200ms"),
        ("record a.rec --since +1", "tcptrace record cannot use --since", "record --help"),
        ("states -w -", "-w - would mix a recording with the results", "tcptrace record -"),
        ("record - --force", "--force has no use with standard output", "leave --force out"),
        ("-r a.rec -d 5", "--duration has no use with a recording", "leave --duration out"),
        ("states -r a.rec -i 1", "--interval has no use with a recording", "--interval out"),
        ("-r a.rec -w b.rec", "--keep has no use with a recording", "leave --keep out"),
        ("-r a.rec --ready-file x", "--ready-file has no use with", "--ready-file out"),
        ("-r a.rec --transport perf", "--transport has no use with", "--transport out"),
        ("-r a.rec --buffer-pages 8", "--buffer-pages has no use with", "--buffer-pages out"),
        ("-r a.rec --sockets 9", "--sockets has no use with", "--sockets out"),
        ("-r a.rec --no-accept-hook", "--no-accept-hook has no use", "--no-accept-hook out"),
        ("-r a.rec --kernel-cost", "--kernel-cost has no use with", "--kernel-cost out"),
        # values
        ("--pid 0", "--pid 0 is no PID", "1 to 4194304"),
        ("--pid 4194305", "--pid 4194305 is no PID", "1 to 4194304"),
        ("--pid -1", "--pid takes numbers, not '-1'", "--pid 1234,5678"),
        ("--pid 1,,2", "--pid takes numbers, not ''", "--pid 1234,5678"),
        ("--port 0", "--port 0 is no port", "1 to 65535"),
        ("--port 65536", "--port 65536 is no port", "1 to 65535"),
        ("--lport 90-80", "--lport 90-80 is no port", "ranges rise"),
        ("--rport xyzzy", "--rport: no TCP service is called 'xyzzy'", "/etc/services"),
        ("--addr 10.0.0", "--addr '10.0.0' is no address", "10.0.0.0/8"),
        ("--addr 10.0.0.0/33", "--addr '10.0.0.0/33' is no address", "10.0.0.0/8"),
        ("--laddr x/8", "--laddr 'x/8' is no address", "10.0.0.0/8"),
        ("--raddr ,", "--raddr '' is no address", "10.0.0.0/8"),
        ("--comm ,", "--comm '' is no name", "worker-*"),
        ("--comm kube-controller-manager", "is longer than any process's name", "kube-controlle*"),
        ("--cgroup ,", "--cgroup '' is no control group", "nginx.service"),
        ("--uid xyzzy", "--uid: no user is called 'xyzzy'", "getent passwd"),
        ("--uid 4294967295", "--uid 4294967295 is no uid", "0 to 4294967294"),
        ("--exclude pord=22", "--exclude 'pord' is no filter with a value", "did you mean port?"),
        ("--exclude port", "--exclude port has no value", "as in --exclude port=22"),
        ("--exclude 22", "--exclude '22' is no filter with a value", "as in port=22"),
        ("--exclude port=x", "--exclude port: no TCP service is called 'x'", "/etc/services"),
        ("--exclude family=5", "family '5' is not known", "one of: 4, 6"),
        ("--exclude netns=all", "--exclude netns=all leaves nothing", "leave out"),
        ("states --exclude kind=state", "--exclude kind= has no use here", "tcptrace events"),
        ("--state open", "--state 'open' is no TCP state", ""),
        ("--state close-wiat", "--state 'close-wiat' is no TCP state", "did you mean close-wait?"),
        ("--kind accepts", "--kind 'accepts' is no kind", "did you mean accept?"),
        ("--format xml", "--format 'xml' is not known", "one of: table, json, csv, md"),
        ("-f jsn", "--format 'jsn' is not known", "did you mean json?"),
        ("--color red", "--color 'red' is not known", "auto, always, never"),
        ("-d soon", "--duration 'soon' is not a time above 0", "200ms"),
        ("-d 0", "--duration '0' is not a time above 0", "200ms"),
        ("-d 5x", "--duration '5x' is not a time above 0", "200ms"),
        ("-d -5", "--duration '-5' is not a time above 0", "200ms"),
        ("states -i 0", "--interval '0' is not a time above 0", "200ms"),
        ("handshakes --slower x", "--slower 'x' is not a time above 0", "200ms"),
        ("handshakes --limit -1", "--limit '-1' is not a number above 0", "100"),
        ("handshakes --by pear", "--by 'pear' is no key here", "did you mean peer?"),
        ("handshakes --by comm/8", "--by 'comm/8' is no key here", ""),
        ("handshakes --by peer/129", "--by 'peer/129' is no network", "peer/24"),
        ("states --sort age", "--sort: there is no column 'age'", "one of: pid, process, estab"),
        ("states --sort=-opend", "--sort: there is no column 'opend'", "did you mean opened?"),
        ("handshakes -j --sort p98", "--sort: there is no column 'p98'", "did you mean p9"),
        ("listeners --columns pek", "--columns: there is no column 'pek'", "did you mean peak?"),
        ("drops --columns", "'--columns' requires an argument", "see: "),
        ("accepts --columns ,", "--columns holds an empty name", "PID,PROCESS"),
        ("events --columns TIME,WHO", "--columns: there is no column 'who'", "process"),
        ("events --columns TIME,TIME", "--columns names 'TIME' twice", "once"),
        ("states -f csv --columns PID", "--columns: there is no column 'PID'", "pid, comm"),
        ("events --sort pid", "tcptrace events cannot use --sort", "see: tcptrace events --help"),
        ("handshakes --failed --sort p99", "--failed shows single attempts", "leave out --sort or"),
        ("-c 0", "--count '0' is not a number above 0", "100"),
        ("-c many", "--count 'many' is not a number above 0", "100"),
        ("states --by role", "--by 'role' is no key here", "one of: pid, comm"),
        ("states --by rport/8", "--by 'rport/8' is no key here", "did you mean rport?"),
        ("drops --syn --by raeson", "--by 'raeson' is no key here", "did you mean reason?"),
        ("drops --syn --by peer/x", "--by 'peer/x' is no network", "peer/24"),
        ("listeners --by peer", "--by 'peer' is no key here", "one of: listener, pid"),
        ("connections --by pid", "--by puts together what is open", "connections --open --by pid"),
        ("connections --open --by rate", "a single look knows no rates", "-d 5"),
        ("connections --open --by ages", "--by 'ages' is no key here", "did you mean age?"),
        ("accepts --by pod", "--by 'pod' is no key here", "did you mean pid?"),
        ("accepts --by pid,", "--by '' is no key here", "one of: listener, pid, comm, peer"),
        ("accepts --by pid/8", "--by 'pid/8' is no key here", "did you mean pid?"),
        ("accepts --by peer/129", "--by 'peer/129' is no network", "peer/24"),
        ("accepts --limit -1", "--limit '-1' is not a number above 0", "100"),
        ("--transport pigeon", "--transport 'pigeon' is not known", "auto, perf, ring"),
        ("--buffer-pages 3", "--buffer-pages 3 is no power of two", "4"),
        ("--buffer-pages x", "--buffer-pages 'x' is not a number", "100"),
        ("--sockets 0", "--sockets '0' is not a number above 0", "100"),
        ("record --max-size big a.rec", "--max-size 'big' is not a size", "500M"),
    ],
)
def test_what_cannot_be_meant_ends_with_2_a_cause_and_a_hint(
    run: Run, line: str, cause: str, hint: str
) -> None:
    status, stdout, stderr = run(*line.split())
    assert (status, stdout) == (2, "")
    first, *rest = stderr.splitlines()
    assert first.startswith("tcptrace: ")
    assert cause in first
    assert len(rest) == 1, "one line of cause and one of what to do"
    assert rest[0].startswith("  ")
    assert hint in rest[0]


def test_pids_with_a_space_between_them_are_shown_how(run: Run) -> None:
    status, _, stderr = run("--pid", "1 2", "states")
    assert status == 2
    assert stderr.splitlines() == ["tcptrace: --pid '1 2' holds a space", "  --pid 1,2"]


@pytest.mark.parametrize("option", ["--pid", "--port", "--addr", "--state", "--kind", "--netns"])
def test_an_empty_value_is_an_error_and_not_no_filter(run: Run, option: str) -> None:
    status, _, stderr = run("events", option, "")
    assert status in (1, 2), "--netns '' does not exist, the others cannot be meant"
    assert option in stderr


@pytest.mark.parametrize("option", ["-d", "-c", "--buffer-pages", "--sockets"])
def test_an_empty_number_is_an_error_and_not_the_default(run: Run, option: str) -> None:
    assert run("events", option, "")[0] == 2


@pytest.mark.parametrize(
    ("which", "cause"),
    [
        ("no-such-name", "--netns: no network namespace is called 'no-such-name'"),
        ("/no/such/path", "--netns: /no/such/path is no network namespace"),
    ],
)
def test_a_namespace_that_does_not_exist_ends_with_1(run: Run, which: str, cause: str) -> None:
    status, _, stderr = run("states", "--netns", which)
    assert status == 1
    assert stderr.splitlines()[0] == f"tcptrace: {cause}"


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("/no/such/recording", "cannot read /no/such/recording: No such file or directory"),
        ("/", "cannot read /: Is a directory"),
        (__file__, f"{__file__} is not a recording of tcptrace"),
        ("/dev/null", "/dev/null is not a recording of tcptrace"),
    ],
)
def test_what_is_no_recording_ends_with_1_a_cause_and_a_hint(
    run: Run, name: str, cause: str
) -> None:
    status, _, stderr = run("-r", name)
    assert status == 1
    assert stderr.splitlines()[0] == f"tcptrace: {cause}"
    assert len(stderr.splitlines()) == 2


@pytest.mark.parametrize(
    "line", ["events -f xml", "events --color red", "-r /no/such/recording", "--pid x"]
)
def test_a_command_line_that_is_refused_makes_no_file(run: Run, tmp_path: Path, line: str) -> None:
    made = tmp_path / "results"
    assert run(*line.split(), "-o", str(made))[0] in (1, 2)
    assert not made.exists()


def test_a_traceback_is_shown_with_v_alone(run: Run) -> None:
    assert "Traceback" not in run("-r", "/no/such/recording")[2]
    assert "Traceback" in run("-v", "-r", "/no/such/recording")[2]
    program = ["--", "sleep", "-v"]
    assert "Traceback" not in run("--pid", "x", *program)[2], "that -v is the program's"


# --- what looks and does not trace ------------------------------------------------


@pytest.mark.parametrize("command", ["connections --open", "states --now"])
@pytest.mark.parametrize(
    "option",
    [
        *("--keep a.rec", "--transport perf", "--buffer-pages 8", "--sockets 1000", "--attach raw"),
        *("--no-accept-hook", "--kernel-cost"),
    ],
)
def test_a_look_refuses_what_says_how_to_trace(run: Run, command: str, option: str) -> None:
    for line in ([*command.split(), *option.split()], [*option.split(), *command.split()]):
        status, stdout, stderr = run(*line)
        assert (status, stdout) == (2, "")
        assert f"{command} traces nothing: {option.split()[0]} has no use" in stderr


@pytest.mark.parametrize("option", ["--duration 1", "--interval 1"])
def test_states_now_ends_at_once_so_it_takes_no_time(run: Run, option: str) -> None:
    status, _, stderr = run("states", "--now", *option.split())
    assert status == 2
    assert option.split()[0] in stderr


@pytest.mark.parametrize("command", ["connections --open", "states --now"])
def test_a_look_at_a_recording_is_refused_and_says_what_shows_it(run: Run, command: str) -> None:
    status, _, stderr = run(*command.split(), "-r", "a.rec")
    assert status == 2
    assert "tcptrace states -r FILE" in stderr


@pytest.mark.parametrize("option", ["--slowest", "--failed", "--slower 1s"])
def test_what_is_open_has_not_ended(run: Run, option: str) -> None:
    status, _, stderr = run("connections", "--open", *option.split())
    assert status == 2
    assert option.split()[0] in stderr


def test_a_listener_is_no_connection(run: Run) -> None:
    status, _, stderr = run("connections", "--open", "--state", "listen")
    assert status == 2
    assert "tcptrace listeners" in stderr


# --- version and help -----------------------------------------------------------


@pytest.mark.parametrize("line", ["-V", "--version", "events -V", "--pid 1 --version", "-qV"])
def test_the_version_tells_path_kernel_and_libbpf(run: Run, line: str) -> None:
    status, stdout, stderr = run(*line.split())
    assert (status, stderr) == (0, "")
    assert stdout.startswith("tcptrace ")
    assert f"({ROOT / 'tracer'})" in stdout
    assert f"Linux {platform.release()}" in stdout
    assert "libbpf v" in stdout


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_works_before_and_after_every_command(run: Run, option: str, command: str) -> None:
    for line in ([command, option], [option, command], ["--pid", "1", command, option]):
        if command not in FILTERED and "--pid" in line:
            continue
        status, stdout, stderr = run(*line)
        assert (status, stderr) == (0, "")
        assert stdout.startswith(f"Usage: tcptrace {command} ")


@pytest.mark.parametrize("line", ["-h", "--help", "--pid 1 -h", "-qh"])
def test_help_without_a_command_names_all_commands_and_filters(run: Run, line: str) -> None:
    status, stdout, _ = run(*line.split())
    assert status == 0
    assert stdout.startswith("Usage: tcptrace [FILTERS] [OPTIONS] [COMMAND]")
    for name in [*COMMANDS, *FILTERS, "--follow", "--version"]:
        assert name in stdout
    assert f"\n  {BARE} " not in stdout


def test_every_command_is_in_these_tables() -> None:
    assert set(build().commands) == {*COMMANDS, BARE}


def test_the_module_and_the_command_are_the_same() -> None:
    lines = [
        subprocess.run([*start, "-V"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
        for start in (
            [sys.executable, "-m", "tracer"],
            [str(Path(sys.executable).parent / "tcptrace")],
        )
    ]
    assert lines[0] == lines[1] != ""
