"""Who may not be moved for now, because too many of its like are on their way or out of order already. Pure."""

from collections.abc import Iterator, Mapping

from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.tenants import Selector, matches
from krake.data import Key
from krake.data.kubernetes import Application
from krake.data.scheduling import DisruptionBudget


def exceed(app: Application, ledger: Ledger) -> str | None:
    """Return why it would be too much to move an application now, or nothing.

    Only those are asked that could stay as well: a lost cluster, or a user who changes the application, is no matter of choice.
    """
    budget = app.spec.constraints.disruption_budget
    if budget is None:
        return None
    others = sorted(key.name for key in _unavailable(app.metadata.namespace, budget, ledger) if key != app.key)
    if len(others) < budget.max_unavailable:
        return None
    if not others:
        return "Its disruption budget lets it not be moved at all."
    listed = ", ".join(others[:3]) + (" …" if len(others) > 3 else "")
    return f"Its disruption budget lets {budget.max_unavailable} be unavailable at once, and {len(others)} are: {listed}."


def _unavailable(namespace: str | None, budget: DisruptionBudget, ledger: Ledger) -> set[Key]:
    return {each.key for each in ledger.unavailable(namespace, tuple(budget.labels))}


class Held:
    """Those that their disruption budgets hold: as soon as one of those they count has arrived, the next may go."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str | None, Selector], dict[Key, Application]] = {}
        self._row_of: dict[Key, tuple[str | None, Selector]] = {}

    def hold(self, app: Application) -> None:
        """Take in an application that its budget does not let go now."""
        self.leave(app.key)
        budget = app.spec.constraints.disruption_budget
        assert budget is not None
        row = app.metadata.namespace, tuple(budget.labels)
        self._rows.setdefault(row, {})[app.key] = app
        self._row_of[app.key] = row

    def leave(self, key: Key) -> None:
        """Forget an application, if it is held."""
        if (row := self._row_of.pop(key, None)) is not None:
            del self._rows[row][key]
            if not self._rows[row]:
                del self._rows[row]

    def release(self, namespace: str | None, labels: Mapping[str, str], ledger: Ledger) -> Iterator[Key]:
        """Yield who may go by now, of those that are held for others with some labels; they are not held any more."""
        meant = [row for row in self._rows if row[0] == namespace and matches(row[1], labels)]
        for row in meant:
            going: set[Key] = set()
            unavailable: set[Key] | None = None
            for app in sorted(self._rows[row].values(), key=lambda each: -each.spec.priority):
                budget = app.spec.constraints.disruption_budget
                assert budget is not None
                if unavailable is None:
                    unavailable = _unavailable(namespace, budget, ledger)
                if len((unavailable | going) - {app.key}) >= budget.max_unavailable:
                    continue
                going.add(app.key)
                self.leave(app.key)
                yield app.key
