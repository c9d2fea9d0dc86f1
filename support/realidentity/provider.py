"""An OpenID provider: `oidc-provider`, with the paths of Keycloak."""

import json
import shutil
import ssl
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from realkube.process import Process, free_port

from .installing import Unavailable, provide

VERSION = "8.8.1"
CLIENT, SECRET = "krake_client", "secret"
USERS = {"alice": "alice", "bob": "bob"}
_SERVER = Path(__file__).with_name("provider.mjs")
_START_LIMIT = 30


def install() -> Path:
    """Return the folder of its packages; takes some seconds the first time.

    :raises Unavailable: Node.js is missing, or the installation failed.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise Unavailable(f"The OpenID provider needs Node.js, of which `{program}` is not on the PATH.")
    return provide("oidc-provider", VERSION, [("npm", "install", "--no-fund", "--no-audit", f"oidc-provider@{VERSION}")])


class Provider:
    """A running provider; call `close` at the end.

    :param folder: for its log.
    :param audience: of signed access tokens.
    :param ttl: seconds that an access token lives.
    :param algorithm: by which they are signed.
    :param users: names and passwords.
    :param files: certificate and key of the server; without, it speaks plain HTTP.
    :param ca: by which its certificate is verified here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        audience: str = "krake",
        ttl: float = 300,
        algorithm: str = "RS256",
        users: Mapping[str, str] = USERS,
        files: tuple[Path, Path] | None = None,
        ca: Path | None = None,
    ) -> None:
        self._installed = install()
        self._folder = folder
        self._audience = audience
        self._users = users
        self._context = ssl.create_default_context(cafile=ca) if ca else None
        self._settings = {"realm": "krake", "audience": audience, "ttl": ttl, "algorithm": algorithm, "users": users}
        if files:
            self._settings |= {"certificate": str(files[0]), "key": str(files[1])}
        self.port = free_port()
        self.endpoint = f"{'https' if files else 'http'}://127.0.0.1:{self.port}"
        self.issuer = f"{self.endpoint}/auth/realms/krake"
        self.start()

    def start(self) -> None:
        """Start it, with keys that are new; only after the end of the process that ran before."""
        words = ["node", _SERVER, self._installed, str(self.port), json.dumps(self._settings)]
        self.process = Process(words, self._folder / "provider.log")
        self.process.wait_until(self._answers, "an answer", _START_LIMIT)

    def close(self) -> None:
        self.process.stop()

    def issue_token(self, user: str = "alice", *, signed: bool = False) -> str:
        """Return a new access token: one that only the provider understands, or a *signed* one for the audience."""
        form = {"grant_type": "password", "username": user, "password": self._users[user], "scope": "openid profile"}
        form |= {"client_id": CLIENT, "client_secret": SECRET}
        if signed:
            form["resource"] = f"urn:{self._audience}"
        return str(self._post("token", form)["access_token"])

    def revoke_token(self, token: str) -> None:
        """End a token before its time."""
        self._post("revoke", {"token": token, "client_id": CLIENT, "client_secret": SECRET})

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.issuer}/.well-known/openid-configuration", timeout=5, context=self._context):
                return True
        except OSError:
            return False

    def _post(self, path: str, form: Mapping[str, str]) -> Mapping[str, object]:
        data = urllib.parse.urlencode(form).encode()
        url = f"{self.issuer}/protocol/openid-connect/{path}"
        with urllib.request.urlopen(url, data, timeout=30, context=self._context) as answer:
            document = json.loads(answer.read() or b"{}")
        return dict(document)
