"""nginx, Redis and PostgreSQL as Debian packages them, each in a namespace, and their load."""

from __future__ import annotations

import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import Namespace, wait_until
from tests.programs.places import CALLED, inside

NGINX_PORT, REDIS_PORT, POSTGRES_PORT = 8080, 6379, 5432
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
_CONF = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
    access_log off;
    keepalive_timeout 65;
    server {{ listen {address}:{port}; location / {{ return 200 "ready\\n"; }} }}
}}
"""


@contextmanager
def _running(ns: Namespace, port: int, *command: str, end: int = signal.SIGTERM) -> Iterator[int]:
    """A server from when it listens to its end; gives its PID."""
    process = subprocess.Popen([*ns.enter, *command], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: ns.run("ss", "-Htln", f"sport = :{port}"), f"{command[0]} to listen")
        yield process.pid
    finally:
        process.send_signal(end)
        process.wait(30)


@contextmanager
def nginx(ns: Namespace, folder: Path) -> Iterator[int]:
    path = folder / "nginx.conf"
    path.write_text(_CONF.format(folder=folder, address=CALLED, port=NGINX_PORT))
    with _running(ns, NGINX_PORT, "nginx", "-c", str(path), end=signal.SIGQUIT) as pid:
        yield pid


@contextmanager
def redis(ns: Namespace, folder: Path) -> Iterator[int]:
    options = ["--bind", CALLED, "--port", str(REDIS_PORT), "--protected-mode", "no"]
    options += ["--save", "", "--dir", str(folder)]
    with _running(ns, REDIS_PORT, "redis-server", *options) as pid:
        yield pid


@contextmanager
def postgres(ns: Namespace) -> Iterator[int]:
    """It does not run as root: its files are in a folder of its own user."""
    (binaries,) = BINARIES
    folder = Path(tempfile.mkdtemp())
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    data = folder / "data"
    try:
        command = [*as_user, str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-N"]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        with (data / "pg_hba.conf").open("a") as file:
            file.write("host all all samenet trust\n")
        options = ["-D", str(data), "-h", CALLED, "-p", str(POSTGRES_PORT), "-k", str(folder)]
        command = [*as_user, str(binaries / "postgres"), *options]
        with _running(ns, POSTGRES_PORT, *command, end=signal.SIGINT) as pid:
            yield pid
    finally:
        shutil.rmtree(folder)


def ask_nginx(ns: Namespace, connections: int, requests: int) -> int:
    """So many connections one after the other, each with so many requests; returns the answers."""

    def work() -> int:
        answered = 0
        for _ in range(connections):
            made = http.client.HTTPConnection(CALLED, NGINX_PORT, timeout=10)
            for _ in range(requests):
                made.request("GET", "/")
                answer = made.getresponse()
                answered += answer.status == 200
                answer.read()
            made.close()
        return answered

    return int(inside(ns, work))


def ask_redis(ns: Namespace, clients: int, requests: int) -> None:
    """Its own benchmark."""
    where = ["-h", CALLED, "-p", str(REDIS_PORT), "-c", str(clients), "-n", str(requests)]
    ns.run("redis-benchmark", *where, "-t", "set,get", "-q")


def ask_postgres(ns: Namespace, clients: int, each: int) -> None:
    """Its own benchmark, with a few connections that are made anew."""
    (binaries,) = BINARIES
    where = ["-h", CALLED, "-p", str(POSTGRES_PORT), "-U", "postgres"]
    ns.run(str(binaries / "pgbench"), *where, "-i", "-q", "postgres")
    bench = [str(binaries / "pgbench"), *where, "-n", "-c", str(clients)]
    ns.run(*bench, "-t", str(each), "postgres")
    ns.run(*bench, "-t", "5", "-C", "postgres")


def hold(ns: Namespace, port: int, count: int) -> list[socket.socket]:
    """Connections that are left idle, as pools have them."""
    return list(
        inside(ns, lambda: [socket.create_connection((CALLED, port)) for _ in range(count)])
    )
