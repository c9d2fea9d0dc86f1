"""How Krake logs in to clusters of Magnum, and when it does so anew."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from krake.controller.magnum.credentials import (
    Credentials,
    address_of,
    authority_of,
    is_good,
    make_kubeconfig,
    make_request,
    validity_of,
)
from krake.data.manifests import check_kubeconfig
from krake.simulator.openstack.authority import LIFETIME, Authority

ADDRESS = "https://10.0.0.5:6443"


@pytest.fixture
def kubeconfig() -> dict[str, object]:
    authority, request = Authority("test"), make_request()
    return make_kubeconfig("c", ADDRESS, Credentials(authority.pem, authority.sign(request.csr), request.key))


def test_a_kubeconfig_is_one_that_krake_accepts(kubeconfig: dict[str, object]) -> None:
    check_kubeconfig(kubeconfig)
    assert address_of(kubeconfig) == ADDRESS
    authority = authority_of(kubeconfig)
    assert authority is not None
    assert authority.startswith("-----BEGIN CERTIFICATE-----")
    check_kubeconfig(make_kubeconfig("c", "http://10.0.0.5:8080"))


def test_a_request_asks_for_an_administrator_of_the_name_krake() -> None:
    request = x509.load_pem_x509_csr(make_request().csr.encode())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=krake,O=system:masters"
    assert make_request().key != make_request().key


def test_it_is_good_until_a_month_before_its_end(kubeconfig: dict[str, object]) -> None:
    now = datetime.now(UTC)
    assert is_good(kubeconfig, ADDRESS, now)
    assert is_good(kubeconfig, ADDRESS, now + LIFETIME - timedelta(days=31))
    assert not is_good(kubeconfig, ADDRESS, now + LIFETIME - timedelta(days=29))
    assert not is_good(kubeconfig, "https://10.0.0.6:6443", now)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"clusters": []},
        {"users": [{"user": {"client-certificate-data": "%%"}}]},
        {"users": [{"user": None}], "clusters": 1},
    ],
)
def test_what_can_not_be_read_is_not_good(broken: dict[str, object]) -> None:
    assert validity_of(broken) is None
    assert authority_of(broken) is None
    assert not is_good(broken, ADDRESS, datetime.now(UTC))


def test_a_cluster_without_tls_needs_no_certificate() -> None:
    assert is_good(make_kubeconfig("c", "http://10.0.0.5:8080"), "http://10.0.0.5:8080", datetime.now(UTC))
