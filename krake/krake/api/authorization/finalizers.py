"""Who may take Krake's own finalizers from an object: what they stand for would never be cleaned up otherwise."""

from krake.api.authorization.authorizers import Authorizer
from krake.api.authorization.rules import Permission
from krake.api.problem import Problem
from krake.data.kinds import Resource
from krake.data.metadata import (
    CASCADE_DELETION,
    INFRASTRUCTURE_RESOURCES_DELETION,
    KUBERNETES_RESOURCES_DELETION,
    MAGNUM_CLUSTER_DELETION,
    Verb,
)

_OURS = {CASCADE_DELETION, KUBERNETES_RESOURCES_DELETION, MAGNUM_CLUSTER_DELETION, INFRASTRUCTURE_RESOURCES_DELETION}


def check_finalizers(authorizer: Authorizer, user: str, old: Resource, new: Resource) -> None:
    """Refuse to take a finalizer of Krake away, unless *user* is a controller or may delete the object by force anyway.

    Controllers are known by what all roles that were ever shipped for them have: to write the status, or to delete.

    :raises Problem: 403.
    """
    removed = sorted(_OURS & set(old.metadata.finalizers) - set(new.metadata.finalizers))
    if not removed:
        return
    kind, namespace = old.definition, old.metadata.namespace
    trusted = Permission(kind.api, (f"{kind.plural}/finalizers", f"{kind.plural}/status"), Verb.update, namespace)
    deleting = Permission(kind.api, (kind.plural,), Verb.delete, namespace)
    if not any(authorizer.allows(user, each) for each in (trusted, deleting)):
        raise Problem(
            403,
            f"User '{user}' may not take the finalizer '{removed[0]}' from {old.ref}: that needs the permission to {trusted}, "
            f"or to {deleting}.",
        )
