"""Every command of the README runs, and says what the README says it does."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import readme
from tests.harness import ROOT, wait_until

OBJECTS = [f"{name}.bpf.{form}" for name in ("tcptrace", "tcptrace-old") for form in ("o", "json")]
pytestmark = pytest.mark.kernel

COMMAND = Path(sys.executable).parent / "tcptrace"
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
# what the examples name and a reader would put there
OWN = {"1234": str(os.getpid()), "./server": "true"}


def _commands(page: str) -> list[str]:
    text = "\n".join(BLOCK.findall((ROOT / page).read_text()))
    lines = [line.split("  #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line]


def _tcptrace(page: str) -> list[str]:
    return [line for line in _commands(page) if line.startswith("tcptrace")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples build on each other: one makes the recording that another shows."""
    return tmp_path_factory.mktemp("readme")


@pytest.mark.parametrize("line", _tcptrace("README.md"))
def test_a_tcptrace_command_of_the_readme_runs(line: str, place: Path) -> None:
    words = [OWN.get(word, word) for word in shlex.split(line)[1:]]
    ready = place / "ready"
    ready.unlink(missing_ok=True)
    lives = "-r" not in words and words[0] not in ("doctor", "explain", "--help")
    waiting = ["--ready-file", str(ready)] if lives else []
    runs = words.index("--") if "--" in words else len(words)  # a program, which ends by itself
    process = subprocess.Popen(
        [str(COMMAND), *words[:runs], *waiting, *words[runs:]],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if lives:
        wait_until(lambda: ready.exists() or process.poll() is not None, "the start")
        if runs == len(words) and not _ends_by_itself(words):
            process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    shown = err if runs < len(words) else out
    assert shown or words[0] == "record" or "-j" in words or "-o" in words


def _ends_by_itself(words: list[str]) -> bool:
    return "--now" in words or ("--open" in words and "-i" not in words)


def test_the_readme_has_as_many_tcptrace_commands_as_it_shows() -> None:
    assert len(_tcptrace("README.md")) >= 11


def test_every_output_of_the_readme_is_made_by_a_script_from_a_run() -> None:
    text = (ROOT / "README.md").read_text()
    made = re.findall(r"^<!-- output: (\S+) -->\n```\n.*?^```\n<!-- end -->$", text, re.M | re.S)
    assert sorted(made) == sorted(readme.BLOCKS)
    fences = re.findall(r"^```(\w*)$", text, re.M)
    assert set(fences[::2]) <= {"", "sh"}, "what is shown is a command, or what one printed"
    assert fences[::2].count("") == len(made)
    assert set(re.findall(r"^<!-- (\w+) -->$", text, re.M)) == {*readme.TABLES, "end"}


def test_the_make_targets_that_are_shown_exist() -> None:
    command = ["make", "--no-print-directory", "help"]  # which it does where make runs the tests
    listed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    targets = {line.split()[0] for line in listed.stdout.splitlines() if line}
    shown = {
        line.split()[1]
        for page in ("README.md", "CONTRIBUTING.md", "tests/README.md")
        for line in _commands(page)
        if line.startswith("make ")
    }
    assert shown
    assert shown <= targets


def test_nothing_is_attached_afterwards_by_the_readmes_own_look() -> None:
    line = next(line for line in _commands("README.md") if line.startswith("bpftool"))
    subprocess.run([str(COMMAND), "events", "-d", "100ms"], check=True, capture_output=True)

    def gone() -> bool:
        looked = subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True)
        return looked.stdout.strip() == "nothing of tcptrace is attached"

    wait_until(gone, "the programs to be gone")


