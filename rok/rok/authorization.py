"""The commands that tell who the user is for Krake, and what that user may do."""

from krake.client import wire

from rok import flags
from rok.cells import Object, cell
from rok.errors import Failure, Misuse
from rok.flags import Flags
from rok.output import Result, View
from rok.verbs import Call

VERBS = {
    **{verb: verb for verb in ("create", "list", "get", "update", "delete")},
    # As the words of those who know Kubernetes.
    "watch": "list",
    "patch": "update",
}

_ROUTE = wire.Route("core", "authorizations", True)


def _lines(values: object) -> str:
    """Write a list of names; the empty one stands for all."""
    return ", ".join(name or "*" for name in values) if isinstance(values, list) else "None"


USER = View(_ROUTE, "User", (), (cell("user", "user"), cell("roles", "roles", _lines)))
RULES = View(
    _ROUTE,
    "Rule",
    (
        cell("api", "api", lambda api: api or "*"),
        cell("resources", "resources", _lines),
        cell("namespaces", "namespaces", _lines),
        cell("verbs", "verbs", _lines),
    ),
    (),
)

FLAGS: Flags = (
    flags.flag(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="format of the output (default: table)"
    ),
    flags.CONFIG,
)
ASK_FLAGS: Flags = (
    flags.flag("verb", nargs="?", choices=tuple(VERBS), metavar="VERB", help=", ".join(VERBS)),
    flags.flag("kind", nargs="?", metavar="RESOURCE", help="for example applications or applications/status; '*' is all"),
    flags.NAMESPACE,
    flags.switch("-a", "--all", "--all-namespaces", help="ask about all namespaces"),
    flags.switch("--list", help="list all rules that allow you something"),
    *FLAGS,
)


def who_am_i(call: Call) -> Result:
    """Show the name and the roles of the user."""
    return Result(_told(call, wire.who_am_i(), "user"))


def can_i(call: Call) -> Result:
    """Answer yes or no; the exit status of no is 1."""
    if call.args.list:
        return Result(_told(call, wire.list_rules(), "rules")["rules"])
    if call.args.verb is None or call.args.kind is None:
        raise Misuse("can-i needs a VERB and a RESOURCE: write for example can-i create applications")
    api, resource = _resource(call.args.kind)
    namespace = None if call.args.all else call.namespace
    verdict = _told(call, wire.review(api, resource, VERBS[call.args.verb], namespace), "allowed")
    allowed = verdict["allowed"] is True
    return Result(verdict, text="yes" if allowed else f"no: {verdict.get('reason')}", status=0 if allowed else 1)


def _told(call: Call, request: wire.Request, key: str) -> Object:
    answer: Object | None = call.session.send(request)
    if answer is None or key not in answer:
        raise Failure("the answer is not from Krake: check api_url in rok.yaml")
    return answer


def _resource(text: str) -> tuple[str, str]:
    """Return the API and the name of what the user calls *text*."""
    if text == "*":
        return "", ""
    from krake.data import KINDS

    name, slash, sub = text.partition("/")
    name, dot, api = name.partition(".")
    for kind in (each.definition for each in KINDS.values()):
        if name.lower() in (kind.plural, kind.name.lower()) and api in ("", kind.api):
            return kind.api, f"{kind.plural}{slash}{sub}"
    if dot:
        return api, f"{name}{slash}{sub}"
    raise Misuse(f"there is no resource {text!r}: write for example applications, applications/status, or RESOURCE.API")
