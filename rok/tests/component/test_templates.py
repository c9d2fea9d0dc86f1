"""Applications of TOSCA templates and CSAR archives, declared with `rok`."""

from typing import Any

import pytest
from command import Rok

pytestmark = pytest.mark.usefixtures("client")

SPEC = {"concat": ["apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  text:", {"get_input": "text"}]}
INPUTS = {"text": {"type": "string", "default": "hello"}, "replicas": {"type": "integer", "default": 1}}
TOSCA = {
    "tosca_definitions_version": "tosca_simple_yaml_1_0",
    "topology_template": {
        "inputs": INPUTS,
        "node_templates": {"a": {"type": "tosca.nodes.indigo.KubernetesObject", "properties": {"spec": SPEC}}},
    },
}
URL = "https://host.example/t.csar"


async def inputs_of(rok: Rok, name: str = "echo") -> Any:
    return (await rok(f"kube app get {name} -o json")).json["spec"]["inputs"]


async def test_inputs_are_given_changed_and_dropped(rok: Rok) -> None:
    rok.write("t.yaml", TOSCA)
    rok.write("inputs.yaml", {"text": "good morning", "replicas": 2})
    done = await rok("kube app create echo -f t.yaml --inputs-file inputs.yaml --input replicas=3 --input text=a=b")
    assert (done.status, done.err) == (0, "")
    assert await inputs_of(rok) == {"text": "a=b", "replicas": "3"}
    assert (await rok("kube app update echo --input replicas=4")).status == 0
    assert await inputs_of(rok) == {"text": "a=b", "replicas": "4"}
    assert (await rok(f"kube app update echo -u {URL}")).status == 0
    assert await inputs_of(rok) == {"text": "a=b", "replicas": "4"}
    assert (await rok("kube app update echo --remove-existing-inputs --input other=1")).status == 0
    assert await inputs_of(rok) == {"other": "1"}
    rok.write("manifest.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    assert (await rok("kube app update echo -f manifest.yaml")).status == 0
    assert await inputs_of(rok) == {}


async def test_dates_stay_texts(rok: Rok) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {day: 2026-11-21}\n"
    (rok.directory / "t.yaml").write_text(text)
    assert (await rok("kube app create echo -f t.yaml")).status == 0
    spec = (await rok("kube app get echo -o json")).json["spec"]
    assert spec["manifest"][0]["data"] == {"day": "2026-11-21"}


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("-f t.yaml --input replicas=many", 1, "The input 'replicas' must be an integer, not 'many'"),
        ("-f t.yaml --input size=1", 1, "The template has no input 'size'; its inputs are: replicas, text"),
        ("-f t.yaml --input size", 2, "the input 'size' is not KEY=VALUE"),
        ("-f manifest.yaml --input size=1", 1, "inputs are for TOSCA templates and CSAR archives only"),
        ("-f t.yaml --inputs-file two.yaml", 1, "two.yaml has 2 documents: write all inputs into one"),
        ("-f t.yaml --inputs-file gone.yaml", 2, "can not read gone.yaml: No such file or directory"),
        ("-f wrong.yaml", 1, "Node 'a': its type 'Own' is not defined; define it, or import it"),
        ("-u ftp://host.example/t.yaml", 1, "It must begin with http:// or https://"),
    ],
)
async def test_what_is_wrong_is_said_at_once(rok: Rok, line: str, status: int, message: str) -> None:
    rok.write("t.yaml", TOSCA)
    rok.write("two.yaml", {"a": 1}, {"b": 1})
    rok.write("manifest.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    rok.write("wrong.yaml", TOSCA | {"topology_template": {"node_templates": {"a": {"type": "Own"}}}})
    done = await rok(f"kube app create echo {line}")
    assert done.status == status
    assert message in done.err
    assert "Traceback" not in done.err
