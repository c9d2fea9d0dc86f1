"""The tables of docs/admin/configuration.md are true of what is declared."""

import re

import pytest
from fixtures.generated import CONFIGS, ROOT

from krake.config import leaves
from krake.controller.runtime import ControllerConfig

PAGE = (ROOT / "docs" / "admin" / "configuration.md").read_text()
ROW = re.compile(r"^\| `([\w.]+)` \|(?: `(.*)`)? \| \S.* \|$", re.M)


def rows(heading: str) -> dict[str, str]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return dict(ROW.findall(section))


def shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value in (None, {}) else str(value)


def declared(cls: type) -> dict[str, str]:
    return {dotted: shown(info.make_default()) for dotted, info in leaves(cls)}


def test_keys_of_all_controllers() -> None:
    assert rows("All controllers") == declared(ControllerConfig)


@pytest.mark.parametrize(
    "name", ["api.yaml", "scheduler.yaml", "kubernetes_application.yaml", "infrastructure.yaml", "magnum.yaml"]
)
def test_keys_of_a_file(name: str) -> None:
    common = {} if name == "api.yaml" else declared(ControllerConfig)
    expected = {key: value for key, value in declared(CONFIGS[name]).items() if common.get(key) != value}
    assert rows(f"`{name}`") == expected
