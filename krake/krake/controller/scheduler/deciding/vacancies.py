"""How loaded clusters are, and where there is room: kept up with a ledger, so that a decision need not ask of each. Pure."""

from collections.abc import Iterable

from krake.controller.scheduler.deciding.crowding import Load, find_shortage, load_of
from krake.controller.scheduler.deciding.fleet import Fleet
from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.snapshot import Candidate
from krake.data.requests import Amounts

REMEMBERED = 256
"""The room for so many different requests is remembered at most."""

_Request = tuple[tuple[str, int], ...]


class Vacancies:
    """What a ledger says about the clusters of a fleet. Only clusters are looked at that something has changed on."""

    def __init__(self, fleet: Fleet[Candidate], ledger: Ledger) -> None:
        self._fleet, self._ledger = fleet, ledger
        self._seen = -1
        self._loads: list[Load] = []
        self._roomy: dict[_Request, int] = {}

    @property
    def loads(self) -> list[Load]:
        """How loaded each cluster is, by position."""
        self._catch_up()
        return self._loads

    def with_room(self, requests: Amounts) -> int:
        """Return the set of the clusters that have room for what an application asks for on each of them."""
        self._catch_up()
        asked = tuple(requests.items())
        if asked not in self._roomy:
            if len(self._roomy) >= REMEMBERED:
                self._roomy.clear()
            self._roomy[asked] = self._update(requests, 0, range(len(self._fleet.candidates)))
        return self._roomy[asked]

    def exchanged(self, fleet: Fleet[Candidate], positions: Iterable[int]) -> "Vacancies":
        """Return the same for a fleet in which the clusters at some positions are others."""
        vacancies = Vacancies(fleet, self._ledger)
        vacancies._seen, vacancies._loads, vacancies._roomy = self._seen, list(self._loads), dict(self._roomy)
        if vacancies._loads:
            vacancies._look_at(positions)
        return vacancies

    def _catch_up(self) -> None:
        self._seen, changed = self._ledger.changes_since(self._seen)
        if changed is None:
            self._loads = [load_of(each, self._ledger) for each in self._fleet.candidates]
            self._roomy.clear()
        elif changed:
            self._look_at({self._fleet.positions[ref] for ref in changed if ref in self._fleet.positions})

    def _look_at(self, positions: Iterable[int]) -> None:
        for position in positions:
            self._loads[position] = load_of(self._fleet.candidates[position], self._ledger)
        for asked, found in self._roomy.items():
            self._roomy[asked] = self._update(dict(asked), found, positions)

    def _update(self, requests: Amounts, found: int, positions: Iterable[int]) -> int:
        for position in positions:
            bit = 1 << position
            full = find_shortage(requests, self._fleet.candidates[position], self._ledger) is not None
            found = found & ~bit if full else found | bit
        return found
