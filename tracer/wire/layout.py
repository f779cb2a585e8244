"""The wire as NumPy sees it: a dtype for each struct of bpf/events.h, from the object's BTF.

A struct nested in another is flattened: `head.mono_ns` is the column `mono_ns`. Names of enum
values come from the same BTF, so nothing of the C side is typed a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracer.wire import btf

Records = NDArray[np.void]

EVENTS = {
    "state": "tt_state",
    "accept": "tt_accept",
    "handshake": "tt_handshake",
    "syn_drop": "tt_syn_drop",
    "connection": "tt_connection",
    "reset": "tt_reset",
    "error": "tt_error",
    "retransmit": "tt_retransmit",
    "drop": "tt_drop",
    "task": "tt_task",
}
ROWS = {
    "task_row": "tt_task_row",
    "holder_row": "tt_holder_row",
    "sock_row": "tt_sock_row",
    "open_row": "tt_open_row",
    "listener_row": "tt_listener_row",
}
OTHERS = {
    "head": "tt_head",
    "large": "tt_large",
    "stats": "tt_stats",
    "config": "tt_config",
    "portset": "tt_portset",
    "globs": "tt_globs",
    "control": "tt_control",
    "count_key": "tt_count_key",
    "count_value": "tt_count_value",
    "tally": "tt_tally",
    "drop_key": "tt_drop_key",
    "drop_value": "tt_drop_value",
    "packet_key": "tt_packet_key",
    "packet_value": "tt_packet_value",
    "reset_key": "tt_reset_key",
    "reset_value": "tt_reset_value",
    "syn_setup": "tt_syn_setup",
    "drop_setup": "tt_drop_setup",
    "cookie_setup": "tt_cookie_setup",
    "unrecorded": "tt_unrecorded",
    "untold": "tt_untold",
    "reset_setup": "tt_reset_setup",
    "sock": "tt_sock",
    "listener": "tt_listener",
    "queue": "tt_queue",
    "hearers_key": "tt_hearers_key",
    "hearers": "tt_hearers",
    "addr_key": "tt_addr_key",
    "target": "tt_target",
    "made_cgroup": "tt_made_cgroup",
    "made": "tt_made",
}
ENUMS = {
    "kind": ("tt_kind", "TT_KIND_"),
    "owner_is": ("tt_owner_is", "TT_OWNER_"),
    "tcp_state": ("tt_tcp_state", "TT_"),
    "dwell_is": ("tt_dwell_is", "TT_DWELL_"),
    "precision": ("tt_precision", "TT_PRECISION_"),
    "task_event": ("tt_task_event", "TT_TASK_"),
    "role": ("tt_role", "TT_ROLE_"),
    "outcome": ("tt_outcome", "TT_OUTCOME_"),
    "latency_from": ("tt_latency_from", "TT_FROM_"),
    "cause": ("tt_cause", "TT_CAUSE_"),
    "stage": ("tt_stage", "TT_STAGE_"),
    "answer": ("tt_answer", "TT_ANSWER_"),
    "direction": ("tt_direction", "TT_DIRECTION_"),
    "owner_from": ("tt_owner_from", "TT_OWNER_FROM_"),
    "spent": ("tt_spent", "TT_SPENT_"),
    "stack_is": ("tt_stack_is", "TT_STACK_"),
    "closed_by": ("tt_closed_by", "TT_CLOSED_BY_"),
    "end": ("tt_end", "TT_END_"),
    "reset_way": ("tt_reset_way", "TT_RESET_WAY_"),
    "reset_by": ("tt_reset_by", "TT_RESET_BY_"),
    "answers": ("tt_answers", "TT_ANSWERS_"),
    "resend": ("tt_resend", "TT_RESEND_"),
    "seq_is": ("tt_seq_is", "TT_SEQ_"),
    "acked": ("tt_acked", "TT_ACKED_"),
    "filter": ("tt_filter", "TT_FILTER_"),
    "mark": ("tt_mark", "TT_MARK_"),
    "slot": ("tt_slot", "TT_SLOT_"),
    "mib": ("tt_mib", "TT_MIB_"),
}


@dataclass(frozen=True)
class Layout:
    """dtypes by name, meanings (typedef names) by dtype and column, enum values by name."""

    dtypes: dict[str, np.dtype[np.void]]
    meanings: dict[str, dict[str, str]]
    enums: dict[str, dict[str, int]]

    @cached_property
    def names(self) -> dict[str, dict[int, str]]:
        """Name of every value of every enum."""
        return {
            enum: {value: name for name, value in values.items()}
            for enum, values in self.enums.items()
        }

    def to_json(self) -> dict[str, object]:
        """Everything a recording must keep to be read by a later version."""
        return {
            "dtypes": {name: _describe(dtype) for name, dtype in self.dtypes.items()},
            "meanings": self.meanings,
            "enums": self.enums,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Layout:
        """Undo `to_json`. Errors: KeyError, TypeError, ValueError for what it did not write."""
        dtypes = {name: np.dtype(described) for name, described in data["dtypes"].items()}
        return cls(dtypes, data["meanings"], data["enums"])


def _describe(dtype: np.dtype[np.void]) -> dict[str, object]:
    fields = _fields(dtype)
    return {
        "names": list(fields),
        "formats": [_write_format(form) for form, _ in fields.values()],
        "offsets": [offset for _, offset in fields.values()],
        "itemsize": dtype.itemsize,
    }


def _write_format(dtype: np.dtype[np.generic]) -> str:
    return f"{dtype.shape}{dtype.base.str}" if dtype.shape else dtype.str


def load(path: Path) -> Layout:
    """Derive the layout from a compiled object. Errors: OSError, ValueError, KeyError."""
    return derive(btf.Btf.load(path))


def derive(types: btf.Btf) -> Layout:
    """Derive the layout from an object's BTF.

    `large` is what all kinds of the large record share: the head, then bytes of no type.
    """
    dtypes, meanings = {}, {}
    for name, struct in {**EVENTS, **ROWS, **OTHERS}.items():
        dtypes[name], meanings[name] = _struct(types, struct)
    head = [(name, form, offset) for name, (form, offset) in _fields(dtypes["head"]).items()]
    dtypes["large"] = _filled(head, types.find(btf.STRUCT, OTHERS["large"]).size)
    enums = {
        name: {key.removeprefix(prefix): value for key, value in types.enum_values(enum).items()}
        for name, (enum, prefix) in ENUMS.items()
    }
    return Layout(dtypes, meanings, enums)


def _filled(columns: Sequence[tuple[str, object, int]], size: int) -> np.dtype[np.void]:
    """A dtype of `size` bytes in which a field covers every byte.

    NumPy copies structs field by field and packs them when it joins arrays: bytes that no field
    covers would be lost. Gaps become `_gap` fields of no type.
    """
    filled: list[tuple[str, object]] = []
    at = 0
    for name, form, offset in [*sorted(columns, key=lambda column: column[2]), ("", None, size)]:
        if offset > at:
            filled.append((f"_gap{at}", f"V{offset - at}"))
        if name:
            filled.append((name, form))
            at = offset + np.dtype(form).itemsize  # type: ignore[call-overload]
    return np.dtype(filled)


def _fields(dtype: np.dtype[np.void]) -> dict[str, tuple[np.dtype[np.generic], int]]:
    return {name: (found[0], found[1]) for name, found in (dtype.fields or {}).items()}


def _struct(types: btf.Btf, name: str) -> tuple[np.dtype[np.void], dict[str, str]]:
    found = types.find(btf.STRUCT, name)
    columns: list[tuple[str, object, int]] = []
    meanings: dict[str, str] = {}
    _flatten(types, found, 0, columns, meanings)
    dtype = _filled(columns, found.size)
    return dtype, meanings


def _flatten(
    types: btf.Btf,
    struct: btf.Type,
    base: int,
    columns: list[tuple[str, object, int]],
    meanings: dict[str, str],
) -> None:
    for member in struct.members:
        stripped = types.strip(member.type)
        if stripped.kind == btf.UNION:
            continue
        if stripped.kind == btf.STRUCT:
            _flatten(types, stripped, base + member.offset, columns, meanings)
            continue
        if member.name == "reserved":
            continue
        columns.append((member.name, _format(types, stripped), base + member.offset))
        meanings[member.name] = types.typedef_name(member.type)


def _format(types: btf.Btf, stripped: btf.Type) -> object:
    if stripped.kind == btf.INT:
        return f"{'i' if stripped.signed else 'u'}{stripped.size}"
    if stripped.kind == btf.ENUM:
        return f"u{stripped.size}"
    if stripped.kind == btf.ARRAY:
        shape: tuple[int, ...] = ()
        while stripped.kind == btf.ARRAY:
            shape += (stripped.count,)
            element = types.strip(stripped.ref)
            stripped = element
        if stripped.name == "char":
            return f"S{shape[0]}"
        return (_format(types, stripped), shape)
    raise ValueError(f"no dtype for a BTF type of kind {stripped.kind}")
