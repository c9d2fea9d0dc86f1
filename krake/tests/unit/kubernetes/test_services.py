"""Where the services of an application are reached."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.controller.kubernetes.application.services import SERVICE, address_of, services_of
from krake.ports.cluster import Identity, Object, ObjectType

HOST = "10.0.0.1"


def service(status: Any = None, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo"}, "spec": spec, "status": status}


def balanced(*ingress: Any, ports: Any = ({"port": 80},)) -> dict[str, Any]:
    return service({"loadBalancer": {"ingress": list(ingress)}}, type="LoadBalancer", ports=list(ports))


def name(service: str, namespace: str = "default") -> Identity:
    return Identity(SERVICE, namespace, service)


WEB = {"name": "web", "port": 80, "nodePort": 30007}
METRICS = {"name": "metrics", "port": 9090, "nodePort": 30008}
HIDDEN = {"name": "hidden", "port": 1234}


@pytest.mark.parametrize(
    ("found", "address"),
    [
        (service(type="NodePort", ports=[{"port": 80, "nodePort": 30007}]), "10.0.0.1:30007"),
        (service(type="ClusterIP", ports=[{"port": 80}]), None),
        (service(type="ClusterIP", clusterIP="None", ports=[{"port": 80}]), None),
        (service(clusterIP="None"), None),
        (service(type="ClusterIP", externalIPs=["8.8.4.4"], ports=[{"port": 80}]), "8.8.4.4:80"),
        (service(type="ExternalName", externalName="example.org", ports=[{"port": 80, "nodePort": 30007}]), None),
        (service(type="LoadBalancer", ports=[{"port": 80, "nodePort": 30007}]), "<pending>:80"),
        (balanced({"ip": "9.9.9.9"}), "9.9.9.9:80"),
        (balanced({"hostname": "lb.example"}), "lb.example:80"),
        (balanced({"ip": "", "hostname": "lb.example"}), "lb.example:80"),
        (balanced({}, {"ip": "9.9.9.9"}), "9.9.9.9:80"),
        (balanced({"ip": "2001:db8::1"}), "[2001:db8::1]:80"),
        (balanced({"ip": "9.9.9.9", "ports": [{"port": 80, "protocol": "TCP", "error": "MixedProtocol"}]}), None),
        (service(type="LoadBalancer"), "<pending>:<pending>"),
    ],
)
def test_where_a_service_is(found: dict[str, Any], address: str | None) -> None:
    assert address_of(found, HOST) == address


def test_the_first_port_has_the_name_of_the_service_and_the_others_add_theirs() -> None:
    live = {name("echo"): service(type="NodePort", ports=[WEB, METRICS])}
    assert services_of(live, live, HOST) == {"echo": "10.0.0.1:30007", "echo/metrics": "10.0.0.1:30008"}
    live = {name("echo"): service(type="LoadBalancer", ports=[WEB, HIDDEN])}
    assert services_of(live, live, HOST) == {"echo": "<pending>:80", "echo/hidden": "<pending>:1234"}


def test_ports_that_nobody_reaches_are_left_out() -> None:
    live = {name("echo"): service(type="NodePort", ports=[HIDDEN, WEB]), name("inner"): service(ports=[HIDDEN])}
    assert services_of(live, live, HOST) == {"echo": "10.0.0.1:30007"}


def test_equal_names_in_two_namespaces_are_told_apart_also_while_one_is_missing() -> None:
    blue, green = name("echo", "blue"), name("echo", "green")
    live: dict[Identity, Object] = {
        green: service(type="NodePort", ports=[METRICS]),
        blue: service(type="NodePort", ports=[WEB]),
    }
    assert services_of([blue, green], live, HOST) == {"echo": "10.0.0.1:30007", "echo.green": "10.0.0.1:30008"}
    del live[blue]
    assert services_of([blue, green], live, HOST) == {"echo.green": "10.0.0.1:30008"}


def test_only_services_count() -> None:
    other = Identity(ObjectType("serving.example/v1", "Service"), "default", "echo")
    assert services_of([other], {other: service(type="NodePort", ports=[WEB])}, HOST) == {}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["port", "nodePort", "name", "ip", "hostname", "ingress", "loadBalancer", "ports", "error"]), inner
        )
    ),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["NodePort", "LoadBalancer", "ExternalName"]) | anything},
        optional={"ports": anything | st.lists(anything), "externalIPs": anything},
    )
    | anything,
    anything | st.fixed_dictionaries({"loadBalancer": st.fixed_dictionaries({"ingress": st.lists(anything)})}),
)
def test_no_service_is_too_strange(spec: Any, status: Any) -> None:
    live = {name("echo"): {**service(), "spec": spec, "status": status}}
    found = services_of(live, live, HOST)
    assert all(isinstance(address, str) and ":" in address for address in found.values())
    assert all(key == "echo" or key.startswith("echo/") for key in found)
