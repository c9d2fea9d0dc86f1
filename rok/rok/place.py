"""Where an object is."""

from dataclasses import dataclass

from krake.client.wire import Route


@dataclass(frozen=True)
class Place:
    """Names an object of the API; *namespace* is ``None`` for kinds without namespaces."""

    route: Route
    namespace: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.route.plural.removesuffix('s')} {self.name}"
