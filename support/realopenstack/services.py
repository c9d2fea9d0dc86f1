"""The services, from nothing to ready."""

import contextlib
import socket
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from realidentity.keystone import Keystone
from realkube.process import Process

from .configuration import PASSWORD, Ports, write_files
from .contents import Contents, fill, fill_catalogue
from .installing import install
from .rest import Client
from .sandbox import HOME, Sandbox

_DATABASES = ("glance", "placement", "neutron", "nova", "nova_api", "nova_cell0", "magnum")
_START_LIMIT = 240
_DATABASE = f"""\
cd {HOME}
mkdir database && chown mysql database
mariadb-install-db --no-defaults --user=mysql --datadir=$PWD/database --auth-root-authentication-method=normal --skip-test-db
exec mariadbd --no-defaults --user=mysql --datadir=$PWD/database --socket=$PWD/database/socket --init-file=$PWD/databases.sql \
    --bind-address=127.0.0.1 --port=$1 --skip-name-resolve --skip-log-bin --max-connections=300 \
    --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=64M
"""
_PLACEMENT = (
    *("uwsgi", "--plugin", "python3", "--wsgi-file", "/usr/bin/placement-api", "--need-app", "--master", "--lazy-apps"),
    *("--processes", "1", "--threads", "4", "--buffer-size", "65535", "--http-socket"),
)


class OpenStack:
    """A running OpenStack with one project and what it needs to create machines and clusters; call `close` at the end.

    It has Keystone, Glance, Placement, Neutron, Nova and Magnum. Its machines are only pretended: they are ACTIVE and have
    addresses, but nothing answers there. It takes a minute to start and 2.5 GB of memory.

    :param run: a folder, which must not be there yet, for all that is written.
    :raises Unavailable: it can not be had on this machine.
    :raises StartError: a service did not become ready.
    """

    def __init__(self, run: Path) -> None:
        root = install()
        run.mkdir(parents=True)
        run.chmod(0o755)  # the database is another user's
        self.run = run
        self._sandbox = Sandbox(root, run)
        with contextlib.ExitStack() as stack:
            stack.callback(self._sandbox.stop)
            self.keystone = stack.enter_context(contextlib.closing(Keystone(run / "keystone")))
            self.ports = Ports.choose(self.keystone.port)
            write_files(run, self.ports)
            self._start_foundation()
            self._prepare_databases()
            fill_catalogue(self.keystone, self.ports)
            self._start_services()
            self.contents: Contents = fill(Client(self.keystone.issue_token()), self.ports)
            self._stack = stack.pop_all()

    @property
    def auth_url(self) -> str:
        """The URL of the identity service, without a path."""
        return self.keystone.endpoint.removesuffix("/v3")

    @property
    def alive(self) -> bool:
        return self.keystone.process.alive and self._sandbox.ended is None

    @property
    def ended(self) -> str | None:
        """The name of a service that has ended by itself."""
        return self._sandbox.ended

    def lead_to(self, kubernetes: str) -> None:
        """Let the clusters that Magnum completes from now on be a Kubernetes that is there already.

        :param kubernetes: the URL of its API.
        """
        (self.run / "kubernetes-address").write_text(kubernetes)

    def machines(self) -> Sequence[str]:
        """Return the ids of all machines."""
        servers = Client(self.keystone.issue_token()).get(f"http://127.0.0.1:{self.ports.compute}/v2.1/servers")["servers"]
        return sorted(str(server["id"]) for server in servers)

    def close(self) -> None:
        self._stack.close()

    def _start_foundation(self) -> None:
        (self.run / "databases.sql").write_text(
            "".join(f"CREATE DATABASE {name};\n" for name in _DATABASES)
            + f"GRANT ALL ON *.* TO '{PASSWORD}'@'%' IDENTIFIED BY '{PASSWORD}';\n"
        )
        database = self._sandbox.start("database", "sh", "-ec", _DATABASE, "database", str(self.ports.database))
        queue = self._sandbox.start("queue", *self._queue_environment(), "/usr/lib/rabbitmq/bin/rabbitmq-server")
        self._await_port(database, self.ports.database)
        self._await_port(queue, self.ports.queue)

    def _queue_environment(self) -> Sequence[str]:
        values = {
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": self.ports.queue,
            "RABBITMQ_NODENAME": "krake@localhost",
            "RABBITMQ_DIST_PORT": self.ports.queue_peers,
            "RABBITMQ_MNESIA_BASE": f"{HOME}/queue",
            "RABBITMQ_LOG_BASE": f"{HOME}/log",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": self.ports.queue_names,
        }
        return [f"{name}={value}" for name, value in values.items()]

    def _prepare_databases(self) -> None:
        nova = ("nova-manage", "--config-file", f"{HOME}/nova.conf")
        cell = ("cell_v2", "create_cell", "--name", "cell1")
        tasks = {
            "nova-database": [(*nova, *more) for more in (("api_db", "sync"), ("cell_v2", "map_cell0"), cell, ("db", "sync"))],
            "glance-database": [("glance-manage", "--config-file", f"{HOME}/glance.conf", "db_sync")],
            "placement-database": [("placement-manage", "--config-file", f"{HOME}/placement.conf", "db", "sync")],
            "neutron-database": [("neutron-db-manage", "--config-file", f"{HOME}/neutron.conf", "upgrade", "head")],
            "magnum-database": [("magnum-db-manage", "--config-file", f"{HOME}/magnum.conf", "upgrade")],
        }
        with ThreadPoolExecutor(len(tasks)) as pool:
            list(pool.map(lambda task: self._sandbox.call(task[0], *task[1]), tasks.items()))

    def _start_services(self) -> None:
        ports = self.ports
        placement = ("env", f"OS_PLACEMENT_CONFIG_DIR={HOME}", *_PLACEMENT, f"127.0.0.1:{ports.placement}")
        serving = {
            self._sandbox.start("placement", *placement): ports.placement,
            self._start("glance-api", "glance"): ports.image,
            self._start("neutron-server", "neutron"): ports.network,
            self._start("nova-api", "nova"): ports.compute,
            self._start("magnum-api", "magnum"): ports.magnum,
        }
        for program, configuration in (("nova-conductor", "nova"), ("magnum-conductor", "magnum")):
            self._start(program, configuration)
        for process, port in serving.items():
            self._await_answer(process, port)
        for program in ("nova-scheduler", "nova-compute"):  # which fail if others do not answer yet
            self._start(program, "nova")

    def _start(self, program: str, configuration: str) -> Process:
        return self._sandbox.start(program, program, "--config-file", f"{HOME}/{configuration}.conf")

    def _await_port(self, process: Process, port: int) -> None:
        def listens() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        process.wait_until(listens, "its port", _START_LIMIT)

    def _await_answer(self, process: Process, port: int) -> None:
        def answers() -> bool:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).close()
            except urllib.error.HTTPError:
                return True
            except OSError:
                return False
            return True

        process.wait_until(answers, "an answer", _START_LIMIT)
