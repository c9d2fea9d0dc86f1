"""What the server says about itself, and what all answers have in common."""

import asyncio
import logging

import pytest
from fixtures.api import Http, Serve
from fixtures.polling import until
from fixtures.samples import path_of, sample

from krake import __version__
from krake.adapters.etcd import EtcdStore
from krake.data.core import Role

ROLES = path_of(Role)
ORIGIN = "https://ui.example"


async def test_special_routes(http: Http) -> None:
    assert (await http.get("/")).json == {"version": __version__}
    assert (await http.get("/me")).json == {"user": "system:admin", "roles": []}
    release = await http.get("/release")
    assert (release.status, release.json) == (202, "You released the Krake.")


async def test_me_names_bound_roles_once_and_in_order(http: Http) -> None:
    for name, roles in (("one", ["b", "a"]), ("two", ["c", "b"])):
        body = {"metadata": {"name": name}, "users": ["system:admin"], "roles": roles}
        assert (await http.post("/core/rolebindings", body)).status == 201
    assert (await http.get("/me")).json["roles"] == ["a", "b", "c"]


async def test_metrics(http: Http) -> None:
    await http.post(ROLES, sample(Role))
    await http.get("/nowhere")
    await http("PROPFIND", ROLES)
    text = (await http.get("/metrics")).text
    assert 'krake_api_requests_total{code="201",method="POST",route="/core/roles"} 1.0' in text
    assert 'krake_api_requests_total{code="404",method="GET",route=""} 1.0' in text
    assert 'krake_api_requests_total{code="405",method="other",route=""} 1.0' in text
    assert 'krake_api_objects{kind="Role"} 1.0' in text


@pytest.mark.parametrize("path", [ROLES, "/", f"{ROLES}/missing", "/core/metrics"])
async def test_head_is_get_without_its_body(http: Http, path: str) -> None:
    get, head = await http.get(path), await http("HEAD", path)
    assert (head.status, head.text) == (get.status, "")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


async def test_head_does_not_watch(http: Http) -> None:
    assert (await http("HEAD", f"{ROLES}?watch")).status == 200


async def test_methods_that_a_path_does_not_have(http: Http) -> None:
    answer = await http.delete(ROLES)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD,POST")
    assert answer.detail == "405: Method Not Allowed"
    options = await http("OPTIONS", ROLES)
    assert (options.status, options.headers["Allow"]) == (200, "GET, HEAD, OPTIONS, POST")
    assert (await http("OPTIONS", "/nowhere")).status == 404


async def test_request_ids(http: Http) -> None:
    given = await http("GET", ROLES, headers={"X-Request-Id": "my-id.7"})
    assert given.headers["X-Request-Id"] == "my-id.7"
    made = {(await http("GET", path)).headers["X-Request-Id"] for path in (ROLES, "/nowhere", f"{ROLES}/a%20b")}
    assert len(made) == 3
    for wrong in ("a b", "x" * 200, "<script>"):
        assert (await http("GET", ROLES, headers={"X-Request-Id": wrong})).headers["X-Request-Id"] != wrong


async def test_the_log_names_user_request_and_status_and_has_no_traces_of_refusals(
    http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "krake.api"):
        await http("GET", f"{ROLES}/missing", headers={"X-Request-Id": "id-1"})
        await http("POST", ROLES, data=b"{")
    lines = [record.getMessage() for record in caplog.records if record.name == "krake.api.access"]
    assert lines[0].startswith(f"GET {ROLES}/missing 404 ")
    assert lines[0].endswith(" system:admin id-1")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_problems_without_a_page_have_no_type(serve_api: Serve) -> None:
    async with serve_api(docs={"problem_base_url": ""}) as http:
        assert (await http.get(f"{ROLES}/missing")).json["type"] == "about:blank"


async def test_no_origin_is_allowed_by_default(http: Http) -> None:
    for method in ("GET", "OPTIONS"):
        answer = await http(method, ROLES, headers={"Origin": ORIGIN, "Access-Control-Request-Method": "GET"})
        assert answer.status == 200
        assert not [name for name in answer.headers if name.startswith("Access-Control")]


