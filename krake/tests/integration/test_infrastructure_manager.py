"""The adapter of the Infrastructure Manager, on a real one, in good times and bad ones."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.im import PASSWORD, USER, cloud_of, credential_cloud_of, provider_of, template_of
from fixtures.polling import until
from realidentity.keystone import Keystone
from realim.manager import Manager

from krake.adapters.infrastructure import Connector
from krake.data.destinations import Destinations
from krake.data.infrastructure import CloudSpec, InfrastructureProviderSpec
from krake.ports.infrastructure import (
    Busy,
    Infrastructure,
    InfrastructureError,
    Infrastructures,
    NotFound,
    Phase,
    Refused,
    Unavailable,
)

TEMPLATES = Path(__file__).parents[3] / "rak" / "functionals"
_NUMBERS = itertools.count()
HOSTILE = (
    "a; type = Dummy; b = c",
    r"a\ntype = InfrastructureManager; username = root",
    r"\\n\n\\\n" + "\\",
    """it's "quoted" """,
    "file(/etc/hostname)",
    "key = value",
    " blank ",
    "pässwörd €",
    "#",
    '[{"type": "Dummy"}]',
    "\\u0041",
)


@pytest.fixture
async def connector() -> AsyncIterator[Connector]:
    async with Connector(Destinations(), "infrastructure.allow", 20) as found:
        yield found


@pytest.fixture
def mark() -> str:
    return f"krake-integration-{next(_NUMBERS)}"


@pytest.fixture
def ill_im(im: Manager) -> Iterator[Manager]:
    """The IM of the session, whose cloud is well again in the end."""
    yield im
    im.cloud.fail()


def connect(connector: Connector, provider: InfrastructureProviderSpec, cloud: CloudSpec) -> Infrastructures:
    return connector.connect("1-im", provider, "1-cloud", cloud, trusted=True, cloud_trusted=True)


async def reach(infrastructures: Infrastructures, id: str, *phases: Phase) -> Infrastructure:
    async def ask() -> Infrastructure | None:
        found = await infrastructures.observe(id)
        return found if found.phase in phases else None

    return await until(ask)  # type: ignore[return-value]


async def remove(infrastructures: Infrastructures, id: str) -> None:
    async def is_gone() -> bool:
        try:
            await infrastructures.delete(id)
            await infrastructures.observe(id)
        except NotFound:
            return True
        except Busy:
            pass
        await asyncio.sleep(0.1)
        return False

    await until(is_gone)


# Logging in


async def test_an_application_credential_is_enough(
    connector: Connector, im: Manager, keystone: Keystone, cloud_user: str, cloud_project: str
) -> None:
    token = keystone.issue_token(USER, PASSWORD, project_id=cloud_project)
    id, secret = keystone.create_application_credential(token, cloud_user)
    infrastructures = connect(connector, provider_of(im.url), credential_cloud_of(keystone.endpoint, id, secret))
    made = await infrastructures.create("krake-by-credential", template_of())
    await reach(infrastructures, made, Phase.CONFIGURED)
    await remove(infrastructures, made)
    wrong = connect(connector, provider_of(im.url), credential_cloud_of(keystone.endpoint, id, "wrong"))
    made = await wrong.create("krake-by-credential", template_of())
    found = await reach(wrong, made, Phase.FAILED)
    assert "Invalid" in str(found.message)
    assert "wrong" not in str(found.message)
    await remove(wrong, made)


async def test_users_and_projects_have_domains(connector: Connector, im: Manager, keystone: Keystone) -> None:
    domain = keystone.create_domain("Elsewhere")
    user = keystone.create_user("dora", "dora", domain_id=domain)
    keystone.create_project("dora's", user, domain_id=domain)
    for cloud, phase in (
        ({"domain_name": "Elsewhere", "domain_id": domain}, Phase.CONFIGURED),
        ({"domain_name": "Elsewhere"}, Phase.FAILED),
        ({"domain_id": domain}, Phase.FAILED),
    ):
        spec = cloud_of(keystone.endpoint, username="dora", password="dora", project="dora's", **cloud)
        infrastructures = connect(connector, provider_of(im.url), spec)
        made = await infrastructures.create("krake-of-dora", template_of())
        await reach(infrastructures, made, phase)
        await remove(infrastructures, made)


