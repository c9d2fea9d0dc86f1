"""What a wire form is read for, and which fields are looked at then."""

from enum import Enum, auto

from krake.data.record import FieldInfo


class Purpose(Enum):
    """What a wire form is read for."""

    FULL = auto()
    """Everything, as a client reads what a server printed."""
    CREATE = auto()
    """A request to create: fields that the server owns and subresources are not looked at."""
    UPDATE = auto()
    """A request to change: fields that the server owns are not looked at, subresources may be left out."""

    def leaves_out(self, info: FieldInfo) -> bool:
        """Whether a field is not looked at."""
        if self is Purpose.FULL:
            return False
        return info.flags.readonly or (info.flags.subresource and self is Purpose.CREATE)
