"""Runs in Keystone's own environment: serves it at a port of loopback. Arguments: port [certificate key]."""

import ssl
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection."""

    daemon_threads = True


class Handler(WSGIRequestHandler):
    """Does not log requests."""

    def log_message(self, *_: object) -> None:
        return


def main() -> None:
    port, *files = sys.argv[1:]
    sys.argv = ["keystone"]  # which reads it
    from keystone.wsgi.api import application

    server = make_server("127.0.0.1", int(port), application, Server, Handler)
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main()
