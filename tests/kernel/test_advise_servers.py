"""Servers that people run, under ordinary load: `advise` has nothing to warn of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Tracer
from tests.kernel.test_advise import findings
from tests.programs import servers
from tests.programs.places import link

pytestmark = pytest.mark.kernel

IDLE = 5


def test_nginx_redis_and_postgresql_under_ordinary_load_are_given_no_warning(
    tmp_path: Path,
) -> None:
    """Each by some hundred connections and thousands of requests, over a cable."""
    with (
        link() as path,
        servers.nginx(path.there, tmp_path),
        servers.redis(path.there, tmp_path),
        servers.postgres(path.there),
    ):
        pool = servers.hold(path.here, servers.REDIS_PORT, IDLE)
        with Tracer("advise", "--netns", path.names, "-d", "60") as tracer:
            assert servers.ask_nginx(path.here, 200, 20) == 200 * 20
            servers.ask_redis(path.here, 20, 20_000)
            servers.ask_postgres(path.here, 8, 200)
            found = tracer.stop()
        counted = path.there.counters()
        now = findings("--now", "--netns", path.names)
        for each in pool:
            each.close()
    warned = [one for one in [*found, *now] if one["severity"] != "info"]
    assert warned == []
    assert counted["TcpPassiveOpens"] > 200 + 20 + 8 * 5
    assert tracer.counts["seen"] > 2 * counted["TcpPassiveOpens"]
