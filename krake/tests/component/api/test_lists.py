"""Lists: order, namespaces, selectors and pages."""

import base64

import pytest
from fixtures.api import Http, Serve
from fixtures.samples import path_of, sample

from krake.adapters.etcd import EtcdStore
from krake.data.core import Metric, Role

ROLES = path_of(Role)


async def fill(http: Http, *names: str) -> None:
    for name in names:
        labels = {"zone": "north" if name < "m" else "south", "name": name}
        assert (await http.post(ROLES, sample(Role, name, labels=labels))).status == 201


async def names(http: Http, path: str = ROLES, **query: str) -> list[str]:
    answer = await http.get(path, **query)
    assert answer.status == 200, answer.text
    return [item["metadata"]["name"] for item in answer.json["items"]]


async def test_order_is_that_of_the_keys(http: Http) -> None:
    await fill(http, "b", "a", "B", "a1", "a.1")
    assert await names(http) == ["B", "a", "a.1", "a1", "b"]


async def test_namespaces(http: Http) -> None:
    for namespace in ("red", "redder", "blue"):
        assert (await http.post(path_of(Metric, namespace=namespace), sample(Metric, f"in-{namespace}"))).status == 201
    assert await names(http, "/core/metrics") == ["in-blue", "in-red", "in-redder"]
    assert await names(http, path_of(Metric, namespace="red")) == ["in-red"]
    assert await names(http, path_of(Metric, namespace="none")) == []


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("zone=north", ["a", "b"]),
        ("zone!=north", ["x", "y"]),
        ("zone is north, name in (a, x)", ["a"]),
        ("name notin (a,b,x)", ["y"]),
        ("name not in (a, b, x)", ["y"]),
        ("zone", ["a", "b", "x", "y"]),
        ("!zone", ["bare"]),
        ("zone==south,name!=x", ["y"]),
        ("nothing=here", []),
        ("", ["a", "b", "bare", "x", "y"]),
    ],
)
async def test_selectors(http: Http, selector: str, expected: list[str]) -> None:
    await fill(http, "a", "b", "x", "y")
    assert (await http.post(ROLES, sample(Role, "bare"))).status == 201
    assert await names(http, label_selector=selector) == expected


@pytest.mark.parametrize("selector", ["a=", "=a", "a b c", "a in (", "a,", "\0", "x" * 5000, "a==b==c"])
async def test_what_is_no_selector(http: Http, selector: str) -> None:
    answer = await http.get(ROLES, label_selector=selector)
    assert (answer.status, answer.fields) == (422, ["query.label_selector"])


async def test_pages_show_one_state(http: Http) -> None:
    await fill(http, *"abcdefg")
    first = (await http.get(ROLES, limit="3")).json
    version = first["metadata"]["resource_version"]
    await fill(http, "h", "aa")
    await http.delete(f"{ROLES}/e", force="True")
    seen, token = [item["metadata"]["name"] for item in first["items"]], first["metadata"]["continue"]
    while token:
        page = (await http.get(ROLES, limit="3", **{"continue": token})).json
        assert page["metadata"]["resource_version"] == version
        seen += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"]["continue"]
    assert seen == list("abcdefg")
    async with http.watch(ROLES, resource_version=version) as lines:
        assert [(await lines.next())[0] for _ in range(3)] == ["ADDED", "ADDED", "DELETED"]


@pytest.mark.parametrize("changed", [True, False])
async def test_pages_with_a_selector(http: Http, changed: bool) -> None:
    await fill(http, *"abcdxyz")
    first = (await http.get(ROLES, limit="2", label_selector="zone=south")).json
    if changed:
        await fill(http, "w")
    rest = (await http.get(ROLES, limit="2", label_selector="zone=south", **{"continue": first["metadata"]["continue"]})).json
    assert [item["metadata"]["name"] for item in first["items"] + rest["items"]] == ["x", "y", "z"]
    assert rest["metadata"]["continue"] is None


async def test_an_exact_page_is_the_last(http: Http) -> None:
    await fill(http, "a", "b")
    assert (await http.get(ROLES, limit="2")).json["metadata"]["continue"] is None


async def test_a_page_of_a_forgotten_state_is_gone(http: Http, etcd_store: EtcdStore) -> None:
    await fill(http, "a", "b")
    token = (await http.get(ROLES, limit="1")).json["metadata"]["continue"]
    await fill(http, "c")
    await etcd_store.compact(await etcd_store.revision())
    answer = await http.get(ROLES, **{"continue": token})
    assert (answer.status, answer.json["title"]) == (410, "RESOURCE_VERSION_GONE")


async def test_tokens_belong_to_their_list(http: Http) -> None:
    await fill(http, "a", "b")
    token = (await http.get(ROLES, limit="1")).json["metadata"]["continue"]
    for path, wrong in ((path_of(Metric), token), (ROLES, "nonsense"), (ROLES, "bnVsbA"), (ROLES, "WzFd"), (ROLES, "\u00e4")):
        answer = await http.get(path, **{"continue": wrong})
        assert (answer.status, answer.fields) == (422, ["query.continue"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("heartbeat", text) for text in ("-1", "x", "", "1.5", "9" * 5000)],
        *[("limit", text) for text in ("0", "-5", "٣")],
        *[("resource_version", text) for text in ("-1", "abc")],
    ],
)
async def test_wrong_numbers(http: Http, name: str, value: str) -> None:
    answer = await http.get(ROLES, watch="", **{name: value})
    assert (answer.status, answer.fields) == (422, [f"query.{name}"])


async def test_a_loaded_server_lists_what_another_has_written(serve_api: Serve) -> None:
    async with serve_api() as one:
        await fill(one, "a", "b")
    async with serve_api() as other:
        assert await names(other) == ["a", "b"]


@pytest.mark.parametrize("token", ['[VERSION, "PREFIX\\ud800"]', '[true, "PREFIX"]', "5", "[]"])
async def test_forged_tokens(http: Http, token: str) -> None:
    version = int((await http.get(ROLES)).json["metadata"]["resource_version"])
    await http.post(ROLES, {"metadata": {"name": "later"}, "rules": []})
    text = token.replace("VERSION", str(version)).replace("PREFIX", f"{ROLES}/")
    answer = await http.get(ROLES, **{"continue": base64.urlsafe_b64encode(text.encode()).decode()})
    assert (answer.status, answer.fields) == (422, ["query.continue"])
