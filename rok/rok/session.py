"""Sends requests to the API, with time limits, and reads its answers."""

import time
from collections.abc import Iterator
from typing import Any

import requests
from krake.client import wire
from krake.client.errors import ApiError, Gone, NotFound, Unavailable

from rok import __version__
from rok.cells import Object
from rok.config import Config, Tls
from rok.errors import Failure
from rok.place import Place
from rok.tls import hung_up, tls_failure, why_hung_up

CONNECT_LIMIT = 5.0
"""Seconds for a connection to come about."""
ANSWER_LIMIT = 30.0
"""Seconds for an answer, and between two pieces of one."""
SILENCE_LIMIT = 10.0
"""Seconds that a watch may be silent; a heartbeat is asked for every second."""
RETRIES = 4
"""So often a request is sent again that the API has put off."""
LONGEST_PAUSE = 10.0
"""Seconds; who is put off for longer is told so instead."""
RETRY_DELAY = 1.0
"""Seconds before a watch is begun anew."""


class Session:
    """The connection of one command to the API; use it as a context manager.

    Every method may raise :class:`~krake.client.errors.ApiError`; its status is 0 if there was no answer.

    :param limit: seconds for each answer.
    """

    def __init__(self, config: Config, limit: float = ANSWER_LIMIT) -> None:
        self._limit = limit
        self._url = config.api_url
        self._source = config.source
        self._http = requests.Session()
        self._http.headers["User-Agent"] = f"rok/{__version__}"
        self._tls = config.tls or Tls()
        self._tls_enabled = config.tls is not None
        self._token = config.token

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, request: wire.Request, limit: float | None = None) -> Any:
        """Return the content of the answer; ``None`` if it has none. What the API puts off for a short while is sent again.

        :param limit: seconds for this answer, if less than usual.
        :raises Failure: the answer is no object.
        """
        limit = self._limit if limit is None else limit
        until = time.monotonic() + limit
        for left in reversed(range(RETRIES + 1)):
            try:
                with self._open(request, limit) as response:
                    status, body = response.status_code, _read(response, until)
            except requests.RequestException as error:
                raise self._unavailable(error, limit) from None
            pause = _pause_before_retry(request, response)
            if pause is None or not left or time.monotonic() + pause > until:
                break
            time.sleep(pause)
        content = wire.parse(status, body)
        if content is not None and not isinstance(content, dict):
            raise self._stranger()
        return content

    def get(self, place: Place, limit: float | None = None) -> Object:
        """Read an object."""
        found: Object | None = self.send(wire.get(place.route, place.namespace, place.name), limit)
        if found is None:
            raise self._stranger()
        return found

    def find(self, place: Place, limit: float | None = None) -> Object | None:
        """Read an object that may be gone."""
        try:
            return self.get(place, limit)
        except NotFound:
            return None

    def follow(self, place: Place, seen: Object, until: float) -> Iterator[Object | None]:
        """Yield an object whenever it changes and about once a second, ``None`` when it is gone; survive lost connections.

        :param seen: the object as it was last known.
        :param until: when to stop, on the clock of :func:`time.monotonic`.
        """
        latest = seen
        yield latest
        # What is being deleted may be gone already: no watch from its version on would tell that.
        watching = seen["metadata"].get("deleted") is None
        while time.monotonic() < until:
            if watching:
                try:
                    for current in self._changes(place, latest, _room(until, SILENCE_LIMIT)):
                        yield current
                        if current is None or time.monotonic() >= until:
                            return
                        latest = current
                except (Gone, Unavailable):
                    pass
                time.sleep(RETRY_DELAY)
                watching = False
            try:
                found = self._find_again(place, latest, until)
            except Unavailable:
                time.sleep(RETRY_DELAY)
                continue
            yield found
            if found is None:
                return
            latest, watching = found, True

    def _find_again(self, place: Place, known: Object, until: float) -> Object | None:
        """Read an object that may be gone; another one of the same name is not it."""
        found = self.find(place, _room(until, self._limit))
        same = found is not None and found["metadata"].get("uid") == known["metadata"].get("uid")
        return found if same else None

    def _changes(self, place: Place, latest: Object, limit: float) -> Iterator[Object | None]:
        """Yield what a watch tells of an object; the object as it was last known at each sign of life."""
        version = latest["metadata"].get("resource_version")
        request = wire.watch(place.route, place.namespace, resource_version=version, heartbeat=1)
        decoder = wire.WatchDecoder()
        try:
            with self._open(request, limit) as response:
                if response.status_code != 200:
                    raise wire.error_of(response.status_code, response.content)
                for chunk in response.iter_content(chunk_size=None):
                    for event in decoder.feed(chunk):
                        if event.object.get("metadata", {}).get("name") != place.name:
                            continue
                        if event.type == "DELETED":
                            yield None
                            return
                        latest = dict(event.object)
                        yield latest
                    yield latest
        except requests.RequestException as error:
            raise self._unavailable(error, limit) from None

    def _open(self, request: wire.Request, limit: float) -> requests.Response:
        return self._http.request(
            request.method,
            request.url(self._url),
            data=request.body,
            headers=dict(request.headers),
            timeout=(min(CONNECT_LIMIT, limit), limit),
            stream=True,
            allow_redirects=False,
            # Given here and not to the session, where the environment (REQUESTS_CA_BUNDLE) would beat them.
            verify=self._tls.ca or True,
            cert=self._tls.pair,
            # Without it, the environment (a .netrc file) would tell who asks.
            auth=self._authorize,
        )

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _unavailable(self, error: requests.RequestException, limit: float) -> ApiError:
        if (reason := tls_failure(str(error))) is not None:
            text = f"{reason.format(url=self._url)} in {self._where()}"
        elif isinstance(error, requests.exceptions.SSLError):
            text = f"the TLS connection to {self._url} failed ({_cause(error)}): check tls in {self._where()}"
        elif hung_up(str(error)):
            text = (
                f"Krake at {self._url} hung up: {why_hung_up(self._tls_enabled, self._tls.pair is not None)} in {self._where()}"
            )
        elif isinstance(error, requests.exceptions.ReadTimeout):
            text = f"Krake at {self._url} did not answer within {limit:g} s: look whether it is well, then try again"
        elif isinstance(error, requests.ConnectionError):
            text = (
                f"can not reach Krake at {self._url} ({_cause(error)}): is it running, and is api_url right in {self._where()}?"
            )
        else:
            text = f"the connection to Krake at {self._url} broke ({_cause(error)}): try again"
        return Unavailable(0, {"detail": text})

    def _stranger(self) -> Failure:
        return Failure(f"what answers at {self._url} is not Krake: check api_url in {self._where()}")

    def _where(self) -> str:
        return "rok.yaml" if self._source is None else str(self._source)


