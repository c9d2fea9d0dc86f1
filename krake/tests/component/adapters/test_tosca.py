"""Templates and archives that nobody vouches for are read in a process of its own."""

import asyncio
import io
import json
import stat
import time
import zipfile
from collections.abc import Mapping
from typing import Any

import pytest
from unit.tosca.templates import KUBERNETES_OBJECT, VERSION, config_map, node, template

from krake.adapters.fetching import FetchError
from krake.adapters.tosca import sandbox
from krake.adapters.tosca.sandbox import Sandbox
from krake.ports.translation import Source, TranslationError

TYPES = {
    "tosca_definitions_version": VERSION,
    "node_types": {"Own": {"derived_from": KUBERNETES_OBJECT}},
}
HOST = "https://host.example"


class Shelf:
    """Documents by their URL."""

    def __init__(self, documents: Mapping[str, Any]) -> None:
        self.documents = documents
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes:
        """Return a document."""
        self.asked.append(url)
        found = self.documents.get(url)
        if found is None:
            raise FetchError(f"{url} is not there.")
        return found if isinstance(found, bytes) else written(found)


def written(document: Any) -> bytes:
    return (document if isinstance(document, str) else json.dumps(document)).encode()


def archive(**files: Any) -> bytes:
    """A zip file of YAML documents, and of metadata; two underscores in a name are a slash."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(path_of(name), content if isinstance(content, bytes) else written(content))
    return found.getvalue()


def path_of(name: str) -> str:
    return {"meta": "TOSCA-Metadata/TOSCA.meta"}.get(name, name.replace("__", "/") + ".yaml")


async def translate(source: Source, shelf: Shelf | None = None, **inputs: Any) -> list[dict[str, Any]]:
    return await Sandbox(shelf or Shelf({}), timeout=30, size_limit=1_000_000).translate(source, inputs)


async def problem(source: Source, shelf: Shelf | None = None) -> TranslationError:
    with pytest.raises(TranslationError) as caught:
        await translate(source, shelf)
    return caught.value


def names(manifest: list[dict[str, Any]]) -> list[str]:
    return [item["metadata"]["name"] for item in manifest]


async def test_a_node_may_have_several_documents_in_the_order_of_its_requirements() -> None:
    nodes = {"first": node(f"{config_map('c')}---\n---\n{config_map('d')}", {"x": "last"}), "last": node(config_map("b"))}
    assert names(await translate(Source(template=template(nodes=nodes)))) == ["b", "c", "d"]


async def test_dates_and_other_texts_stay_what_kubernetes_takes_them_for() -> None:
    spec = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {day: 2026-11-21, yes: "1", no: on, number: 0x10}\n'
    said = await problem(Source(template=template(nodes={"a": node(spec)})))
    assert str(said) == "Node 'a': its spec has the key True, which is no text; quote it."
    (found,) = await translate(
        Source(template=template(nodes={"a": node(spec.replace("yes", '"yes"').replace("no:", '"no":'))}))
    )
    assert found["data"] == {"day": "2026-11-21", "yes": "1", "no": True, "number": 16}


async def test_imports_are_fetched_wherever_they_are_relative_to() -> None:
    shelf = Shelf(
        {
            f"{HOST}/a/t.yaml": template(nodes={"x": node(config_map("x"), type_="p.Own")}, imports=["../b.yaml"]),
            f"{HOST}/b.yaml": {"imports": [{"own": {"file": "c/types.yaml", "namespace_prefix": "p"}}, "a/t.yaml"]},
            f"{HOST}/c/types.yaml": TYPES | {"imports": ["../b.yaml"]},
        }
    )
    assert names(await translate(Source(url=f"{HOST}/a/t.yaml"), shelf)) == ["x"]
    assert shelf.asked == [f"{HOST}/a/t.yaml", f"{HOST}/b.yaml", f"{HOST}/c/types.yaml"]


async def test_a_repository_is_a_place_of_imports() -> None:
    found = template(
        nodes={"x": node(config_map("x"), type_="Own")},
        repositories={"types": {"url": f"{HOST}/types"}},
        imports=[{"file": "t.yaml", "repository": "types"}],
    )
    assert names(await translate(Source(template=found), Shelf({f"{HOST}/types/t.yaml": TYPES}))) == ["x"]


async def test_what_can_not_be_fetched_may_be_there_later() -> None:
    said = await problem(Source(url=f"{HOST}/t.yaml"))
    assert (str(said), said.passing) == (f"{HOST}/t.yaml is not there.", True)
    said = await problem(Source(url=f"{HOST}/t.yaml"), Shelf({f"{HOST}/t.yaml": "- a"}))
    assert (str(said), said.passing) == (f"{HOST}/t.yaml is no TOSCA document: it must be a mapping.", True)
    assert not (await problem(Source(template={}))).passing


@pytest.mark.parametrize(
    "spec", ["[", "a: b: c", "\x00", "&a [*a]", "!!python/object:os.system {}", "- 1\n---\n- 2", "text", "---"]
)
async def test_what_is_no_kubernetes_object_names_the_node(spec: str) -> None:
    said = await problem(Source(template=template(nodes={"echo": node(spec)})))
    assert str(said).startswith("Node 'echo': its spec")
    assert not said.passing


async def test_an_object_without_a_name_names_the_node() -> None:
    said = await problem(Source(template=template(nodes={"echo": node("apiVersion: v1\nkind: Pod")})))
    assert str(said) == "Node 'echo': its spec: Field 'metadata.name' not found in resource at index 0."


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(40))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n + 1}: &a{n + 1}\n  <<: [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(12))


@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        MERGES,
        "[" * 200_000,
        "a: " * 100_000,
        "{" * 900_000,
        "a: &a {b: *a}",
        "x: " + "9" * 100_000,
        b"\xff\xfe\x00",
        b"\x1f\x8b" * 1000,
        "",
    ],
    ids=["aliases", "merges", "lists", "keys", "mappings", "circle", "number", "utf-16", "gzip", "nothing"],
)
async def test_hostile_documents_end_in_time(content: str | bytes) -> None:
    started = time.monotonic()
    for source, url in ((Source(url=f"{HOST}/t.yaml"), f"{HOST}/t.yaml"), (Source(archive=f"{HOST}/t.zip"), f"{HOST}/t.zip")):
        fetched: Any = content if source.url else archive(t=content)
        said = await problem(source, Shelf({url: fetched if isinstance(fetched, bytes) else fetched.encode()}))
        assert str(said).endswith(".")
        assert len(str(said)) < 300
    assert time.monotonic() - started < 30


async def test_a_regular_expression_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_RUN_LIMIT", 1.0)
    constraint = {"type": "string", "default": "a" * 40 + "!", "constraints": [{"pattern": "(a|a)*(a|a)*(a|a)*b"}]}
    running = asyncio.create_task(problem(Source(template=template({"x": constraint}))))
    beats = 0
    while not running.done():
        await asyncio.sleep(0.01)
        beats += 1
    assert str(await running) == "The template takes too long to read."
    assert beats > 50, "The event loop goes on meanwhile."


async def test_the_worker_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRAKE_SECRETS_KEY", "secret")
    monkeypatch.setattr(
        sandbox,
        "_COMMAND",
        (sandbox.sys.executable, "-c", "import json, os; print(json.dumps({'manifest': [dict(os.environ)]}))"),
    )
    (environment,) = await translate(Source(template=template()))
    assert "KRAKE_SECRETS_KEY" not in environment


META = "TOSCA-Meta-File-Version: 1.0\nCSAR-Version: 1.1\nCreated-By: me\nEntry-Definitions: {}\n"


@pytest.mark.parametrize(
    "files",
    [
        {"any": template()},
        {"meta": META.format("Definitions/main.yaml"), "Definitions__main": template(), "other": "x", "more": "y"},
        {
            "meta": META.format("Definitions/main.yaml"),
            "Definitions__main": template(nodes={"a": node(type_="Own")}, imports=["../types/own.yaml"]),
            "types__own": TYPES,
        },
        {"main": template(nodes={"a": node(type_="Own")}, imports=[f"{HOST}/types.yaml"])},
    ],
    ids=["root", "metadata", "import inside", "import outside"],
)
async def test_archives(files: dict[str, Any]) -> None:
    shelf = Shelf({f"{HOST}/t.csar": archive(**files), f"{HOST}/types.yaml": TYPES})
    assert names(await translate(Source(archive=f"{HOST}/t.csar"), shelf)) == ["a"]


def with_link() -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as opened:
        link = zipfile.ZipInfo("main.yaml")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, "/etc/passwd")
    return found.getvalue()


def importing(file: str) -> bytes:
    return archive(main=template(imports=[file]))


def damaged() -> bytes:
    found = bytearray(archive(main=template()))
    found[40:60] = bytes(20)
    return bytes(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no zip", f"{HOST}/t.csar is no CSAR archive: it is not a zip file."),
        (b"PK\x05\x06" + bytes(18), f"{HOST}/t.csar has no template at its root; name one in TOSCA-Metadata/TOSCA.meta as"),
        (archive(a=template(), b=template()), f"{HOST}/t.csar has 2 templates at its root; name one"),
        (archive(meta="CSAR-Version: 1.1", a=template()), "TOSCA-Metadata/TOSCA.meta of"),
        (archive(meta=META.format("gone.yaml")), f"{HOST}/t.csar has no file 'gone.yaml'."),
        (archive(meta=META.format("../../etc/passwd")), f"{HOST}/t.csar has no file '../../etc/passwd'."),
        (archive(meta=META.format("/etc/passwd")), f"{HOST}/t.csar has no file '/etc/passwd'."),
        (importing("../../../etc/passwd"), "Import 1 of main.yaml: '../../../etc/passwd' must be a file of the archive"),
        (importing("/etc/passwd"), "Import 1 of main.yaml: '/etc/passwd' must be a file of the archive"),
        (importing("file:///etc/passwd"), "Import 1 of main.yaml: 'file:///etc/passwd' must be a file of the archive"),
        (importing("gone.yaml"), f"{HOST}/t.csar has no file 'gone.yaml'."),
        (with_link(), f"'main.yaml' of {HOST}/t.csar is a link; put the file itself there."),
        (archive(main=" " * 50_000_000), f"'main.yaml' of {HOST}/t.csar is larger than 4000000 bytes."),
        (damaged(), f"'main.yaml' of {HOST}/t.csar is damaged"),
        (archive(**{f"a__{n}": "" for n in range(11_000)}), f"{HOST}/t.csar has more than 10000 files."),
    ],
    ids=range(15),
)
async def test_wrong_archives(content: bytes, said: str) -> None:
    shelf = Shelf({f"{HOST}/t.csar": content})
    with pytest.raises(TranslationError) as caught:
        await Sandbox(shelf, timeout=30, size_limit=10_000_000).translate(Source(archive=f"{HOST}/t.csar"), {})
    assert str(caught.value).startswith(said)


async def test_all_documents_together_are_limited() -> None:
    shelf = Shelf({f"{HOST}/t.yaml": template(imports=["a.yaml"]), f"{HOST}/a.yaml": "x: " + "y" * 999_990})
    assert (
        str(await problem(Source(url=f"{HOST}/t.yaml"), shelf)) == "The documents of the template have more than 1000000 bytes."
    )


async def test_a_chain_of_imports_ends() -> None:
    shelf = Shelf({f"{HOST}/{n}.yaml": template(imports=[f"{n + 1}.yaml"]) for n in range(100)})
    assert "that need documents, and so on, too often." in str(await problem(Source(url=f"{HOST}/0.yaml"), shelf))
    wide = Shelf({f"{HOST}/t.yaml": template(imports=[f"{n}.yaml" for n in range(100)])})
    assert "needs more than 50 other documents." in str(await problem(Source(url=f"{HOST}/t.yaml"), wide))
    assert wide.asked == [f"{HOST}/t.yaml"]


async def test_many_at_once_take_turns() -> None:
    found = await asyncio.gather(*(translate(Source(template=template({"x": {"type": "integer"}})), x=n) for n in range(6)))
    assert [names(each) for each in found] == [["a"]] * 6
