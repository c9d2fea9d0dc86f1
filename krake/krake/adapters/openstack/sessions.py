"""Keeps the access to clouds, so that nobody has to log in each time something is asked."""

import json

from krake.adapters.openstack.login import Login
from krake.adapters.openstack.session import Session
from krake.adapters.outgoing import Outgoing

_MOST_WITH_SERVICES = 1_000
_MOST = 10_000


class Sessions:
    """The sessions of many logins. Whoever has another user, secret, project, address or authority has another session.

    So many are kept at most; those go first that were not asked for the longest time, and log in again when they are.

    :param services: whether these are asked, which may be told by long catalogues; otherwise only who logs in is of interest.
    """

    def __init__(self, outgoing: Outgoing, *, services: bool) -> None:
        self._outgoing = outgoing
        self._services = services
        self._most = _MOST_WITH_SERVICES if services else _MOST
        self._kept: dict[tuple[str, ...], Session] = {}

    def open(self, service: str, login: Login) -> Session:
        """Return the session of a login: the one of the last time, if it is kept.

        :param service: the name of the cloud in messages.
        """
        key = service, login.url, login.ca or "", json.dumps(login.auth, sort_keys=True)
        session = self._kept.pop(key, None) or Session(self._outgoing, service, login, services=self._services)
        self._kept[key] = session
        while len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
        return session
