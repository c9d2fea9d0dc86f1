"""Ports of the loopback interface."""

import socket


def is_free(port: int) -> bool:
    """Whether a server can have a port; 0 stands for any."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except (OSError, OverflowError):
        return False
    return True
