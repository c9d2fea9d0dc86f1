"""What is read from kubeconfigs."""

import pytest
from fixtures.samples import KUBECONFIG

from krake.adapters.kubernetes.access import Access
from krake.data.kubernetes import ClusterSpec
from krake.data.secrets import redact
from krake.ports.cluster import Unreachable


def test_a_kubeconfig_that_is_not_shown_is_not_tried() -> None:
    hidden = redact(ClusterSpec, {"kubeconfig": KUBECONFIG})["kubeconfig"]
    with pytest.raises(Unreachable, match="permission to get clusters/secrets"):
        Access.of(hidden)
    assert Access.of(KUBECONFIG).authorization == "Bearer t0k"
