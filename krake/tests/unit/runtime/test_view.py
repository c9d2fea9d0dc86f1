"""Lists and events, cut and repeated anywhere, always end in the state of the server."""

from dataclasses import dataclass, field, replace

from fixtures.samples import sample
from hypothesis import given
from hypothesis import strategies as st

from krake.controller.runtime.view import Transition, View
from krake.data import Key, Listing, Metadata
from krake.data.core import Role
from krake.data.kubernetes import Cluster
from krake.data.metadata import WatchEventType
from krake.data.secrets import redact

ADDED, MODIFIED, DELETED, BOOKMARK = WatchEventType


def role(name: str, version: int, uid: str = "1", label: str = "x") -> Role:
    metadata = Metadata(name=name, resource_version=str(version), uid=uid, labels={"l": label})
    return Role(metadata=metadata, rules=[])


def listing(version: int, *items: Role) -> Listing[Role]:
    return Listing(list(items), str(version))


def test_a_list_is_told_as_new_objects() -> None:
    view: View[Role] = View()
    one, two = role("a", 3), role("b", 4)
    assert view.replace(listing(7, one, two)) == [Transition(None, one), Transition(None, two)]
    assert (dict(view.objects), view.version) == ({one.key: one, two.key: two}, 7)


def test_events_are_told_with_what_was_before() -> None:
    view: View[Role] = View()
    one, other = role("a", 3), role("a", 4)
    assert view.apply(ADDED, one) == [Transition(None, one)]
    assert view.apply(MODIFIED, other) == [Transition(one, other)]
    assert view.apply(DELETED, role("a", 5)) == [Transition(other, None)]
    assert (dict(view.objects), view.version) == ({}, 5)


def test_an_event_is_applied_once() -> None:
    view: View[Role] = View()
    view.apply(ADDED, role("a", 3))
    view.apply(MODIFIED, role("a", 5))
    assert view.apply(ADDED, role("a", 3)) == []
    assert view.apply(MODIFIED, role("a", 5)) == []
    assert view.apply(DELETED, role("a", 4)) == []
    assert view.apply(DELETED, role("zz", 6)) == []
    assert view.objects[Key(None, "a")].metadata.resource_version == "5"


def test_a_bookmark_only_moves_the_version() -> None:
    view: View[Role] = View()
    assert view.apply(BOOKMARK, role("", 9)) == []
    assert (dict(view.objects), view.version) == ({}, 9)


def test_a_new_list_tells_what_is_gone_and_what_changed_and_nothing_else() -> None:
    view: View[Role] = View()
    same, old, gone = role("same", 1), role("old", 2), role("gone", 3)
    view.replace(listing(3, same, old, gone))
    new = role("old", 5)
    assert view.replace(listing(6, same, new)) == [Transition(gone, None), Transition(old, new)]


def test_a_new_list_tells_what_shows_its_secrets_by_now() -> None:
    view: View[Cluster] = View()
    metadata = Metadata(name="c", namespace="ns", resource_version="7", uid="1")
    plain = replace(Cluster.restore(sample(Cluster)), metadata=metadata)
    hidden = Cluster.restore(redact(Cluster, plain.serialize()))
    view.replace(Listing([hidden], "7"))
    assert view.replace(Listing([hidden], "8")) == []
    assert view.replace(Listing([plain], "9")) == [Transition(hidden, plain)]


def test_a_list_of_an_older_state_is_taken_over_too() -> None:
    view: View[Role] = View()
    later, earlier = role("a", 9), role("a", 2)
    view.replace(listing(9, later))
    assert view.replace(listing(4, earlier)) == [Transition(later, earlier)]
    assert view.version == 4


def test_an_object_deleted_and_created_anew_is_told_as_both() -> None:
    view: View[Role] = View()
    old, new = role("a", 3, uid="1"), role("a", 5, uid="2")
    view.apply(ADDED, old)
    assert view.replace(listing(6, new)) == [Transition(old, None), Transition(None, new)]
    newer = role("a", 7, uid="3")
    assert view.apply(ADDED, newer) == [Transition(new, None), Transition(None, newer)]


def test_an_index_follows_the_objects() -> None:
    view: View[Role] = View()
    view.apply(ADDED, role("b", 1))
    view.index("label", lambda obj: obj.metadata.labels.values())
    view.apply(ADDED, role("a", 2))
    assert [obj.metadata.name for obj in view.lookup("label", "x")] == ["a", "b"]
    view.apply(MODIFIED, role("b", 3, label="y"))
    assert [obj.metadata.name for obj in view.lookup("label", "x")] == ["a"]
    assert [obj.metadata.name for obj in view.lookup("label", "y")] == ["b"]
    view.apply(DELETED, role("a", 4))
    assert view.lookup("label", "x") == []
    view.replace(listing(5))
    assert view.lookup("label", "y") == []


@dataclass
class Server:
    """A store with its history."""

    state: dict[Key, Role] = field(default_factory=dict)
    history: list[tuple[WatchEventType, Role]] = field(default_factory=list)
    version: int = 0

    def write(self, name: str) -> None:
        self.version += 1
        key = Key(None, name)
        old = self.state.get(key)
        new = role(name, self.version, uid=old.metadata.uid if old else str(self.version))
        self.state[key] = new
        self.history.append((MODIFIED if old else ADDED, new))

    def delete(self, name: str) -> None:
        if old := self.state.pop(Key(None, name), None):
            self.version += 1
            gone = replace(old, metadata=replace(old.metadata, resource_version=str(self.version)))
            self.history.append((DELETED, gone))

    def after(self, version: int) -> list[tuple[WatchEventType, Role]]:
        return [each for each in self.history if int(each[1].metadata.resource_version or 0) > version]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from("abc")),
        st.tuples(st.just("delete"), st.sampled_from("abc")),
        st.tuples(st.just("deliver"), st.integers(0, 3)),
        st.tuples(st.just("resume from earlier"), st.integers(0, 3)),
        st.tuples(st.just("relist"), st.none()),
    ),
    max_size=40,
)


class Follower:
    """A view, and what someone knows who only listens to it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.view: View[Role] = View()
        self.view.index("uid", lambda obj: [obj.metadata.uid])
        self.told: dict[Key, Role] = {}

    def relist(self) -> None:
        self._listen(self.view.replace(Listing(list(self.server.state.values()), str(self.server.version))))

    def receive(self, after: int, count: int | None = None) -> None:
        for event in self.server.after(after)[:count]:
            self._listen(self.view.apply(*event))

    def _listen(self, transitions: list[Transition[Role]]) -> None:
        for transition in transitions:
            assert self.told.get(transition.key) == transition.old, "what is told is a history without gaps"
            self.told.pop(transition.key, None)
            if transition.new is not None:
                self.told[transition.key] = transition.new


@given(steps=STEPS)
def test_the_view_ends_where_the_server_is(steps: list[tuple[str, object]]) -> None:
    server = Server()
    follower = Follower(server)
    view = follower.view
    for step, value in steps:
        match step, value:
            case "write", str(name):
                server.write(name)
            case "delete", str(name):
                server.delete(name)
            case "deliver", int(count):
                follower.receive(view.version, count)
            case "resume from earlier", int(back):
                follower.receive(view.version - back)
            case _:
                follower.relist()
    follower.receive(view.version)
    assert view.objects == server.state == follower.told
    assert view.version == server.version
    for obj in server.state.values():
        assert view.lookup("uid", obj.metadata.uid) == [obj]
