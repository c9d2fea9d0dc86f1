"""What local clusters understand of a template."""

from typing import Any

import pytest
import yaml
from fixtures.generated import ROOT
from hypothesis import given
from hypothesis import strategies as st
from reallocal.template import MOST, Host, WrongTemplate, hosts_of


def template(inputs: Any = None, **nodes: Any) -> dict[str, Any]:
    return {"topology_template": {"inputs": inputs or {}, "node_templates": nodes}}


def compute(**capabilities: Any) -> dict[str, Any]:
    return {
        "type": "tosca.nodes.Compute",
        "capabilities": {name: {"properties": properties} for name, properties in capabilities.items()},
    }


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("clusters/local.yaml", ["front", "wn-1", "wn-2"]),
        ("clusters/im-cluster.yaml", ["front", "wn-1"]),
        ("clusters/im-cluster-scale-up.yaml", ["front", "wn-1", "wn-2"]),
        ("automation/cluster.yaml", ["front", "wn-1"]),
    ],
)
def test_the_templates_of_clouds_do(path: str, names: list[str]) -> None:
    assert [host.name for host in hosts_of(yaml.safe_load((ROOT / "examples" / path).read_text()))] == names


def test_room_is_as_written_or_by_an_input() -> None:
    inputs = {"cpus": {"type": "integer", "default": 2}, "memory": {"default": "512 MiB"}}
    node = compute(host={"num_cpus": {"get_input": "cpus"}, "mem_size": {"get_input": "memory"}})
    assert hosts_of(template(inputs, front=node)) == [Host("front", "2", "512Mi")]
    assert hosts_of(template(front=compute())) == [Host("front", "4", "8G")]


@pytest.mark.parametrize(
    ("size", "memory"), [("4 GB", "4G"), ("4GiB", "4Gi"), ("100 kB", "100k"), ("1.5 TB", "1.5T"), (4_000_000, "4000000")]
)
def test_sizes(size: Any, memory: str) -> None:
    assert hosts_of(template(front=compute(host={"mem_size": size})))[0].memory == memory


@pytest.mark.parametrize(
    ("scalable", "count"),
    [({"count": 3}, 3), ({"default_instances": 2}, 2), ({"count": 1, "default_instances": 2}, 1), ({}, 1), ({"count": 0}, 0)],
)
def test_numbers_of_machines(scalable: dict[str, int], count: int) -> None:
    hosts = hosts_of(template(workers=compute(scalable=scalable), front=compute()))
    assert [host.name for host in hosts] == ["front", *(f"workers-{number}" for number in range(1, count + 1))]


def test_the_control_plane_is_on_the_first_machine_where_all_can_be_scaled() -> None:
    hosts = hosts_of(template(Front_End=compute(scalable={"count": 1}), workers=compute(scalable={"count": 1})))
    assert [host.name for host in hosts] == ["front-end-1", "workers-1"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "no node of a type such as tosca.nodes.Compute"),
        (template(net={"type": "tosca.nodes.network.Network"}), "no node of a type"),
        (template(front=compute(scalable={"count": "2"})), "asks for 2 of front"),
        (template(front=compute(scalable={"count": True})), "asks for True of front"),
        (template(front=compute(scalable={"count": -1})), "asks for -1 of front"),
        (template(front=compute(scalable={"count": 10**30})), "no number from 0 to 20"),
        (template(a=compute(scalable={"count": MOST}), b=compute()), "asks for 21 machines"),
        (template(front=compute(scalable={"count": {"get_input": "n"}})), "no input n with a default"),
        (template({"n": {}}, front=compute(scalable={"count": {"get_input": "n"}})), "no input n with a default"),
        (template(front=compute(scalable={"count": {"get_attribute": ["a"]}})), "neither a value nor"),
        (template(front=compute(host={"num_cpus": 0})), "num_cpus of front is 0"),
        (template(front=compute(host={"num_cpus": "many"})), "num_cpus of front is many"),
        (template(front=compute(host={"mem_size": "much"})), "mem_size of front is much"),
        (template(front=compute(host={"mem_size": "0 GB"})), "mem_size of front is 0 GB"),
        (template(wn=compute(), WN=compute()), "nearly the same name"),
        (template(wn_1=compute(), wn=compute(scalable={"count": 1})), "nearly the same name"),
    ],
)
def test_what_is_wrong_is_said(wrong: Any, words: str) -> None:
    with pytest.raises(WrongTemplate, match=r"^Local infrastructure does not understand the template: ") as raised:
        hosts_of(wrong)
    assert words in str(raised.value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_NODE = st.fixed_dictionaries(
    {"type": st.sampled_from(["tosca.nodes.Compute", "x.Compute", "tosca.nodes.Root"]) | _JSON},
    optional={
        "capabilities": st.dictionaries(
            st.sampled_from(["scalable", "host"]),
            _JSON
            | st.fixed_dictionaries(
                {
                    "properties": st.dictionaries(
                        st.sampled_from(["count", "default_instances", "num_cpus", "mem_size"]),
                        _JSON | st.just({"get_input": "n"}),
                    )
                }
            ),
        )
    },
)


@given(st.dictionaries(st.text(max_size=70), _NODE | _JSON, max_size=4), _JSON)
def test_whatever_is_written_is_machines_or_a_sentence(nodes: Any, inputs: Any) -> None:
    problem, hosts = "", []
    try:
        hosts = hosts_of({"topology_template": {"inputs": inputs, "node_templates": nodes}})
    except WrongTemplate as error:
        problem = str(error)
    assert bool(problem) != bool(hosts)
    assert len(problem) < 300
    assert len(hosts) <= MOST
    assert all(len(host.name) <= 63 and host.name.replace("-", "").isalnum() for host in hosts)