async def test_allowed_origins(serve_api: Serve) -> None:
    async with serve_api(authentication={"allow_anonymous": True, "cors_origin": f"{ORIGIN} https://other.example"}) as http:
        mine = await http("GET", ROLES, headers={"Origin": ORIGIN})
        assert mine.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert mine.headers["Access-Control-Allow-Credentials"] == "true"
        foreign = await http("GET", ROLES, headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in foreign.headers
        assert mine.headers["Vary"] == foreign.headers["Vary"] == "Origin"
        asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}
        headers = {"Origin": ORIGIN, **asked}
        preflight = await http("OPTIONS", f"{ROLES}/x", headers=headers)
        assert preflight.status == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
        assert preflight.headers["Access-Control-Allow-Headers"] == "authorization"


async def test_all_origins_but_without_credentials(serve_api: Serve) -> None:
    async with serve_api(authentication={"allow_anonymous": True, "cors_origin": "*"}) as http:
        for method in ("GET", "OPTIONS"):
            answer = await http(method, ROLES, headers={"Origin": ORIGIN, "Access-Control-Request-Method": "GET"})
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    ("allowed", "headers", "status"),
    [
        ("", {"Origin": ORIGIN}, 403),
        ("", {"Origin": "null"}, 403),
        ("https://other.example", {"Origin": ORIGIN}, 403),
        (ORIGIN, {"Origin": ORIGIN}, 201),
        ("*", {"Origin": ORIGIN}, 201),
        ("", {"Origin": "https://krake.example", "Host": "krake.example"}, 201),
        ("", {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}, 201),
        ("", {}, 201),
    ],
)
async def test_changes_that_pages_of_others_send(serve_api: Serve, allowed: str, headers: dict[str, str], status: int) -> None:
    async with serve_api(authentication={"allow_anonymous": True, "cors_origin": allowed}) as http:
        # As a form sends it, which needs no preflight.
        answer = await http("POST", ROLES, json=sample(Role), headers={"Content-Type": "text/plain", **headers})
        assert answer.status == status, answer.text
        assert len((await http.get(ROLES)).json["items"]) == (status == 201)


async def test_figures_do_not_keep_the_server_busy(http: Http) -> None:
    texts = await asyncio.gather(*(http.get("/metrics") for _ in range(50)))
    assert all(text.status == 200 for text in texts)
    # Most of them got a text that was written for all who were waiting.
    assert len({text.text for text in texts}) < 10


async def test_readiness_in_detail(http: Http) -> None:
    text = (await http("GET", "/readyz?verbose", headers={"Accept": "*/*"})).text
    lines = text.splitlines()
    assert [line.split()[0] for line in lines] == [
        *(f"[+]{name}" for name in ("stopping", "store", "cache", "lag", "objects", "identity", "secrets")),
        "ready",
    ]
    answer = await http("GET", "/readyz?verbose", headers={"Accept": "application/json"})
    assert answer.json["status"] == "ready"
    assert all(check["passed"] for check in answer.json["checks"])


async def test_entries_that_are_no_objects_only_warn(http: Http, etcd_store: EtcdStore) -> None:
    await etcd_store.create(f"{Role.definition.prefix}broken", b"{")
    await until(lambda: exposes(http, 'krake_api_unreadable_objects{kind="Role"} 1.0'))
    answer = await http("GET", "/readyz?verbose", headers={"Accept": "text/plain"})
    assert answer.status == 200
    assert "[!]objects warning: 1 entries" in answer.text
    (entry,) = (await etcd_store.list(Role.definition.prefix)).entries
    await etcd_store.delete(entry.key, entry.revision)
    await until(lambda: exposes(http, 'krake_api_unreadable_objects{kind="Role"} 0.0'))


async def exposes(http: Http, line: str) -> bool:
    return line in (await http.get("/metrics")).text


async def test_values_of_unknown_parameters_are_not_logged(http: Http, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "krake.api"):
        await http.get(f"{ROLES}/missing?token=s3cret")
    assert "token=…" in caplog.text
    assert "s3cret" not in caplog.text