@pytest.mark.parametrize("secret", HOSTILE)
async def test_nothing_in_a_password_means_anything(
    connector: Connector, im: Manager, keystone: Keystone, cloud_user: str, cloud_project: str, secret: str
) -> None:
    """It is the password of the cloud, which Keystone knows exactly, and of IM, which tells users apart by it."""
    keystone.change_user(cloud_user, password=secret)
    try:
        spec = cloud_of(keystone.endpoint, password=secret)
        infrastructures = connect(connector, provider_of(im.url, username=secret, password=secret), spec)
        made = await infrastructures.create("krake-hostile", template_of())
        await reach(infrastructures, made, Phase.CONFIGURED)
        assert await infrastructures.find("krake-hostile") == [made]
        for other in ({"password": "other"}, {"username": "root", "password": secret}, {"username": "InfrastructureManager"}):
            theirs = connect(connector, provider_of(im.url, **{"username": secret, "password": secret, **other}), spec)
            assert await theirs.find("krake-hostile") == []
        await remove(infrastructures, made)
    finally:
        keystone.change_user(cloud_user, password=PASSWORD)


async def test_a_user_that_im_does_not_know_is_refused(
    connector: Connector, im: Manager, openstack: CloudSpec, mark: str
) -> None:
    await connector.check_provider("im", provider_of(im.url), trusted=True)
    nobody = InfrastructureProviderSpec.deserialize({"type": "im", "im": {"url": im.url, "token": "no-such-token"}})
    with pytest.raises(Refused) as caught:
        await connector.check_provider("im", nobody, trusted=True)
    assert "no-such-token" not in str(caught.value)
    infrastructures = connect(connector, nobody, openstack)
    for ask in (
        infrastructures.find(mark),
        infrastructures.create(mark, template_of()),
        infrastructures.observe("x"),
        infrastructures.delete("x"),
        infrastructures.kubeconfig("x"),
    ):
        with pytest.raises(Refused):
            await ask


async def test_credentials_that_are_revoked_harm_nothing(
    connector: Connector, ill_im: Manager, keystone: Keystone, cloud_user: str, openstack: CloudSpec, mark: str
) -> None:
    infrastructures = connect(connector, provider_of(ill_im.url), openstack)
    id = await infrastructures.create(mark, template_of(front=1, worker=1))
    await reach(infrastructures, id, Phase.CONFIGURED)
    keystone.change_user(cloud_user, password="another")
    try:
        with pytest.raises(Refused, match="refuses the login"):
            await connector.check_cloud("cloud", openstack, trusted=True)
        await reach(infrastructures, id, Phase.UNKNOWN)
        with pytest.raises(InfrastructureError):
            await infrastructures.update(id, template_of(front=1, worker=2))
        await infrastructures.delete(id)
        await reach(infrastructures, id, Phase.UNKNOWN, Phase.FAILED)
        assert len(ill_im.cloud.machines(mark)) == 2
    finally:
        keystone.change_user(cloud_user, password=PASSWORD)
    await remove(infrastructures, id)
    assert ill_im.cloud.machines(mark) == []


# Trouble of IM


async def test_im_goes_and_comes_back(connector: Connector, own_im: Manager, openstack: CloudSpec, mark: str) -> None:
    infrastructures = connect(connector, provider_of(own_im.url), openstack)
    id = await infrastructures.create(mark, template_of("a: b", front=1, worker=1))
    await reach(infrastructures, id, Phase.CONFIGURED)
    own_im.stop()
    for ask in (infrastructures.find(mark), infrastructures.create(mark, template_of()), infrastructures.observe(id)):
        with pytest.raises(Unavailable, match="can not be reached"):
            await ask
    await asyncio.to_thread(own_im.restart)
    assert await infrastructures.find(mark) == [id]
    assert (await infrastructures.observe(id)).phase is Phase.CONFIGURED
    assert await infrastructures.kubeconfig(id) == {"a": "b"}
    await infrastructures.update(id, template_of("a: b", front=1, worker=2))
    await reach(infrastructures, id, Phase.CONFIGURED)
    assert len(own_im.cloud.machines(mark)) == 3


