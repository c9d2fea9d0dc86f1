"""Templates as users write them."""

from typing import Any

VERSION = "tosca_simple_yaml_1_0"
KUBERNETES_OBJECT = "tosca.nodes.indigo.KubernetesObject"


def config_map(name: str, **data: str) -> str:
    """The YAML of a ConfigMap."""
    lines = [f"  {key}: {value}\n" for key, value in data.items()]
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n{''.join(lines) or '  {}'}\n"


def node(spec: Any = None, *requirements: Any, type_: str = KUBERNETES_OBJECT, **properties: Any) -> dict[str, Any]:
    """A node template."""
    found: dict[str, Any] = {"type": type_, "properties": {"spec": config_map("a") if spec is None else spec, **properties}}
    return {**found, "requirements": list(requirements)} if requirements else found


def template(inputs: dict[str, Any] | None = None, *, nodes: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    """A template; with no nodes given, it has one."""
    topology = {"inputs": inputs or {}, "node_templates": {"only": node()} if nodes is None else nodes}
    return {"tosca_definitions_version": VERSION, **sections, "topology_template": topology}
