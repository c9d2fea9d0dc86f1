"""What the port of Magnum promises, on the simulator; and on a real Magnum, if there is one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from fixtures.polling import until
from realidentity.keystone import PASSWORD
from realopenstack.services import OpenStack

from krake.adapters.openstack.magnum import MagnumConnector
from krake.adapters.outgoing import Outgoing
from krake.controller.magnum.credentials import make_request
from krake.data import Key
from krake.data.destinations import Destinations
from krake.data.openstack import ApplicationCredential, AuthMethod, ProjectId, ProjectPassword, ProjectSpec, ProjectUser
from krake.ports.infrastructure import Busy, NotFound, Refused, Rejected
from krake.ports.magnum import Magnum, Order, Sight
from krake.simulator.openstack.magnum import SimulatedMagnum

KEY = Key("red", "project")
LIMIT = 90.0
"""Seconds that a cluster may take; the conductor of the real Magnum looks every ten."""


def by_password(user: str, password: str, project: str) -> AuthMethod:
    login = ProjectPassword(user=ProjectUser(id=user, password=password), project=ProjectId(id=project))
    return AuthMethod(value=login)


@dataclass(frozen=True)
class Cloud:
    """A cloud with Magnum.

    :param templates: of clusters of Kubernetes, and of something else, if there is one.
    """

    url: str
    user: str
    password: str
    project: str
    templates: tuple[str, str | None]
    credential: ApplicationCredential | None = None

    @property
    def login(self) -> AuthMethod:
        return by_password(self.user, self.password, self.project)

    def spec(self, login: AuthMethod | None = None) -> ProjectSpec:
        return ProjectSpec(url=self.url, auth=login or self.login, template=self.templates[0])


@pytest.fixture
def simulated(simulated_magnum: SimulatedMagnum) -> Cloud:
    cloud, other = simulated_magnum.cloud, simulated_magnum.add_template("swarm", coe="swarm")
    known = ApplicationCredential(id=cloud.credential.id, secret=cloud.credential.secret)
    templates = simulated_magnum.template.id, other.id
    return Cloud(cloud.url + "/v3", cloud.user.id, cloud.user.password, cloud.project.id, templates, known)


@pytest.fixture
def real(real_openstack: OpenStack) -> Cloud:
    keystone, contents = real_openstack.keystone, real_openstack.contents
    id, secret = keystone.create_application_credential(keystone.issue_token(), contents.user)
    known = ApplicationCredential(id=id, secret=secret)
    return Cloud(keystone.endpoint, contents.user, PASSWORD, contents.project, (contents.template, None), known)


@pytest.fixture(params=["simulated", pytest.param("real", marks=[pytest.mark.openstack, pytest.mark.slow])])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    return request.getfixturevalue(request.param)


@pytest.fixture
async def connector() -> AsyncIterator[MagnumConnector]:
    async with MagnumConnector(Outgoing(Destinations(["127.0.0.1"]), "openstack.allow", 20.0)) as connector:
        yield connector


@pytest.fixture
def magnum(cloud: Cloud, connector: MagnumConnector) -> Magnum:
    return connector.connect(KEY, cloud.spec())


def order(cloud: Cloud, **more: object) -> Order:
    return Order(**{"name": f"krake-{uuid4()}", "template": cloud.templates[0], "master_count": 1, "node_count": 1, **more})


async def settled(magnum: Magnum, id: str, phase: str) -> Sight:
    async def look() -> Sight | None:
        try:
            sight = await magnum.observe(id)
        except NotFound:
            assert phase == "CREATE_COMPLETE"  # which may take a while to begin
            return None
        assert "FAILED" not in sight.phase, sight
        return sight if sight.phase == phase else None

    found = await until(look, LIMIT)
    assert found is not None
    return found


async def gone(magnum: Magnum, id: str) -> bool:
    try:
        await magnum.observe(id)
    except NotFound:
        return True
    except Busy:  # while Magnum forgets the cluster
        return False
    return False


async def is_found(magnum: Magnum, name: str, ids: set[str]) -> bool:
    return {sight.id for sight in await magnum.find(name)} == ids


async def test_a_cluster_lives(magnum: Magnum, cloud: Cloud) -> None:
    wanted = order(cloud)
    assert await magnum.find(wanted.name) == []
    id = await magnum.create(wanted)
    await until(lambda: is_found(magnum, wanted.name, {id}), LIMIT)
    created = await settled(magnum, id, "CREATE_COMPLETE")
    assert created.node_count == 1
    assert created.api_address is not None
    assert created.api_address.startswith("https://")

    await magnum.resize(id, 2)
    resized = await settled(magnum, id, "UPDATE_COMPLETE")
    assert resized.node_count == 2

    await magnum.delete(id)
    await until(lambda: gone(magnum, id), LIMIT)
    assert await magnum.find(wanted.name) == []
    await magnum.delete(id)


async def test_its_authority_signs_what_krake_logs_in_by(magnum: Magnum, cloud: Cloud) -> None:
    id = await magnum.create(order(cloud))
    await settled(magnum, id, "CREATE_COMPLETE")
    authority = x509.load_pem_x509_certificate((await magnum.authority(id)).encode())
    request = make_request()
    certificate = x509.load_pem_x509_certificate((await magnum.sign(id, request.csr)).encode())
    certificate.verify_directly_issued_by(authority)
    assert certificate.subject.rfc4514_string() == x509.load_pem_x509_csr(request.csr.encode()).subject.rfc4514_string()
    with pytest.raises(Rejected):
        await magnum.sign(id, "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
    await magnum.delete(id)
    await until(lambda: gone(magnum, id), LIMIT)


async def test_clusters_of_one_name_are_all_found(magnum: Magnum, cloud: Cloud) -> None:
    wanted = order(cloud)
    ids = {await magnum.create(wanted) for _ in range(2)}
    await until(lambda: is_found(magnum, wanted.name, ids), LIMIT)
    for id in ids:
        await settled(magnum, id, "CREATE_COMPLETE")
        await magnum.delete(id)
    for id in ids:
        await until(lambda id=id: gone(magnum, id), LIMIT)


async def test_a_template_tells_what_its_clusters_are(magnum: Magnum, cloud: Cloud) -> None:
    kubernetes, other = cloud.templates
    assert await magnum.orchestrator(kubernetes) == "kubernetes"
    if other is not None:
        assert await magnum.orchestrator(other) == "swarm"
    with pytest.raises(NotFound, match="could not be found"):
        await magnum.orchestrator(str(uuid4()))


async def test_what_can_not_be_is_rejected_with_the_words_of_magnum(magnum: Magnum, cloud: Cloud) -> None:
    with pytest.raises((Rejected, NotFound), match="could not be found"):
        await magnum.create(order(cloud, template=str(uuid4())))
    with pytest.raises(Rejected, match="master_count"):
        await magnum.create(order(cloud, master_count=-1))
    with pytest.raises(NotFound):
        await magnum.observe(str(uuid4()))
    with pytest.raises(NotFound):
        await magnum.resize(str(uuid4()), 2)
    await magnum.delete(str(uuid4()))


async def test_wrong_logins_are_refused(cloud: Cloud, connector: MagnumConnector) -> None:
    wrong = by_password(cloud.user, "wr0ng", cloud.project)
    with pytest.raises(Refused) as raised:
        await connector.connect(KEY, cloud.spec(wrong)).find("krake-x")
    assert "wr0ng" not in str(raised.value)
    assert "'project'" in str(raised.value)


async def test_an_application_credential_is_as_good_as_a_password(cloud: Cloud, connector: MagnumConnector) -> None:
    if cloud.credential is None:
        pytest.skip("This cloud has no application credential.")
    magnum = connector.connect(KEY, cloud.spec(AuthMethod(value=cloud.credential)))
    assert await magnum.find("krake-x") == []


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        ({"name": "n" * 300, "status": "S" * 300}, {"name": "n" * 300, "phase": "S" * 300}),
        ({"name": "n" * 301, "status": "S" * 301}, {"name": None, "phase": "CREATE_IN_PROGRESS"}),
        ({"name": "a\nb", "status": "a\x1b[31m"}, {"name": None, "phase": "CREATE_IN_PROGRESS"}),
        ({"status_reason": "r" * 300}, {"message": "r" * 300}),
        ({"status_reason": "r" * 301}, {"message": "r" * 299 + "…"}),
        ({"status_reason": "r" * 500_000}, {"message": "r" * 299 + "…"}),
        ({"status_reason": " It \x1b failed:\n no  quota.\n"}, {"message": "It failed: no quota."}),
        ({"node_count": 2**31 - 1}, {"node_count": 2**31 - 1}),
        ({"node_count": 2**31}, {"node_count": None}),
        ({"node_count": -1}, {"node_count": None}),
        ({"node_count": True}, {"node_count": None}),
    ],
)
async def test_what_magnum_tells_is_bounded(
    simulated: Cloud, simulated_magnum: SimulatedMagnum, connector: MagnumConnector, told: dict[str, Any], seen: dict[str, Any]
) -> None:
    magnum = connector.connect(KEY, simulated.spec())
    id = await magnum.create(order(simulated))
    for name, value in told.items():
        setattr(simulated_magnum.clusters[id], name, value)
    sight = await magnum.observe(id)
    assert {name: getattr(sight, name) for name in seen} == seen


async def test_no_more_addresses_are_kept_than_a_status_can_hold(
    simulated: Cloud, simulated_magnum: SimulatedMagnum, connector: MagnumConnector
) -> None:
    magnum = connector.connect(KEY, simulated.spec())
    id = await magnum.create(order(simulated))
    await settled(magnum, id, "CREATE_COMPLETE")
    for count, kept in ((1_000, 1_000), (1_001, 1_000)):
        simulated_magnum.clusters[id].node_count = count
        assert len((await magnum.observe(id)).node_addresses) == kept
