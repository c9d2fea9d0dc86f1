"""Nobody collects the credentials of clouds by saying where the infrastructure provider is that they are told to."""

from collections.abc import Iterator

from krake.api.authorization.authorizers import Authorizer
from krake.api.authorization.rules import Permission
from krake.api.cache import Cache
from krake.api.problem import Problem
from krake.data.infrastructure import (
    Cloud,
    GlobalCloud,
    GlobalInfrastructureProvider,
    InfrastructureProvider,
    InfrastructureProviderRef,
)
from krake.data.kinds import Resource
from krake.data.metadata import Verb
from krake.data.secrets import destinations_of, secrets_of


class Redirection:
    """Checks changes of providers against the clouds whose credentials they get; their own are checked elsewhere."""

    def __init__(self, authorizer: Authorizer, cache: Cache) -> None:
        self._authorizer = authorizer
        self._cache = cache

    def check(self, user: str, old: Resource | None, new: Resource) -> None:
        """Refuse to say anew where a provider is, unless *user* may see the secrets of the clouds that name it.

        :param old: ``None`` for a new provider, which may take the name of one that clouds still name.
        :raises Problem: 403, saying whose.
        """
        if not isinstance(new, InfrastructureProvider | GlobalInfrastructureProvider):
            return
        if old is not None and destinations_of(old) == destinations_of(new):
            return
        for cloud in self._clouds_of(new):
            kind = cloud.definition
            permission = Permission(kind.api, (f"{kind.plural}/secrets",), Verb.get, cloud.metadata.namespace)
            if secrets_of(type(cloud), cloud.serialize()) and not self._authorizer.allows(user, permission):
                raise Problem(
                    403,
                    f"User '{user}' may not say where {new.ref} is, which is told the credentials of {cloud.ref}: that needs"
                    f" the permission to {permission}; or take another name, and let the cloud name that.",
                )

    def _clouds_of(self, provider: InfrastructureProvider | GlobalInfrastructureProvider) -> Iterator[Cloud | GlobalCloud]:
        """Yield the clouds that name a provider; those of namespaces may name a global one."""
        namespace = provider.metadata.namespace
        ref = InfrastructureProviderRef(name=provider.metadata.name, namespaced=namespace is not None)
        for kind in (Cloud, GlobalCloud) if namespace is None else (Cloud,):
            for item in self._cache[kind].select(kind.definition.prefix_of(namespace)):
                cloud = item.record
                if isinstance(cloud, Cloud | GlobalCloud) and cloud.spec.infrastructure_provider == ref:
                    yield cloud
