"""What a connection's state means for whoever looks at it: a sentence with its own numbers."""

from __future__ import annotations

import numpy as np

from tracer.views.live.picture import Picture
from tracer.views.text import duration
from tracer.words.states import UNANSWERED, UNFINISHED

GONE = "It has ended: nothing of it is left."
SENTENCES = {
    "SYN_SENT": "{owner} asked to connect {age} ago, and no answer has come: " + UNANSWERED + ".",
    "SYN_RECV": "The handshake's last ACK has not come for {age}.",
    "NEW_SYN_RECV": "A SYN came {age} ago and was answered; the last ACK of the handshake has not"
    " come, or the accept queue has no room.",
    "ESTABLISHED": "Open both ways for {age}; either end may send.",
    "CLOSE_WAIT": "The peer closed {age} ago; {owner} has not called close(){others}.",
    "FIN_WAIT1": "{owner} closed {age} ago; the peer has not acknowledged that: "
    + UNFINISHED
    + ".",
    "FIN_WAIT2": "{owner} closed and the peer knows; the peer has not closed its side for {age}.",
    "CLOSING": "Both ends closed at once, {age} ago; the last ACK is missing.",
    "LAST_ACK": "Both ends have closed; the peer's last ACK has been missing for {age}.",
    "TIME_WAIT": "It has ended; the kernel keeps its ports for a minute, so that late packets of it"
    " are not taken for another's.",
}
WAITS = (
    "The handshake was finished {waited} ago, and it waits in the accept queue: {owner} has not"
    " called accept()."
)


def sense(picture: Picture, row: np.void | None, owner: str) -> str:
    """The sentence for a socket's row; None: it is gone."""
    if row is None:
        return GONE
    facts = picture.facts
    state = facts.states[int(row["state"])]
    bound = "" if row["since_is"] == facts.exact else "at least "
    age = bound + duration(max(0, picture.now_ns - int(row["since_ns"])))
    if state == "ESTABLISHED" and row["waiting_ns"]:
        return WAITS.format(owner=owner, waited=age)
    alike = (
        (picture.connections["state"] == row["state"])
        & (picture.connections["pid"] == row["pid"])
        & (picture.connections["start"] == row["start"])
    )
    more = int(alike.sum()) - 1
    others = f"; {more} more of its sockets are like this" if more > 0 and row["pid"] else ""
    return SENTENCES.get(state, "").format(owner=owner, age=age, others=others)
