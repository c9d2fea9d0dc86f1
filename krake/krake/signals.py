"""What the signals mean that ask a process for its end."""

import asyncio
import logging
import os
import signal
import threading

log = logging.getLogger(__name__)


def stop_on_signals(stop: asyncio.Event, patience: float) -> None:
    """Set *stop* on SIGTERM or SIGINT; end the process at once on a second one, or *patience* seconds after the first.

    Called inside the event loop.
    """

    def receive(number: signal.Signals) -> None:
        if stop.is_set():
            log.warning("Stopped at once by a second signal.")
            _end(128 + number)
        stop.set()
        # Even a thread that hangs, or an event loop that does, must not keep the process from ending.
        watchdog = threading.Timer(patience, _end, [1])
        watchdog.daemon = True
        watchdog.start()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive, number)


def _end(status: int) -> None:
    logging.shutdown()
    os._exit(status)
