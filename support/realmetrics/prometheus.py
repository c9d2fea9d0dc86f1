"""A Prometheus server."""

import json
import ssl
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from realkube.process import Process, free_port

from .package import find_program

USER, PASSWORD = "krake", "secret"
_HASH = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
"""Of the password, by bcrypt."""
_START_LIMIT = 60.0
_SETTLE_LIMIT = 20.0

_CONFIGURATION = """\
global:
  scrape_interval: {interval}s
  evaluation_interval: 1s
rule_files: ['{rules}']
scrape_configs: {scraped}
"""


@dataclass(frozen=True)
class Rule:
    """What a metric is recorded as: any PromQL, for example ``vector(0.7)``, and labels besides."""

    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)


class Prometheus:
    """A running server; call `close` at the end.

    :param folder: for its data, its configuration and its log.
    :param targets: hosts and ports to scrape.
    :param interval: seconds between two scrapes.
    :param files: certificate and key of the server; without, it speaks plain HTTP.
    :param ca: by which its certificate is verified here.
    :param login: whether it asks for the user `USER`.
    :param config: where to write the configuration, if not into the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        targets: Sequence[str] = (),
        interval: int = 1,
        files: tuple[Path, Path] | None = None,
        ca: Path | None = None,
        login: bool = False,
        config: Path | None = None,
    ) -> None:
        program = find_program()
        self._folder = folder
        self._rules: dict[str, Sequence[Rule]] = {}
        self._context = ssl.create_default_context(cafile=str(ca)) if ca else None
        self._login = login
        self.port = port or free_port()
        self.url = f"{'https' if files else 'http'}://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        config = config or folder / "prometheus.yml"
        scraped = [{"job_name": "krake", "static_configs": [{"targets": list(targets)}]}] if targets else []
        config.write_text(_CONFIGURATION.format(rules=folder / "rules.json", scraped=json.dumps(scraped), interval=interval))
        self._write_rules()
        words = [program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{self.port}"]
        words += [f"--storage.tsdb.path={folder / 'data'}", "--web.enable-lifecycle", "--log.level=warn"]
        if web := self._secure(files, login):
            words.append(f"--web.config.file={web}")
        self.process = Process(words, folder / "prometheus.log")
        self.process.wait_until(self._is_ready, "readiness", _START_LIMIT)

    def _secure(self, files: tuple[Path, Path] | None, login: bool) -> Path | None:
        """Write how the server is secured, if it is; JSON is YAML, too."""
        settings: dict[str, object] = {}
        if files:
            settings["tls_server_config"] = {"cert_file": str(files[0]), "key_file": str(files[1])}
        if login:
            settings["basic_auth_users"] = {USER: _HASH}
        if not settings:
            return None
        path = self._folder / "web.json"
        path.write_text(json.dumps(settings))
        return path

    def close(self) -> None:
        self.process.stop()

    def record(self, **metrics: float | str | Sequence[Rule]) -> None:
        """Set what some metrics are from now on: a number, any PromQL, or rules; returns when they can be asked for."""
        for name, said in metrics.items():
            if isinstance(said, Sequence) and not isinstance(said, str):
                self._rules[name] = said
            else:
                self._rules[name] = [Rule(said if isinstance(said, str) else f"vector({said})")]
        self._reload()
        for name, said in metrics.items():
            if isinstance(said, int | float):
                self._settle(name, float(said))
            elif not isinstance(said, str):
                self._settle(name, None)

    def forget(self, *names: str) -> None:
        """Have some metrics no more; returns when they are gone."""
        for name in names:
            self._rules.pop(name, None)
        self._reload()
        for name in names:
            self.process.wait_until(lambda name=name: not self.query(name), f"the end of {name}", _SETTLE_LIMIT)

    def query(self, expression: str) -> list[float]:
        """Return the values of an expression now."""
        document = json.loads(self._call("GET", f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}"))
        return [float(series["value"][1]) for series in document["data"]["result"]]

    def _settle(self, name: str, value: float | None) -> None:
        def settled() -> bool:
            found = self.query(name)
            return bool(found) and (value is None or found == [value])

        self.process.wait_until(settled, f"{name} as {value}", _SETTLE_LIMIT)

    def _write_rules(self) -> None:
        rules = [
            {"record": name, "expr": rule.expression, "labels": dict(rule.labels)}
            for name, many in self._rules.items()
            for rule in many
        ]
        groups = [{"name": "krake", "interval": "1s", "rules": rules}] if rules else []
        (self._folder / "rules.json").write_text(json.dumps({"groups": groups}))

    def _reload(self) -> None:
        self._write_rules()
        self._call("POST", "/-/reload")

    def _is_ready(self) -> bool:
        try:
            self._call("GET", "/-/ready")
        except OSError:
            return False
        return True

    def _call(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(self.url + path, method=method)
        if self._login:
            request.add_header("Authorization", "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode())
        with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
            return bytes(answer.read())
