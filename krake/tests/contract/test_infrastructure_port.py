"""What every provider of infrastructure keeps to: a real Infrastructure Manager with a real Keystone, the simulated one, and
the local one, which makes real control planes. What does not hold for the local one, or is of no use there, says why.
"""

import asyncio
import itertools
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from fixtures.im import cloud_of, provider_of, template_of
from fixtures.local_clusters import LocalClusters
from fixtures.polling import until
from fixtures.simulated_clouds import QUICK
from realim.manager import Manager

from krake.adapters.infrastructure import Connector
from krake.adapters.infrastructure.local import Driver, LocalInfrastructures
from krake.data.destinations import Destinations
from krake.data.infrastructure import CloudSpec
from krake.ports.infrastructure import Busy, Infrastructure, Infrastructures, NotFound, Phase, Rejected
from krake.simulator.infrastructure import Settings, SimulatedProvider

TIMEOUT = 20.0
LIMIT = 120.0
"""Seconds that whatever is waited for may take on a machine with much to do."""
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Provider:
    """A provider, and what can be done behind its back.

    :param others: the same provider, for another of its users.
    :param afresh: the same again, of a process that knows nothing yet.
    :param machines: the names of the machines that really are there, of an infrastructure.
    :param lose: lets one machine of an infrastructure vanish, which is not the first.
    :param misconfigure: lets machines that are configured from now on come to nothing, or no more.
    :param delay: lets the launch of machines take so many seconds from now on.
    :param lost: what the machines of one that has three are after one was lost.
    """

    infrastructures: Infrastructures
    others: Infrastructures
    afresh: Infrastructures
    machines: Callable[[str, str], list[str]]
    lose: Callable[[str, str], Awaitable[None]]
    misconfigure: Callable[[bool], None]
    delay: Callable[[float], None]
    lost: Sequence[str] = ("configured", "configured", "failed")


@pytest.fixture
async def connectors() -> AsyncIterator[tuple[Connector, Connector]]:
    async with Connector(Destinations(), "allow", TIMEOUT) as one, Connector(Destinations(), "allow", TIMEOUT) as another:
        yield one, another


@pytest.fixture(params=["IM", "simulated IM", "local"])
async def provider(request: pytest.FixtureRequest, connectors: tuple[Connector, Connector]) -> AsyncIterator[Provider]:
    if request.param == "IM":
        im: Manager = request.getfixturevalue("im")
        yield _real(connectors, im, request.getfixturevalue("openstack"))
        im.cloud.fail()
    elif request.param == "local":
        yield _local(request.getfixturevalue("local_clusters"))
    else:
        settings = Settings(boot_delay=0.05, configure_delay=0.05, delete_delay=0.05, logs_in=False)
        async with SimulatedProvider(settings, clusters=QUICK) as simulated:
            yield _simulated(connectors, simulated, cloud_of("http://127.0.0.1:1/v3"))


def _real(connectors: tuple[Connector, Connector], im: Manager, openstack: CloudSpec) -> Provider:
    async def lose(id: str, mark: str) -> None:
        im.cloud.lose(next(each for each in im.cloud.machines(mark) if each.name != "front"))

    def misconfigure(on: bool) -> None:
        im.cloud.fail(**({"unconfigured": "no space left on device"} if on else {}))

    return Provider(
        _connect(connectors[0], im.url, openstack),
        _connect(connectors[0], im.url, openstack, username="somebody-else"),
        _connect(connectors[1], im.url, openstack),
        lambda id, mark: sorted(each.name for each in im.cloud.machines(mark)),
        lose,
        misconfigure,
        lambda seconds: im.cloud.fail(launch=seconds),
    )


def _simulated(connectors: tuple[Connector, Connector], im: SimulatedProvider, cloud: CloudSpec) -> Provider:
    def machines(id: str, mark: str) -> list[str]:
        found = im.infrastructures[id].machines.values() if id in im.infrastructures else ()
        return sorted(each.node for each in found if each.fate != "unknown")

    async def lose(id: str, mark: str) -> None:
        found = im.infrastructures[id].machines.values()
        await im.set_machine(id, next(each.number for each in found if each.node != "front"), "unknown")

    def misconfigure(on: bool) -> None:
        im.settings.fate = "unconfigured" if on else "configured"

    def delay(seconds: float) -> None:
        im.settings.launch_delay = seconds

    return Provider(
        _connect(connectors[0], im.url, cloud),
        _connect(connectors[0], im.url, cloud, username="somebody-else"),
        _connect(connectors[1], im.url, cloud),
        machines,
        lose,
        misconfigure,
        delay,
    )


