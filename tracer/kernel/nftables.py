"""Rules of nftables that throw packets away, from what `nft -j list ruleset` says.

Those that iptables makes over nf_tables are among them.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

Row = dict[str, Any]
REFUSALS = ("drop", "reject")
ASKS_NOTHING = ("log", *REFUSALS)  # what may stand after a counter that counts what is refused
BY_ITSELF = ("iif", "iifname", "oif", "oifname")  # nft writes these without `meta`
LONGEST = 200  # of a rule's text


def parse(text: str) -> list[Row]:
    """A row for each rule, and each policy, that drops or rejects. Errors: ValueError, KeyError.

    `packets` are those of its own counter; None: it has none, or one that counts others too.
    """
    said = [pair for one in json.loads(text)["nftables"] for pair in one.items()]
    counters = {
        (_table(one), one["name"]): one["packets"] for kind, one in said if kind == "counter"
    }
    rules = [one for kind, one in said if kind == "rule"]
    users = Counter((_table(one), name) for one in rules for name in _named(one["expr"]))
    counters = {place: packets for place, packets in counters.items() if users[place] == 1}
    maps = {
        (_table(one), f"@{one['name']}")
        for kind, one in said
        if kind == "map" and _refuses_some(one.get("elem"))
    }
    rows = [
        _row(one, one["name"], "policy drop", None, None)
        for kind, one in said
        if kind == "chain" and one.get("policy") == "drop"
    ]
    for one in rules:
        if _refuses(one["expr"], _table(one), maps):
            packets = _packets(one["expr"], _table(one), counters)
            rows.append(_row(one, one["chain"], _text(one["expr"]), one["handle"], packets))
    return rows


def _row(one: Row, chain: str, text: str, handle: int | None, packets: int | None) -> Row:
    return {
        "by": "nftables",
        "table": _table(one),
        "chain": chain,
        "text": text[:LONGEST],
        "handle": handle,
        "packets": packets,
    }


def _table(one: Row) -> str:
    """`inet filter`."""
    return f"{one['family']} {one['table']}"


def _named(expr: list[Row]) -> list[str]:
    """Counters that a rule shares with whoever else names them."""
    return [one["counter"] for one in expr if isinstance(one.get("counter"), str)]


def _refuses(expr: list[Row], table: str, maps: set[tuple[str, str]]) -> bool:
    for one in expr:
        if "vmap" in one:
            found = one["vmap"]["data"]
            if (table, found) in maps if isinstance(found, str) else _refuses_some(found):
                return True
    return bool(expr) and _is_refusal(expr[-1])


def _is_refusal(statement: Row) -> bool:
    target = statement.get("xt") or {}  # of iptables over nf_tables
    return any(name in statement for name in REFUSALS) or target.get("name") in ("REJECT", "DROP")


def _refuses_some(found: Any) -> bool:
    """Whether any element of a verdict map does."""
    if isinstance(found, dict):
        return any(name in REFUSALS or _refuses_some(one) for name, one in found.items())
    return isinstance(found, list) and any(_refuses_some(one) for one in found)


def _packets(expr: list[Row], table: str, counters: dict[tuple[str, str], int]) -> int | None:
    """By the last counter, where nothing is asked of a packet after it."""
    if not _is_refusal(expr[-1]):
        return None  # a verdict map refuses some, and passes others on
    for one in reversed(expr[:-1]):
        (name,) = one
        if name == "counter":
            counted = one["counter"]
            if isinstance(counted, str):
                return counters.get((table, counted))
            return int(counted["packets"])
        if name not in ASKS_NOTHING:
            break
    return None


# --- a rule as nft writes it --------------------------------------------------------


def _text(expr: list[Row]) -> str:
    return " ".join(
        _statement(*pair) for one in expr for pair in one.items() if pair[0] != "counter"
    )


def _statement(name: str, said: Any) -> str:
    try:
        if name == "match":
            operator = "" if said["op"] in ("==", "in") else f"{said['op']} "
            return f"{_value(said['left'])} {operator}{_value(said['right'])}"
        if name == "vmap":
            return f"{_value(said['key'])} vmap {_verdicts(said['data'])}"
        if name == "limit":
            over = "over " if said.get("inv") else ""
            return f"limit rate {over}{said['rate']}/{said['per']}"
        if name == "reject" and said:
            return " ".join(("reject with", said["type"], str(said.get("expr", "")))).rstrip()
        if name == "xt":
            return f"xt {said['type']} {said['name']}"
    except (KeyError, TypeError):
        pass  # of a later nft: as it says it
    return name if said is None else f"{name} {json.dumps(said)}"


def _verdicts(data: Any) -> str:
    if isinstance(data, str):
        return data
    pairs = [f"{_value(key)} : {_value(verdict)}" for key, verdict in data["set"]]
    return f"{{ {', '.join(pairs)} }}"


def _value(said: Any) -> str:
    """An expression."""
    if isinstance(said, list):
        return ", ".join(_value(one) for one in said)
    if not isinstance(said, dict):
        return str(said)
    ((name, inner), *_) = said.items()
    if inner is None or name in ("&", "|", "^", "concat", "range"):
        between = {"concat": " . ", "range": "-"}.get(name, f" {name} ")
        return between.join(_value(one) for one in inner) if inner else name
    if name == "payload" and "field" in inner:
        return f"{inner['protocol']} {inner['field']}"
    if name == "meta":
        return str(inner["key"]) if inner["key"] in BY_ITSELF else f"meta {inner['key']}"
    if name == "ct":
        return " ".join(("ct", *(inner[part] for part in ("dir", "key") if part in inner)))
    if name == "prefix":
        return f"{_value(inner['addr'])}/{inner['len']}"
    if name == "set":
        return f"{{ {_value(inner)} }}"
    if name == "elem":
        return _value(inner["val"])
    if name == "numgen":
        return f"numgen {inner['mode']} mod {inner['mod']}"
    if name in ("jump", "goto"):
        return f"{name} {inner['target']}"
    return json.dumps(said)
