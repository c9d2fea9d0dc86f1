"""What is kept of verified tokens, and for how long."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from krake.api.authentication.verified import Verified
from krake.ports.identity import Rejected, Unavailable, User

START = datetime(2030, 1, 1, tzinfo=UTC)


class World:
    """A service and a clock. Users are known by their names as tokens; those that begin with "bad" are none."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.asked: Counter[str] = Counter()
        self.down = False
        self.expires: datetime | None = None

    async def identify(self, token: str) -> User:
        self.asked[token] += 1
        if self.down:
            raise Unavailable("It is down.")
        if token.startswith("bad"):
            raise Rejected("Nobody.", final=True)
        return User(token, self.expires)

    def verified(self, lifetime: float = 60, capacity: int = 100) -> Verified:
        def now() -> datetime:
            return START + timedelta(seconds=self.seconds)

        return Verified("test", self, lifetime, clock=lambda: self.seconds, now=now, capacity=capacity)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("lifetime", "expires", "kept"),
    [(60, None, 60), (60, 30, 30), (60, 90, 60), (60, 0, 0), (60, -5, 0), (0, None, 0), (0, 90, 0)],
)
async def test_users_are_kept_until_the_cache_or_the_token_ends(
    world: World, lifetime: float, expires: float | None, kept: float
) -> None:
    world.expires = None if expires is None else START + timedelta(seconds=expires)
    verified = world.verified(lifetime)
    await verified.verify("ann")
    world.seconds = max(0, kept - 0.1)
    await verified.verify("ann")
    assert world.asked["ann"] == (1 if kept else 2)
    world.seconds = kept
    assert await verified.verify("ann") == User("ann", world.expires)
    assert world.asked["ann"] == (2 if kept else 3)


async def test_refusals_are_kept_for_a_moment(world: World) -> None:
    verified = world.verified(lifetime=0)
    for moment, times in ((0.0, 1), (2.9, 1), (3.0, 2)):
        world.seconds = moment
        verdict = await verified.verify("bad")
        assert isinstance(verdict, Rejected)
        assert (str(verdict), verdict.final) == ("Nobody.", True)
        assert world.asked["bad"] == times


async def test_failures_are_not_kept(world: World) -> None:
    verified = world.verified()
    world.down = True
    assert isinstance(await verified.verify("ann"), Unavailable)
    world.down = False
    assert await verified.verify("ann") == User("ann")


async def test_users_who_are_known_stay_so_while_the_service_is_down(world: World) -> None:
    verified = world.verified()
    await verified.verify("ann")
    world.down = True
    assert await verified.verify("ann") == User("ann")
    assert isinstance(await verified.verify("bob"), Unavailable)


async def test_a_flood_of_bad_tokens_does_not_push_out_good_ones(world: World) -> None:
    verified = world.verified(capacity=3)
    await verified.verify("ann")
    for number in range(10):
        await verified.verify(f"bad {number}")
    await verified.verify("ann")
    await verified.verify("bad 9")
    await verified.verify("bad 0")
    assert (world.asked["ann"], world.asked["bad 9"], world.asked["bad 0"]) == (1, 1, 2)


async def test_the_oldest_make_room(world: World) -> None:
    verified = world.verified(capacity=2)
    for name in ("ann", "bob", "cid", "bob", "cid", "ann"):
        await verified.verify(name)
    assert world.asked == {"ann": 2, "bob": 1, "cid": 1}
