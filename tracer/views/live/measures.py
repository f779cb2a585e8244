"""What the kernel keeps of one open connection, in two or three lines."""

from __future__ import annotations

import numpy as np

from tracer.flows.owners import FULL
from tracer.views.live.picture import Picture
from tracer.views.text import duration, escape, quantity


def measures(picture: Picture, cookie: int) -> list[str]:
    """As the last closer look found it; nothing where it was not found."""
    at = int(picture.looked.at(np.array([cookie], np.uint64))[0])
    if at < 0:
        return []
    row = picture.looked.rows[at]
    if not row["flags"] & FULL:
        return []
    sent, again = int(row["tx_bytes"]), int(row["retransmit_bytes"])
    share = f" {again / (sent + again):.1%}" if again else ""
    lines = [
        f"IN     {quantity(int(row['rx_bytes']))}B, {row['segs_in']} segments,"
        f" {quantity(int(row['recv_queue']))}B unread    OUT  {quantity(sent)}B,"
        f" {row['segs_out']} segments, {row['retransmits']} sent again{share}"
    ]
    rtt = duration(int(row["srtt_us"]) * 1000) if row["srtt_us"] else "-"
    least = f" (min {duration(int(row['min_rtt_us']) * 1000)})" if row["min_rtt_us"] else ""
    algorithm = escape(bytes(row["congestion"]).partition(b"\0")[0].decode("utf-8", "replace"))
    lines.append(
        f"RTT    {rtt}{least}  cwnd {row['cwnd']}  mss {row['mss']}  {algorithm}"
        f"  unacknowledged {quantity(int(row['send_queue']))}B"
    )
    return lines + _limits(row)


def _limits(row: np.void) -> list[str]:
    """What held it up, of the time that it had data to send."""
    busy = int(row["busy_ns"])
    if not busy:
        return []
    window, buffer = int(row["rwnd_limited_ns"]) / busy, int(row["sndbuf_limited_ns"]) / busy
    return [
        f"BUSY   {duration(busy)} with data to send: held up by the peer's window {window:.0%},"
        f" by its own buffer {buffer:.0%}"
    ]
