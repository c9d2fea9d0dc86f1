"""Containers that hold one of several records and say which: ``{"type": "<t>", "<t>": {…}}``."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypeVar

from krake.data.record import Record, fields_of

V = TypeVar("V", bound=Record)


class Polymorphic(Record):
    """A container; its variants register by :meth:`variant`.

    The wire form holds exactly the named variant; data of other variants is dropped.
    """

    variants: ClassVar[dict[str, type[Record]]]

    value: Record

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.variants = {}

    @classmethod
    def variant(cls, name: str) -> Callable[[type[V]], type[V]]:
        """Register a record class as the variant called *name*."""

        def register(record: type[V]) -> type[V]:
            cls.variants[name] = record
            return record

        return register

    @property
    def type(self) -> str:
        """The name of the held variant."""
        return next(name for name, record in self.variants.items() if isinstance(self.value, record))

    def serialize(self) -> dict[str, Any]:
        """Return ``{"type": "<t>", "<t>": {…}}``."""
        return {"type": self.type, self.type: self.value.serialize()}

    @classmethod
    def restore(cls, data: Mapping[str, Any]) -> Self:
        """Return the container of a stored wire form; an unknown variant becomes the first one, empty."""
        name = data.get("type")
        if name not in cls.variants:
            name = next(iter(cls.variants))
        inner = data.get(name)
        return cls(value=cls.variants[name].restore(inner if isinstance(inner, Mapping) else {}))

    @classmethod
    def needs_data(cls, name: str) -> bool:
        """Whether the variant called *name* has any field, so that its key must be there."""
        return bool(fields_of(cls.variants[name]))