def _connect(connector: Connector, url: str, cloud: CloudSpec, username: str = "krake") -> Infrastructures:
    return connector.connect("im", provider_of(url, username=username), "cloud", cloud, trusted=True, cloud_trusted=True)


def _local(clusters: LocalClusters) -> Provider:
    driver = Driver(clusters.command, timeout=TIMEOUT, at_once=4)
    one, another = (LocalInfrastructures(driver, "local", "cloud") for _ in range(2))

    async def lose(id: str, mark: str) -> None:
        # One process plays all machines of a cluster: where one goes, the others go as well.
        os.kill(clusters.keeper(id), signal.SIGKILL)

    def machines(id: str, mark: str) -> list[str]:
        return sorted(re.sub(r"-\d+$", "", name) for name in clusters.nodes(id))

    lost = 3 * ["unconfigured"]
    return Provider(one, one, another, machines, lose, clusters.break_programs, lambda seconds: None, lost)


on_clouds = pytest.mark.parametrize("provider", ["IM", "simulated IM"], indirect=True)


@pytest.fixture
def mark() -> str:
    return f"krake-contract-{next(_NUMBERS)}"


async def reach(infrastructures: Infrastructures, id: str, phase: Phase) -> Infrastructure:
    """Wait until an infrastructure is in a phase."""

    async def ask() -> Infrastructure | None:
        found = await infrastructures.observe(id)
        return found if found.phase is phase else None

    return await until(ask, LIMIT)  # type: ignore[return-value]


async def create(provider: Provider, mark: str, template: Mapping[str, Any] | None = None) -> str:
    """Create an infrastructure and wait until it is configured."""
    id = await provider.infrastructures.create(mark, template or template_of())
    await reach(provider.infrastructures, id, Phase.CONFIGURED)
    return id


async def update(provider: Provider, id: str, template: Mapping[str, Any]) -> Infrastructure:
    """Ask to update as often as it takes, and wait until that is done."""

    async def ask() -> bool:
        try:
            await provider.infrastructures.update(id, template)
        except Busy:
            return False
        return True

    await until(ask)
    return await reach(provider.infrastructures, id, Phase.CONFIGURED)


async def remove(infrastructures: Infrastructures, id: str) -> None:
    """Delete an infrastructure, as often as it takes."""

    async def is_gone() -> bool:
        try:
            await infrastructures.delete(id)
        except Busy:
            return False
        await asyncio.sleep(0.1)
        try:
            await infrastructures.observe(id)
        except NotFound:
            return True
        return False

    await until(is_gone, LIMIT)


async def test_what_is_created_becomes_configured_and_can_be_found(provider: Provider, mark: str) -> None:
    infrastructures = provider.infrastructures
    assert await infrastructures.find(mark) == []
    id = await infrastructures.create(mark, template_of(front=1, worker=2))
    assert await infrastructures.find(mark) == [id]
    assert await provider.afresh.find(mark) == [id]
    found = await reach(infrastructures, id, Phase.CONFIGURED)
    assert list(found.machines.values()) == 3 * [Phase.CONFIGURED]
    assert found.message is None
    assert provider.machines(id, mark) == ["front", "worker", "worker"]
    assert await infrastructures.find(mark) == [id]
    await remove(infrastructures, id)
    assert await infrastructures.find(mark) == []
    assert provider.machines(id, mark) == []


# The mark of a local cluster is its name: there can not be two, nor is anything looked for.
@on_clouds
async def test_infrastructures_are_told_apart_by_their_marks(provider: Provider, mark: str) -> None:
    infrastructures = provider.infrastructures
    # One after the other: of several that are begun at once, IM 2.0 now and then leaves one pending for ever.
    ids = [await create(provider, f"{mark}{letter}", template_of()) for letter in ("", "-a", "-b", "-b")]
    assert len(set(ids)) == 4
    assert await infrastructures.find(mark) == [ids[0]]
    assert await infrastructures.find(f"{mark}-a") == [ids[1]]
    assert sorted(await infrastructures.find(f"{mark}-b")) == sorted(ids[2:])
    for hostile in ("", ".*", mark[:-1], f"{mark}-", f"{mark}\n"):
        assert await infrastructures.find(hostile) == []
    for id in ids:
        await remove(infrastructures, id)


# A local cluster does not read what would be the mark.
@on_clouds
async def test_the_author_of_a_template_can_not_choose_its_mark(provider: Provider, mark: str) -> None:
    stolen = f"{mark}-of-another"
    template = template_of() | {"metadata": {"infra_name": stolen, "template_name": "mine", "namespace": stolen}}
    id = await create(provider, mark, template)
    assert await provider.infrastructures.find(stolen) == []
    await update(provider, id, template)
    assert await provider.afresh.find(stolen) == []
    assert await provider.afresh.find(mark) == [id]


