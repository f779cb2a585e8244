"""Make refused connections: nobody listens on the port.

python3 examples/refused.py           tries 5 times, a second apart

tcptrace events --state syn-sent      shows SYN_SENT -> CLOSE, with the client's PID
"""

from __future__ import annotations

import socket
import time


def main() -> None:
    """Try, in vain."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can
        for _ in range(5):
            try:
                socket.create_connection(reserved.getsockname(), timeout=1).close()
            except ConnectionRefusedError as error:
                print(error, flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main()
