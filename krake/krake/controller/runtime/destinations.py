"""The settings of where users may send a controller, which all that ask for users have alike."""

from krake.data.destinations import DENIED, Destinations, check_destinations
from krake.data.names import at_least
from krake.data.record import Record, field


class DestinationsConfig(Record):
    """Where what namespaces declare may lead.

    :param allow: networks, addresses and names of hosts that it may lead to though they are denied.
    :param deny: likewise, that it must not lead to. What administrators declare for all namespaces may lead anywhere.
    """

    allow: list[str] = field(factory=list, validate=check_destinations)
    deny: list[str] = field(factory=lambda: list(DENIED), validate=check_destinations)

    @property
    def destinations(self) -> Destinations:
        """Where it may lead."""
        return Destinations(self.allow, self.deny)


class AskingConfig(DestinationsConfig):
    """How services that namespaces declare are asked.

    :param timeout: seconds that one may take to answer.
    """

    timeout: float = field(default=20.0, validate=at_least(0.1))
