"""Shows the manifest of an application as it is meant for one cluster."""

from typing import TYPE_CHECKING

from krake.client.errors import NotFound

from rok.errors import Failure, Misuse
from rok.flags import Flags, flag
from rok.kinds import clusters
from rok.output import Result
from rok.place import Place
from rok.verbs import get_object

if TYPE_CHECKING:
    from rok.cells import Object
    from rok.verbs import Call

FLAGS: Flags = (
    flag(
        "--rendered", metavar="CLUSTER", help="show the manifest as it is meant for this cluster, with its overrides, in YAML"
    ),
)


def get_application(call: "Call") -> Result:
    """Read an application, or what becomes of its manifest on a cluster."""
    return render_for(call, call.args.rendered) if call.args.rendered else get_object(call)


def render_for(call: "Call", name: str) -> Result:
    """Return the objects of an application as they are meant for a cluster, without what Krake adds to all of them.

    Secrets are shown as far as the application shows them.

    :raises Failure: there is no such cluster, or an override does not fit the manifest.
    """
    import yaml
    from krake.data.overrides import InvalidOverride, Override, render

    if call.args.output == "name":
        raise Misuse("--rendered shows objects in full: leave out -o name")
    spec = call.session.get(call.place)["spec"]
    if not spec["manifest"]:
        raise Failure(f"application {call.args.name} has no manifest yet: wait until its template is translated")
    cluster = _cluster(call, name)
    overrides = [Override.restore(each) for each in spec.get("overrides") or []]
    try:
        objects = render(spec["manifest"], overrides, name, cluster["metadata"]["labels"])
    except InvalidOverride as error:
        raise Failure(str(error)) from None
    text = yaml.safe_dump_all(objects, sort_keys=False).rstrip("\n")
    return Result({"apiVersion": "v1", "kind": "List", "items": objects}, text=text)


def _cluster(call: "Call", name: str) -> "Object":
    try:
        return call.session.get(Place(clusters.VIEW.route, call.namespace, name))
    except NotFound:
        raise Failure(f"there is no cluster {name} in namespace {call.namespace}: look at 'rok kube cluster list'") from None
