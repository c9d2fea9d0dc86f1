"""The command line of `support/pki`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .directory import Directory, Problem

_DESCRIPTION = """\
Make certificates to try Krake with TLS: an authority (ca.pem), a certificate for the API (system:api-server) and one for
the administrator (system:admin) and each controller; an authority for the certificates of hooks (hook-ca.pem); an
authority, a server's and a client's certificate for etcd (etcd-ca.pem, etcd-server.pem, etcd-client.pem).

Each certificate is NAME.pem, its key NAME-key.pem. What is there and valid is kept; delete both files to have them made anew.
Meant for trying and testing: the keys of the authorities lie beside all others.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    directory = Directory(options.dest_dir, options.host, options.days, lambda name: print(f"made {name}"))
    try:
        if users := [*options.name, *options.user]:
            for user in users:
                directory.make(user)
        else:
            directory.make_all()
    except Problem as error:
        print(f"support/pki: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "support/pki", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="*", help="only this user's certificate (the same as --user)")
    parser.add_argument("--user", action="append", default=[], metavar="NAME", help="only this user's certificate; repeatable")
    parser.add_argument(
        "--dest-dir", type=Path, default=Path("tmp/pki"), metavar="DIR", help="where the files are (default: tmp/pki)"
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        help="name or address under which the API and etcd are reached, besides localhost; repeatable",
    )
    parser.add_argument("--days", type=float, default=365, help="how long certificates are valid (default: 365)")
    return parser
