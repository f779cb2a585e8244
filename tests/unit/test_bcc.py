"""What the BCC back end says where it cannot serve, and what it makes for BCC."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT
from tracer.errors import UnsupportedError
from tracer.kernel import bcc, bcc_compile, bcc_ladder, bcc_types, mib, perf, tracefs
from tracer.kernel.bcc_ladder import SERVED, climb_bcc, narrow
from tracer.kernel.settings import Settings
from tracer.wire.filters import Filters

SNMP = """
enum
{
\tLINUX_MIB_NUM = 0,
\tLINUX_MIB_SYNCOOKIESSENT,\t\t/* SyncookiesSent */
/* a word */
\tLINUX_MIB_LISTENDROPS,\t\t\t/* ListenDrops */
\t__LINUX_MIB_MAX
};
"""


def compile_with(path: Path) -> subprocess.CompletedProcess[str]:
    """The compiler, where Python finds modules in `path` first."""
    return subprocess.run(
        [sys.executable, "-P", bcc_compile.__file__, "0"],
        env=os.environ | {"PYTHONPATH": str(path)},
        input="{}",
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_package_of_the_same_name_is_told_apart_and_named(tmp_path: Path) -> None:
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc/__init__.py").write_text("")
    done = compile_with(tmp_path)
    assert done.returncode == bcc_compile.NOT_BCC
    error = bcc._explain(done)
    assert str(tmp_path / "bcc/__init__.py") in error.message
    assert "python3-bpfcc" in error.hint


def test_where_bcc_is_missing_its_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "bcc.py").write_text("raise ImportError('No module named bcc')")
    error = bcc._explain(compile_with(tmp_path))
    assert error.exit_code == 69
    assert "python3-bpfcc" in error.hint


def test_missing_headers_are_named_with_their_package(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        bcc_types.check_headers(tmp_path)
    assert f"linux-headers-{os.uname().release}" in caught.value.hint


def test_headers_of_another_version_are_refused(tmp_path: Path) -> None:
    release = os.uname().release
    header = tmp_path / release / "build" / bcc_types.RELEASE
    header.parent.mkdir(parents=True)
    header.write_text('#define UTS_RELEASE "6.1.0-57-amd64"\n')
    with pytest.raises(UnsupportedError, match=r"6\.1\.0-57-amd64.*garbage"):
        bcc_types.check_headers(tmp_path)
    header.write_text(f'#define UTS_RELEASE "{release}"\n')
    assert bcc_types.check_headers(tmp_path) == tmp_path / release / "build"


def test_gaps_become_bytes_but_those_within_one() -> None:
    text = "struct a {\n\tu8 b;\n\tlong: 56;\n\tlong: 64;\n\tu32 c: 3;\n\tint: 29;\n};\n"
    assert bcc_types.fill_gaps(text) == (
        "struct a {\n\tu8 b;\n\tchar tt_gap0[15];\n\tu32 c: 3;\n\tint: 29;\n};\n"
    )


def test_counters_have_their_numbers_from_the_headers() -> None:
    assert mib.of_headers(["LISTENDROPS", "SYNCOOKIESSENT"], SNMP) == {
        "LISTENDROPS": 2,
        "SYNCOOKIESSENT": 1,
    }
    with pytest.raises(UnsupportedError, match="LINUX_MIB_NONE"):
        mib.of_headers(["NONE"], SNMP)


def test_what_is_not_asked_for_by_name_is_left_out_and_said() -> None:
    narrowed, off = narrow(Settings())
    assert narrowed.wanted <= SERVED
    assert off == [
        "off: connection, error, reset, retransmit: each needs BTF,"
        " which the bcc back end does without"
    ]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (Settings(filters=Filters(kinds=frozenset({"drop"}))), "--kind drop"),
        (Settings(filters=Filters(cgroups=("/a",))), "--cgroup"),
        (Settings(stacks=True), "--stack"),
        (Settings(snapshots=True), "all but `events`"),
        (Settings(tell_forks=True, reconcile=True), "a recording"),
    ],
)
def test_what_needs_btf_says_so(settings: Settings, named: str) -> None:
    with pytest.raises(UnsupportedError, match="needs BTF") as caught:
        narrow(settings)
    assert caught.value.message.startswith(named)


def test_a_way_to_attach_or_to_send_that_it_has_not_is_refused() -> None:
    for settings in (Settings(attach="fexit"), Settings(transport="ring")):
        with pytest.raises(UnsupportedError):
            climb_bcc(settings)
    ladder = climb_bcc(replace(Settings(), kinds=frozenset({"state", "handshake"})))
    assert ladder.rungs["state"] == "raw_tp"
    assert any("SYN cookie" in notice for notice in ladder.notices)


@pytest.mark.parametrize(("attach", "how"), [("raw", "raw_tp"), ("kprobe", "kprobe")])
def test_a_way_that_is_asked_for_is_the_one_by_which_dropped_syns_are_seen(
    monkeypatch: pytest.MonkeyPatch, attach: str, how: str
) -> None:
    refused = {"raw_tp": "", "kprobe": ""}
    monkeypatch.setattr(bcc_ladder, "why_not", lambda rung: refused[rung.how])
    settings = replace(Settings(), kinds=frozenset({"state", "syn_drop"}), attach=attach)
    assert climb_bcc(settings).rungs["syn_drop"] == how
    refused[how] = "for a reason"
    with pytest.raises(UnsupportedError, match=f"--attach {attach}: syn_drop .*: for a reason"):
        climb_bcc(settings)


def test_kprobes_that_nothing_is_seen_by_are_refused_with_what_they_are_for() -> None:
    settings = replace(Settings(), kinds=frozenset({"state"}), attach="kprobe")
    with pytest.raises(UnsupportedError, match="dropped SYNs alone"):
        climb_bcc(settings)


def test_what_cannot_be_attached_is_named() -> None:
    error = bcc._refused(FileNotFoundError(2, "x"), "cannot attach tt_a to nowhere")
    assert error.message == "cannot attach tt_a to nowhere: No such file or directory"
    assert bcc._refused(PermissionError(1, "x"), "y").exit_code == 77


def test_links_to_headers_are_made_where_the_first_try_did_not_compile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Path] = []
    monkeypatch.setattr(bcc_types, "BTF", tmp_path / "none")
    monkeypatch.setattr(bcc_types, "check_headers", lambda: tmp_path)
    monkeypatch.setattr(bcc_types, "_merge_headers", lambda build, folder: made.append(folder))
    found = bcc_types.find(tmp_path)
    assert (next(found).environment.get("BCC_KERNEL_SOURCE"), made) == (None, [])
    assert next(found).environment["BCC_KERNEL_SOURCE"] == str(tmp_path)
    assert made == [tmp_path]


def test_the_option_takes_three_words_and_no_recording() -> None:
    done = subprocess.run(
        [*COMMAND, "events", "--backend", "bbc"], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, "auto, core, bcc" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("tells_place", "has_kprobes", "how"),
    [(True, True, "raw_tp"), (False, True, "kprobe"), (False, False, "off")],
)
def test_dropped_syns_are_seen_by_kprobes_where_no_tracepoint_tells_where_they_were_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tells_place: bool, has_kprobes: bool, how: str
) -> None:
    event = tmp_path / "skb/consume_skb"
    event.mkdir(parents=True)
    place = "\tfield:void * location;\toffset:16;\n" if tells_place else ""
    (event / "format").write_text(f"\tfield:void * skbaddr;\toffset:8;\n{place}")
    monkeypatch.setattr(bcc_ladder, "BTF", tmp_path / "none")
    monkeypatch.setattr(tracefs, "reach", lambda work: work())
    monkeypatch.setattr(tracefs, "event", lambda name: tmp_path / name)
    monkeypatch.setattr(perf, "KPROBES", tmp_path / ("skb" if has_kprobes else "none"))
    ladder = climb_bcc(replace(Settings(), kinds=frozenset({"handshake", "syn_drop"})))
    assert ladder.rungs["syn_drop"] == how
    assert ("tt_syn_kret" in ladder.programs) == (how == "kprobe")
    assert (("tt_ack_kret", "cookie_v4_check") in ladder.also) == (how == "kprobe")
    assert bcc_ladder.serves("syn_drop")[0] == (how if how != "off" else "")
    said = " ".join(ladder.notices)
    assert ("this kernel has no kprobes" in said) == (how == "off")


def test_headers_newer_than_bcc_are_tried_with_their_own_bpf_h_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = os.uname().release
    modules, made = tmp_path / "modules", tmp_path / "made"
    build, source = modules / release / "build", modules / release / "source"
    files = {
        build / bcc_types.RELEASE: f'#define UTS_RELEASE "{release}"\n',
        build / "arch/x86/include/generated/asm/made.h": "made",
        source / "arch/x86/include/asm/page.h": "page",
        source / "include/linux/kconfig.h": "its own",
        source / "include/linux/bpf.h": "bpf",
        source / "include/uapi/linux/bpf.h": "uapi",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    made.mkdir()
    bcc_types._merge_headers(bcc_types.check_headers(modules), made)
    for path, text in files.items():
        at = path.relative_to(source if path.is_relative_to(source) else build)
        if path.name != "kconfig.h":
            assert (made / at).read_text() == text
    first = (made / "include/linux/kconfig.h").read_text().splitlines()
    assert first == [
        f'#include "{source}/include/{n}"' for n in ("linux/kconfig.h", "uapi/linux/bpf.h")
    ]
    assert (source / "include/linux/kconfig.h").read_text() == "its own"


@pytest.mark.parametrize("compiles", ["first", "second", "none"])
def test_the_next_types_are_tried_where_the_sources_do_not_compile(
    monkeypatch: pytest.MonkeyPatch, compiles: str
) -> None:
    tried = []

    def load(self: bcc.BccObject, types: bcc_types.Types) -> None:
        tried.append(types.text)
        if types.text != compiles:
            raise bcc.NotCompiledError(f"not with the {types.text}", "see")

    monkeypatch.setattr(bcc.BccObject, "_load", load)
    made = bcc.BccObject.__new__(bcc.BccObject)
    found = [bcc_types.Types(text, {}) for text in ("first", "second")]
    if compiles == "none":
        with pytest.raises(UnsupportedError, match="not with the first"):
            made._load_first(found)
    else:
        made._load_first(found)
    assert tried == (["first"] if compiles == "first" else ["first", "second"])