async def test_what_im_began_before_it_was_killed_is_found(own_im: Manager, openstack: CloudSpec, mark: str) -> None:
    """It knows the machines, but not for which template it has made them."""
    own_im.cloud.fail(launch=1.5)
    async with Connector(Destinations(), "allow", 20) as first:
        infrastructures = connect(first, provider_of(own_im.url), openstack)
        id = await infrastructures.create(mark, template_of(front=1, worker=2))

        async def has_machine() -> bool:
            return bool(own_im.cloud.machines(mark))

        await until(has_machine)
    own_im.stop()
    own_im.cloud.fail()
    await asyncio.to_thread(own_im.restart)
    async with Connector(Destinations(), "allow", 20) as second:
        infrastructures = connect(second, provider_of(own_im.url), openstack)
        assert await infrastructures.find(mark) == [id]
        await remove(infrastructures, id)
    assert own_im.cloud.machines(mark) == []


async def test_im_that_hangs_is_given_up_in_time(own_im: Manager, openstack: CloudSpec, mark: str) -> None:
    async with Connector(Destinations(), "allow", 1) as connector:
        infrastructures = connect(connector, provider_of(own_im.url), openstack)
        own_im.process.pause()
        try:
            started = time.monotonic()
            with pytest.raises(Unavailable, match="did not answer within 1 s"):
                await infrastructures.create(mark, template_of())
            assert time.monotonic() - started < 5
        finally:
            own_im.process.resume()

        async def is_there() -> bool:
            return len(await infrastructures.find(mark)) == 1

        await until(is_there)  # the time limit was ours only


async def test_what_takes_longer_than_an_answer_may_is_not_done_twice(ill_im: Manager, openstack: CloudSpec, mark: str) -> None:
    async with Connector(Destinations(), "allow", 1) as connector:
        infrastructures = connect(connector, provider_of(ill_im.url), openstack)
        id = await infrastructures.create(mark, template_of(front=1))
        await reach(infrastructures, id, Phase.CONFIGURED)
        ill_im.cloud.fail(launch=1.5)
        wanted = template_of(front=1, worker=2)
        with pytest.raises(Busy):
            await infrastructures.update(id, wanted)

        async def is_updated() -> bool:
            try:
                await infrastructures.update(id, wanted)
            except Busy:
                return False
            return True

        await until(is_updated)
        await reach(infrastructures, id, Phase.CONFIGURED)
        assert sorted(each.name for each in ill_im.cloud.machines(mark)) == ["front", "worker", "worker"]
        with pytest.raises(Busy):
            await infrastructures.update(id, template_of(front=1, worker=3))
        with pytest.raises(Busy):
            await infrastructures.delete(id)
        await remove(infrastructures, id)
        assert ill_im.cloud.machines(mark) == []


# Trouble of the cloud


async def test_why_a_cloud_gives_no_machines_is_told(
    connector: Connector, ill_im: Manager, openstack: CloudSpec, mark: str
) -> None:
    infrastructures = connect(connector, provider_of(ill_im.url), openstack)
    ill_im.cloud.fail(refuse="Quota exceeded for cores: requested 4, but already used 8 of 8.")
    id = await infrastructures.create(mark, template_of(front=1, worker=1))
    found = await reach(infrastructures, id, Phase.FAILED)
    assert "Quota exceeded for cores" in str(found.message)
    assert "\n" not in str(found.message)
    await remove(infrastructures, id)


async def test_why_machines_are_not_configured_is_told(
    connector: Connector, ill_im: Manager, openstack: CloudSpec, mark: str
) -> None:
    infrastructures = connect(connector, provider_of(ill_im.url), openstack)
    ill_im.cloud.fail(unconfigured="No space left on device")
    id = await infrastructures.create(mark, template_of())
    found = await reach(infrastructures, id, Phase.UNCONFIGURED)
    assert "No space left on device" in str(found.message)


async def test_a_cloud_may_keep_machines(connector: Connector, ill_im: Manager, openstack: CloudSpec, mark: str) -> None:
    infrastructures = connect(connector, provider_of(ill_im.url), openstack)
    id = await infrastructures.create(mark, template_of())
    await reach(infrastructures, id, Phase.CONFIGURED)
    ill_im.cloud.fail(keep="The instance is locked")
    await infrastructures.delete(id)
    await asyncio.sleep(0.5)  # time to go wrong
    assert await infrastructures.find(mark) == [id]
    assert len(ill_im.cloud.machines(mark)) == 1
    ill_im.cloud.fail()
    await remove(infrastructures, id)
    assert ill_im.cloud.machines(mark) == []


