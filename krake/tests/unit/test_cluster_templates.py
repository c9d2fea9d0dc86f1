"""The templates of clusters that are shipped."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from krake.data.manifests import check_cluster_tosca

ROOT = Path(__file__).resolve().parents[3]
FUNCTIONALS = ROOT / "rak" / "functionals"
SIZES = {"im-cluster": 1, "im-cluster-scale-up": 2, "im-cluster-scale-down": 1}


def read(name: str) -> Any:
    return yaml.safe_load((FUNCTIONALS / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", SIZES)
def test_template_is_accepted(name: str) -> None:
    check_cluster_tosca(read(name))


@pytest.mark.parametrize(("name", "workers"), SIZES.items())
def test_templates_differ_in_the_number_of_workers_only(name: str, workers: int) -> None:
    template, other = read(name), read("im-cluster")
    assert template["topology_template"]["inputs"]["wn_num"].pop("default") == workers
    del other["topology_template"]["inputs"]["wn_num"]["default"]
    assert template == other


@pytest.mark.parametrize("name", SIZES)
def test_every_input_is_used(name: str) -> None:
    topology = read(name)["topology_template"]
    used = {each["get_input"] for each in _mappings(topology["node_templates"]) if "get_input" in each}
    assert used == set(topology["inputs"])


def test_functionals_are_the_examples() -> None:
    assert {path.resolve().relative_to(ROOT).as_posix() for path in FUNCTIONALS.iterdir()} == {
        *(f"examples/clusters/{name}.yaml" for name in SIZES),
        "examples/templates/applications/echo-demo.yaml",
    }


def _mappings(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for each in value.values() for found in _mappings(each))]
    return [found for each in value for found in _mappings(each)] if isinstance(value, list) else []
