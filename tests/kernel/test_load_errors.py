"""What is said when the kernel does not take the programs."""

from __future__ import annotations

import pytest

from tracer.errors import UnsupportedError
from tracer.kernel.core import CoreObject
from tracer.kernel.objects import OBJECT
from tracer.wire.btf import Btf
from tracer.wire.layout import derive

pytestmark = pytest.mark.kernel


def test_a_load_that_fails_says_what_libbpf_says_of_it() -> None:
    types = Btf.load(OBJECT)
    bpf = CoreObject(OBJECT, types, derive(types))
    try:
        bpf.choose(["tt_iter_cookies"])
        bpf.resize("tt_socks", 0xFFFF_FFF0)  # more than there is room for
        with pytest.raises(UnsupportedError) as raised:
            bpf.load()
    finally:
        bpf.close()
    assert "map 'tt_socks': failed to create" in str(raised.value)
