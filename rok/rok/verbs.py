"""What commands do: the same few verbs for all kinds."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from krake.client import wire
from krake.client.errors import ApiError, Conflict

from rok.cells import Object, dig
from rok.errors import Failure
from rok.output import Result, View
from rok.place import Place

if TYPE_CHECKING:
    from rok.session import Session
    from rok.waiting import Goal

ATTEMPTS = 10
"""An update is tried so often when others change the object at the same time."""

EVENTS = wire.Route("core", "events", True)

Body = Callable[[argparse.Namespace], Object]
"""Makes the body of a request from the words of a command."""
Change = Callable[[Object, argparse.Namespace], Object]
"""Makes the changed object of a stored one and the words of a command."""
Goals = Mapping[str, "Goal"]
"""What can be waited for, by the words of ``--wait``."""


@dataclass(frozen=True)
class Call:
    """A command that is being carried out.

    :param user: of the configuration.
    """

    view: View
    args: argparse.Namespace
    session: "Session"
    user: str

    @property
    def route(self) -> wire.Route:
        """Where the objects of the kind are."""
        return self.view.route

    @property
    def namespace(self) -> str | None:
        """The namespace the command is about; ``None`` for kinds without namespaces."""
        return (self.args.namespace or self.user) if self.route.namespaced else None

    @property
    def place(self) -> Place:
        """Where the object is that the command is about."""
        return Place(self.route, self.namespace, self.args.name)

    def wait(self, item: Object, goals: Goals) -> Object:
        """Return the object when what ``--wait`` says is reached, or at once without it."""
        if getattr(self.args, "wait", None) is None:
            return item
        from rok.waiting import wait_for

        return wait_for(self.session, self.place_of(item), item, goals[self.args.wait], self.args.timeout)

    def place_of(self, item: Object) -> Place:
        """Where an object of the kind is."""
        return Place(self.route, self.namespace, item["metadata"]["name"])


def list_objects(call: Call) -> Result:
    """List the objects of a namespace, or of all."""
    everywhere = call.route.namespaced and call.args.all
    return Result(list_of(call.session.send(wire.list_(call.route, None if everywhere else call.namespace))))


def list_of(answer: Object | None) -> list[Object]:
    """Return the objects of a list.

    :raises Failure: the answer is no list.
    """
    items = answer.get("items") if answer else None
    if not isinstance(items, list):
        raise Failure("the answer is not a list of objects: check api_url in rok.yaml")
    return items


def get_object(call: Call) -> Result:
    """Read an object."""
    return Result(call.session.get(call.place), detailed=True)


def create_object(call: Call, body: Body, goals: Goals) -> Result:
    """Create an object."""
    created = call.session.send(wire.create(call.route, call.namespace, body(call.args)))
    return Result(call.wait(created, goals))


def update_object(call: Call, change: Change, goals: Goals) -> Result:
    """Change an object, as it is at that moment."""
    return Result(call.wait(_write(call, change, ATTEMPTS), goals))


def _write(call: Call, change: Change, attempts: int) -> Object:
    stored = call.session.get(call.place)
    request = wire.update(call.route, call.namespace, call.args.name, change(stored, call.args))
    try:
        updated: Object = call.session.send(request)
    except Conflict:
        if attempts <= 1:
            raise
        return _write(call, change, attempts - 1)
    return updated


def delete_object(call: Call, goals: Goals) -> Result:
    """Ask for the deletion of an object."""
    force, cascade = (getattr(call.args, name, False) for name in ("force", "cascade"))
    deleted = call.session.send(wire.delete(call.route, call.namespace, call.args.name, force=force, cascade=cascade))
    try:
        return Result(deleted if deleted is None else call.wait(deleted, goals))
    except Failure as failure:
        told = _find_hindrance(call, deleted)
        if told is None:
            raise
        raise Failure(f"{failure}: {told}") from None


def _find_hindrance(call: Call, item: Object) -> str | None:
    """Return what was told last about what a deletion waits for."""
    try:
        events = list_of(call.session.send(wire.list_(EVENTS, call.namespace or "system")))
    except (ApiError, Failure):
        return None  # which is of less interest than what it would have explained
    about = [each for each in events if dig(each, "regarding.uid") == item["metadata"]["uid"]]
    waiting = [each for each in about if str(each.get("reason")).startswith("Waiting")]
    latest = max(waiting, key=lambda each: str(each.get("last")), default=None)
    return str(latest.get("message")).rstrip(".") if latest else None


def act(call: Call, action: str) -> Result:
    """Do what a kind offers below its objects."""
    return Result(call.session.send(wire.act(call.route, call.namespace, call.args.name, action)))