def test_make_run_passes_arguments_on() -> None:
    done = subprocess.run(
        ["make", "-s", "run", "ARGS=--version"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.stdout.startswith("tcptrace 0.1.0 ")


def test_make_help_explains_every_target_in_a_line() -> None:
    command = ["make", "--no-print-directory", "help"]  # which it does where make runs the tests
    listed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    lines = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.M)
    assert {"run", "test", "setup", "install", "uninstall", "lint", "bench"} <= set(targets)
    assert sorted(line[0] for line in lines) == sorted(targets)
    assert all(len(line) == 2 for line in lines), "a target without a word on it"


def test_install_links_and_uninstall_takes_away(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    link = tmp_path / "bin" / "tcptrace"
    make = ["make", "-s", f"PREFIX={tmp_path}"]
    subprocess.run([*make, "install"], check=True, capture_output=True, cwd=ROOT)
    assert link.readlink() == COMMAND
    subprocess.run([link, "doctor", "-h"], check=True, capture_output=True, cwd="/")
    subprocess.run([*make, "uninstall"], check=True, capture_output=True, cwd=ROOT)
    assert not link.is_symlink()


def test_uninstall_leaves_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    link = tmp_path / "bin" / "tcptrace"
    link.symlink_to("/bin/true")
    make = ["make", "-s", f"PREFIX={tmp_path}", "uninstall"]
    subprocess.run(make, check=True, capture_output=True, cwd=ROOT)
    assert link.readlink() == Path("/bin/true")


def test_install_links_where_sudo_looks() -> None:
    """secure_path in Debian's /etc/sudoers begins with /usr/local/sbin and /usr/local/bin."""
    would = subprocess.run(
        ["make", "-n", "install"], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert f"ln -sfn {COMMAND} /usr/local/bin/tcptrace\n" in would.stdout


def test_the_second_setup_installs_and_builds_nothing() -> None:
    subprocess.run(["make", "-s", "setup"], check=True, capture_output=True, cwd=ROOT)
    again = subprocess.run(
        ["make", "--no-print-directory", "--question", "setup"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (again.returncode, again.stdout) == (0, ""), again.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What git has of this checkout: nothing is built yet."""
    copy = tmp_path / "tree"
    listed = subprocess.run(
        ["git", "ls-files"], check=True, capture_output=True, text=True, cwd=ROOT
    )
    for name in listed.stdout.splitlines():
        if name.startswith(("bpf/", "tracer/")) or "/" not in name:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    return copy


def _install(tree: Path, place: Path) -> list[str]:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(place)]
    return [*pip, str(tree)]


def test_what_pip_installs_is_whole_and_traces(tree: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    subprocess.run(_install(tree, place), check=True, capture_output=True)

    def run(*arguments: str) -> str:
        line = [sys.executable, "-m", "tracer", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(place)}
        done = subprocess.run(
            line, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        return done.stdout + done.stderr

    assert f"({place / 'tracer'})" in run("-V")
    assert " 0 lost in " in run("events", "-d", "100ms", "--port", "9")
    built = {path.name for path in (place / "tracer" / "_bpf").iterdir()}
    assert {*OBJECTS, "tcptrace.bcc.c"} <= built
    assert (place / "bin" / "tcptrace").exists()


def test_pip_says_that_clang_is_missing_and_how_to_get_it(tree: Path, tmp_path: Path) -> None:
    without = {**os.environ, "PATH": str(Path(sys.executable).parent)}
    refused = subprocess.run(
        _install(tree, tmp_path / "place"), capture_output=True, text=True, env=without
    )
    assert refused.returncode != 0
    assert "clang is missing; install it: apt-get install clang libbpf-dev" in refused.stderr


def test_pip_says_that_libbpfs_headers_are_missing_and_how_to_get_them(
    tree: Path, tmp_path: Path
) -> None:
    hide = 'mount -t tmpfs none /usr/include/bpf; exec "$@"'
    refused = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", hide, "sh", *_install(tree, tmp_path / "place")],
        capture_output=True,
        text=True,
    )
    assert refused.returncode != 0
    wanted = "libbpf's headers are missing; install them: apt-get install libbpf-dev"
    assert wanted in refused.stderr
