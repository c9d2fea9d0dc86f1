"""The examples of templates are what they say."""

import io
import zipfile
from pathlib import Path
from typing import Any

import yaml

from krake.adapters.tosca.sandbox import Sandbox
from krake.data.tosca import is_inherently_wrong
from krake.ports.translation import Source

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"


class Archive:
    """The folder of the example as an archive."""

    async def fetch(self, url: str) -> bytes:
        """Return it."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted((EXAMPLES / "csar").rglob("*")):
                archive.write(path, path.relative_to(EXAMPLES / "csar"))
        return packed.getvalue()


async def translate(source: Source, **inputs: Any) -> dict[str, dict[str, Any]]:
    manifest = await Sandbox(Archive(), timeout=30, size_limit=1_000_000).translate(source, inputs)
    assert [item["kind"] for item in manifest] == ["Service", "Deployment"]
    return {item["kind"]: item["spec"] for item in manifest}


async def test_the_template() -> None:
    template = yaml.safe_load((EXAMPLES / "tosca" / "echo-demo.yaml").read_text())
    assert is_inherently_wrong(template) is None
    found = await translate(Source(template=template), replicas="3", tag="1.9", port=9090)
    assert found["Deployment"]["replicas"] == 3
    assert found["Deployment"]["template"]["spec"]["containers"][0]["image"] == "registry.k8s.io/echoserver:1.9"
    assert found["Service"]["ports"] == [{"protocol": "TCP", "targetPort": 8080, "port": 9090}]


async def test_the_archive() -> None:
    found = await translate(Source(archive="https://host.example/echo-demo.csar"), replicas=2)
    assert found["Deployment"]["replicas"] == 2
    assert found["Deployment"]["template"]["spec"]["containers"][0]["image"] == "registry.k8s.io/echoserver:1.10"
    assert found["Service"]["selector"] == found["Deployment"]["selector"]["matchLabels"] == {"app": "echo-demo"}
