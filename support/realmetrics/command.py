"""The command line of `support/prometheus`."""

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from realidentity.installing import Unavailable
from realkube.process import StartError

from .exporter import NAME, Exporter
from .package import find_program
from .prometheus import Prometheus

_DATA = Path(__file__).resolve().parents[2] / "tmp" / "prometheus"
_DESCRIPTION = """\
Start a real Prometheus on 127.0.0.1, and an exporter of metrics to try beside it, until Ctrl-C.

The metrics are heat_demand_zone_1 and so on; that of zone i is from i-1 to i, and changes all the time. Krake knows them after
`krake_bootstrap_db support/prometheus_metrics.yaml`. If there is no prometheus on the PATH, Debian's package is unpacked into
your cache folder once. What is measured is kept in tmp/prometheus.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `support/prometheus` and return its exit status."""
    options = _parser().parse_args(arguments)
    _stop_on_signals()
    try:
        find_program()
        if not options.install_only:
            _serve(options)
    except (Unavailable, StartError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _serve(options: argparse.Namespace) -> None:
    with contextlib.ExitStack() as stack:
        exporter = stack.enter_context(contextlib.closing(Exporter(options.port + 1, options.zones, options.values)))
        target = f"127.0.0.1:{options.port + 1}"
        server = Prometheus(
            options.data_dir, port=options.port, targets=[target], interval=options.interval, config=options.config
        )
        stack.enter_context(contextlib.closing(server))
        print(server.url, flush=True)
        names = ", ".join(NAME.format(zone=zone) for zone in range(1, options.zones + 1))
        _say(f"Ready: {names}, which are there after {options.interval + 5} seconds. Ctrl-C stops it.")
        while server.process.alive:
            time.sleep(options.interval)
            exporter.draw()
        raise StartError("Prometheus ended by itself.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="support/prometheus", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="where to write its configuration (default: prometheus.yml beside its data)"
    )
    parser.add_argument(
        "--data-dir", type=Path, default=_DATA, metavar="DIR", help="where it keeps its data (default: tmp/prometheus)"
    )
    parser.add_argument("--port", type=int, default=9090, help="its port; the exporter has the next one (default: 9090)")
    parser.add_argument("--interval", type=int, default=10, help="seconds between two values (default: 10)")
    parser.add_argument("--zones", type=int, default=5, help="how many metrics there are (default: 5)")
    parser.add_argument("--values", type=float, nargs="+", default=[], help="that zones have instead, at random")
    parser.add_argument("--install-only", action="store_true", help="install what is missing and end")
    return parser


def _stop_on_signals() -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):  # INT too: a shell starts background jobs with it ignored
        signal.signal(number, interrupt)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