@pytest.mark.parametrize("state", ["failed", "stopped"])
async def test_a_machine_that_stands_still_is_mended(
    connector: Connector, ill_im: Manager, openstack: CloudSpec, state: str, mark: str
) -> None:
    infrastructures = connect(connector, provider_of(ill_im.url), openstack)
    template = template_of(front=1, worker=1)
    id = await infrastructures.create(mark, template)
    await reach(infrastructures, id, Phase.CONFIGURED)
    ill = next(each for each in ill_im.cloud.machines(mark) if each.name == "worker")
    ill_im.cloud.change(ill, state)

    async def is_told() -> bool:
        return Phase.FAILED in (await infrastructures.observe(id)).machines.values()

    await until(is_told)
    await infrastructures.update(id, template)
    found = await reach(infrastructures, id, Phase.CONFIGURED)
    assert list(found.machines.values()) == 2 * [Phase.CONFIGURED]
    machines = ill_im.cloud.machines(mark)
    assert [each.state for each in machines] == ["running", "running"]
    assert (ill.id in [each.id for each in machines]) == (state == "stopped")


async def test_when_a_cloud_is_away_no_machine_is_given_up(
    connector: Connector, ill_im: Manager, keystone: Keystone, cloud_user: str, openstack: CloudSpec, mark: str
) -> None:
    infrastructures = connect(connector, provider_of(ill_im.url), openstack)
    template = template_of(front=1, worker=1)
    id = await infrastructures.create(mark, template)
    await reach(infrastructures, id, Phase.CONFIGURED)
    before = ill_im.cloud.machines(mark)
    keystone.change_user(cloud_user, enabled=False)
    try:
        found = await reach(infrastructures, id, Phase.UNKNOWN)
        assert set(found.machines.values()) == {Phase.UNKNOWN}
    finally:
        keystone.change_user(cloud_user, enabled=True)
    await infrastructures.update(id, template)
    await reach(infrastructures, id, Phase.CONFIGURED)
    assert ill_im.cloud.machines(mark) == before


async def test_launching_holds_off_what_would_disturb_it(
    connector: Connector, ill_im: Manager, openstack: CloudSpec, mark: str
) -> None:
    infrastructures = connect(connector, provider_of(ill_im.url), openstack)
    ill_im.cloud.fail(launch=1, boot=2)
    id = await infrastructures.create(mark, template_of(front=1, worker=1))
    with pytest.raises(Busy):
        await infrastructures.update(id, template_of(front=1, worker=5))

    async def launches() -> bool:
        return bool((await infrastructures.observe(id)).machines)

    with pytest.raises(Busy):
        await infrastructures.delete(id)
    await until(launches)
    with pytest.raises(Busy):
        await infrastructures.delete(id)
    found = await reach(infrastructures, id, Phase.CONFIGURED)
    assert len(found.machines) == 2


# The template of the seed


async def test_the_shipped_template_gives_out_a_kubeconfig(
    connector: Connector, ill_im: Manager, openstack: CloudSpec, mark: str
) -> None:
    infrastructures = connect(connector, provider_of(ill_im.url), openstack)
    id = await infrastructures.create(mark, _shipped("im-cluster"))
    await reach(infrastructures, id, Phase.CONFIGURED)
    assert sorted(each.name for each in ill_im.cloud.machines(mark)) == ["front", "wn"]
    assert await infrastructures.kubeconfig(id) is None
    ill_im.cloud.offer(yaml.safe_dump({"current-context": "default"}))
    ill_im.cloud.offer(yaml.safe_dump({"current-context": "mine }\n}\n"}), mark)

    async def kubeconfig() -> dict[str, Any] | None:
        await infrastructures.observe(id)
        return await infrastructures.kubeconfig(id)

    assert await until(kubeconfig) == {"current-context": "mine }\n}\n"}
    for name in ("im-cluster-scale-up", "im-cluster-scale-down", "im-cluster"):
        template = _shipped(name)
        await infrastructures.update(id, template)
        await reach(infrastructures, id, Phase.CONFIGURED)
        workers = template["topology_template"]["inputs"]["wn_num"]["default"]
        assert sorted(each.name for each in ill_im.cloud.machines(mark)) == ["front", *workers * ["wn"]]
        assert await until(kubeconfig) == {"current-context": "mine }\n}\n"}


def _shipped(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((TEMPLATES / f"{name}.yaml").read_text()))