async def test_an_infrastructure_becomes_what_its_template_says(provider: Provider, mark: str) -> None:
    id = await create(provider, mark, template_of(front=1, worker=1))
    for count in (3, 3, 1, 2):
        found = await update(provider, id, template_of(front=1, worker=count))
        assert provider.machines(id, mark) == ["front", *count * ["worker"]]
        assert len(found.machines) == 1 + count
    assert await provider.infrastructures.find(mark) == [id]


@on_clouds
async def test_a_change_that_is_under_way_is_not_made_twice_by_another_process(provider: Provider, mark: str) -> None:
    """The one who began it is killed when IM knows of it, and no machine is there yet."""
    id = await create(provider, mark, template_of(front=1, worker=1))
    provider.delay(1.5)
    asking = asyncio.create_task(provider.infrastructures.update(id, template_of(front=1, worker=3)))
    afresh: Any = provider.afresh

    async def is_known() -> bool:
        return "krake_asked" in (await afresh._template(id))["metadata"]

    await until(is_known)
    asking.cancel()
    await update(replace(provider, infrastructures=provider.afresh), id, template_of(front=1, worker=3))
    assert provider.machines(id, mark) == ["front", *3 * ["worker"]]
    provider.delay(0)
    await update(provider, id, template_of(front=1, worker=2))
    assert provider.machines(id, mark) == ["front", *2 * ["worker"]]


async def test_nodes_come_and_go(provider: Provider, mark: str) -> None:
    id = await create(provider, mark, template_of(front=1, worker=2))
    await update(provider, id, template_of(front=1, other=1))
    assert provider.machines(id, mark) == ["front", "other"]
    bare = template_of(front=1)
    bare["topology_template"]["node_templates"]["bare"] = {"type": "tosca.nodes.Compute"}
    await update(provider, id, bare)
    assert provider.machines(id, mark) == ["bare", "front"]
    await update(provider, id, template_of(front=1, worker=1))
    assert provider.machines(id, mark) == ["front", "worker"]


# For local clusters, tests/unit/support/test_local_template.py has this and more, in no time.
@on_clouds
async def test_numbers_count_wherever_they_stand(provider: Provider, mark: str) -> None:
    def by(workers: int, **scalable: Any) -> dict[str, Any]:
        template = template_of(front=1, worker=1)
        template["imports"] = [{"types": "https://raw.githubusercontent.com/grycap/tosca/main/custom_types.yaml"}]
        template["topology_template"]["inputs"]["workers"] = {"type": "integer", "default": workers}
        node = template["topology_template"]["node_templates"]["worker"]
        node["type"] = "tosca.nodes.indigo.Compute"
        node["capabilities"]["scalable"] = {"properties": scalable}
        return template

    id = await create(provider, mark, by(2, count={"get_input": "workers"}))
    assert provider.machines(id, mark) == ["front", "worker", "worker"]
    for workers, scalable, expected in (
        (3, {"count": {"get_input": "workers"}}, 3),
        (3, {"default_instances": 1, "min_instances": 1, "max_instances": 5}, 1),
        (2, {"count": {"get_input": "workers"}}, 2),
        (2, {}, 1),
        (2, {"count": 0}, 0),
    ):
        await update(provider, id, by(workers, **scalable))
        assert provider.machines(id, mark) == ["front", *expected * ["worker"]], scalable


# A local cluster knows its own kubeconfig, whatever the template gives out; so it is with the next two.
@on_clouds
async def test_the_kubeconfig_is_what_the_template_gives_out(provider: Provider, mark: str) -> None:
    id = await create(provider, mark, template_of("current-context: one"))
    assert await provider.infrastructures.kubeconfig(id) == {"current-context": "one"}
    await update(provider, id, template_of("{current-context: two}"))
    assert await provider.infrastructures.kubeconfig(id) == {"current-context": "two"}


@on_clouds
@pytest.mark.parametrize("text", ["nonsense", "[]", "a: [", "1: 2", "a: &a [1]\nb: 2020-01-01\n? [x]\n: y"])
async def test_an_output_that_is_no_kubeconfig_is_told(provider: Provider, mark: str, text: str) -> None:
    id = await create(provider, mark, template_of(text))
    with pytest.raises(Rejected, match="kubeconfig"):
        await provider.infrastructures.kubeconfig(id)


@on_clouds
@pytest.mark.parametrize("change", ["nothing", "empty"])
async def test_there_may_be_no_kubeconfig(provider: Provider, mark: str, change: str) -> None:
    template = template_of("")
    if change == "nothing":
        del template["topology_template"]["outputs"]
    id = await create(provider, mark, template)
    assert await provider.infrastructures.kubeconfig(id) is None