def _pause_before_retry(request: wire.Request, response: requests.Response) -> float | None:
    """Return after how many seconds a request may be sent again, because it was not carried out; ``None`` for never."""
    refused = response.status_code == 429 or (response.status_code == 503 and request.method == "GET")
    text = response.headers.get("Retry-After", "")
    pause = float(text) if refused and text.isascii() and text.isdigit() else None
    return pause if pause is not None and pause <= LONGEST_PAUSE else None


def _room(until: float, limit: float) -> float:
    """Return a limit that does not reach far beyond *until*."""
    return min(limit, max(until - time.monotonic(), 1.0))


def _read(response: requests.Response, until: float) -> bytes:
    """Return the body of an answer that must be there at *until*."""
    chunks = []
    for chunk in response.iter_content(chunk_size=1 << 16):
        chunks.append(chunk)
        if time.monotonic() > until:
            raise requests.exceptions.ReadTimeout("the answer takes too long")
    return b"".join(chunks)


def _cause(error: BaseException) -> str:
    """Return the innermost known reason of a failed connection, in a few words."""
    seen: list[BaseException] = []
    current: Any = error
    while isinstance(current, BaseException) and current not in seen:
        seen.append(current)
        reason = getattr(current, "reason", None)
        inner = [
            each for each in (reason, *current.args, current.__cause__, current.__context__) if isinstance(each, BaseException)
        ]
        current = inner[0] if inner else None
    named = next((each.strerror for each in reversed(seen) if isinstance(each, OSError) and each.strerror), None)
    return named or ("no answer" if "timed out" in str(error) else " ".join(str(seen[-1]).split()) or type(seen[-1]).__name__)
