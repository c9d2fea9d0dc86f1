"""What the signals mean that ask for an end."""

import asyncio
import os
import signal

# A wrapper may pass on the Ctrl-C that the terminal has sent to all already: this soon after the first, it is the same one.
_SAME_SIGNAL = 1.0


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set the event on SIGINT, SIGTERM, and SIGHUP (the terminal is closed); end at once when SIGINT or SIGTERM comes again.

    Parts that are tethered to this process end with it in that case, by force.
    """
    loop = asyncio.get_running_loop()
    first: float | None = None

    def on_signal(number: int) -> None:
        nonlocal first
        if first is None:
            first = loop.time()
            stop.set()
        elif loop.time() - first > _SAME_SIGNAL and number != signal.SIGHUP:
            os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` has SIGHUP ignored, and a shell SIGINT for what it runs in the background: only the former is meant.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, on_signal, number)