async def test_a_machine_that_is_lost_is_told_and_replaced(provider: Provider, mark: str) -> None:
    template = template_of(front=1, worker=2)
    id = await create(provider, mark, template)
    await provider.lose(id, mark)
    found = await reach(provider.infrastructures, id, Phase(provider.lost[-1]))
    assert sorted(each.value for each in found.machines.values()) == list(provider.lost)
    await update(provider, id, template)
    assert provider.machines(id, mark) == ["front", "worker", "worker"]


async def test_machines_that_could_not_be_configured_are_configured_anew(provider: Provider, mark: str) -> None:
    provider.misconfigure(True)
    id = await provider.infrastructures.create(mark, template_of())
    found = await reach(provider.infrastructures, id, Phase.UNCONFIGURED)
    assert found.message is not None
    provider.misconfigure(False)
    await provider.infrastructures.reconfigure(id)
    found = await reach(provider.infrastructures, id, Phase.CONFIGURED)
    assert found.message is None


# For local clusters that is a restart of everything, to which tests/integration/test_local_clusters.py holds them.
@on_clouds
async def test_configuring_anew_changes_no_machines(provider: Provider, mark: str) -> None:
    id = await create(provider, mark, template_of(front=1, worker=1))
    before = (await provider.infrastructures.observe(id)).machines
    await provider.infrastructures.reconfigure(id)
    assert (await reach(provider.infrastructures, id, Phase.CONFIGURED)).machines == before


async def test_what_is_being_created_can_be_deleted(provider: Provider, mark: str) -> None:
    id = await provider.infrastructures.create(mark, template_of(front=1, worker=3))
    await remove(provider.infrastructures, id)
    assert provider.machines(id, mark) == []
    assert await provider.infrastructures.find(mark) == []


# A local cluster is gone as soon as its deletion is answered.
@on_clouds
async def test_what_is_looked_at_while_it_is_deleted_goes_at_last(provider: Provider, mark: str) -> None:
    id = await create(provider, mark)

    async def look() -> bool:
        try:
            await provider.infrastructures.observe(id)
        except NotFound:
            return True
        return False

    await provider.infrastructures.delete(id)
    for _ in range(20):
        if await look():
            break
    await remove(provider.infrastructures, id)
    assert provider.machines(id, mark) == []


async def test_what_was_deleted_is_deleted(provider: Provider, mark: str) -> None:
    id = await create(provider, mark)
    await remove(provider.infrastructures, id)
    await provider.infrastructures.delete(id)
    await assert_not_found(provider.infrastructures, id)


@pytest.mark.parametrize("id", ["no-such", "", ".", "..", "../version", "a/b", "a?b", "%2e%2e", "a b", "é", "x" * 5000])
async def test_what_never_was_is_not_found(provider: Provider, id: str) -> None:
    await assert_not_found(provider.infrastructures, id)


async def assert_not_found(infrastructures: Infrastructures, id: str) -> None:
    for ask in (
        infrastructures.observe(id),
        infrastructures.update(id, template_of()),
        infrastructures.reconfigure(id),
        infrastructures.kubeconfig(id),
    ):
        with pytest.raises(NotFound):
            await ask


@pytest.mark.parametrize("template", [{}, {"tosca_definitions_version": "tosca_simple_yaml_1_0", "no_such_section": {}}])
async def test_a_template_that_is_none_is_refused(provider: Provider, mark: str, template: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="does not understand the template"):
        await provider.infrastructures.create(mark, template)
    assert await provider.infrastructures.find(mark) == []
    id = await create(provider, mark)
    with pytest.raises(Rejected, match="template"):
        await provider.infrastructures.update(id, template)
    assert provider.machines(id, mark) == ["front"]


async def test_a_type_that_is_unknown_makes_nothing(provider: Provider, mark: str) -> None:
    template = template_of(front=1)
    template["topology_template"]["node_templates"]["front"]["type"] = "no.such.Type"
    try:
        id = await provider.infrastructures.create(mark, template)
    except Rejected:
        assert await provider.infrastructures.find(mark) == []
        return
    # IM finds such errors most times only.
    assert (await reach(provider.infrastructures, id, Phase.FAILED)).message
    assert provider.machines(id, mark) == []


# Of local clusters there are no users, but one program that may do everything.
@on_clouds
async def test_what_others_own_is_theirs(provider: Provider, mark: str) -> None:
    id = await create(provider, mark)
    assert await provider.others.find(mark) == []
    for ask in (provider.others.observe(id), provider.others.update(id, template_of()), provider.others.delete(id)):
        with pytest.raises(Exception, match="refuses access"):
            await ask
    assert provider.machines(id, mark) == ["front"]
