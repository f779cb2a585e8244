"""`advise --now`: what one look tells."""

from __future__ import annotations

from tracer.views.advise import AdviseView


class AdviseNowView(AdviseView):
    """Findings of one look."""

    command = "advise --now"
    kinds: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    traces = False
    counts_looks = True
