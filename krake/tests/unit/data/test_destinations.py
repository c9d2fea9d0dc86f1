"""Where addresses of users may lead."""

import pytest
from marshmallow import ValidationError

from krake.data.destinations import Denied, Destinations, check_destinations, read_url


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "169.254.169.254", "100.100.100.200", "168.63.129.16", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_what_is_denied_by_default(address: str) -> None:
    assert not Destinations().may_reach("host.example", address)


@pytest.mark.parametrize("address", ["10.0.0.5", "192.168.1.1", "172.16.0.1", "93.184.216.34", "2606:2800::1", "fd12::1"])
def test_what_may_be_reached_by_default(address: str) -> None:
    assert Destinations().may_reach("host.example", address)


def test_allowed_beats_denied() -> None:
    destinations = Destinations(["127.0.0.1", "*.inside.example", "git.example"], ["0.0.0.0/0", "*.example"])
    assert destinations.may_reach("evil.example", "127.0.0.1")
    assert destinations.may_reach("a.b.inside.EXAMPLE", "10.0.0.1")
    assert destinations.may_reach("git.example.", "10.0.0.1")
    assert not destinations.may_reach("inside.example", "2001:db8::1")
    assert not destinations.may_reach("my-git.example", "2001:db8::1")
    assert not destinations.may_reach("elsewhere.test", "10.0.0.1")
    assert destinations.may_reach("elsewhere.test", "2001:db8::1")


def test_entries_are_checked() -> None:
    check_destinations(["10.0.0.0/8", "10.1.2.3", "fe80::/10", "*.example.org", "localhost", "my_host"])
    for wrong in ("10.0.0.0/33", "https://host", "a b", "", "*", "host:80", "a..b"):
        with pytest.raises(ValidationError, match="is no network"):
            check_destinations([wrong])


@pytest.mark.parametrize(
    "url",
    ["ftp://host/a", "file:///etc/passwd", "host/a.yaml", "http:///a", "http://user@host/a", "https://a:b@host/", "http://h:0/",
     "http://host:99999/", "http://[::1/"],
)  # fmt: skip
def test_urls_that_are_never_fetched(url: str) -> None:
    with pytest.raises(Denied):
        read_url(url)
