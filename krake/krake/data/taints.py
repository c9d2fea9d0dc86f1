"""Taints of clusters, and what tolerates them."""

from krake.data.names import check_label_key, check_label_value, one_of
from krake.data.record import Record, field

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class Taint(Record):
    """Keeps applications away from a cluster that do not tolerate it, as the taints of Kubernetes's nodes keep Pods away.

    :param effect: ``NoSchedule`` keeps new ones away, ``PreferNoSchedule`` if there is another cluster, and ``NoExecute`` also
        those that are there.
    """

    key: str = field(validate=check_label_key, example="maintenance")
    value: str = field(default="", validate=check_label_value)
    effect: str = field(default="NoSchedule", validate=one_of(*_EFFECTS))

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


class Toleration(Record):
    """A taint that an application does not mind.

    :param key: of the taint; null is any, if the operator is ``Exists``.
    :param operator: ``Equal`` compares the value as well.
    :param effect: of the taint; null is any.
    """

    key: str | None = field(default=None, validate=check_label_key)
    operator: str = field(default="Equal", validate=one_of("Equal", "Exists"))
    value: str = field(default="", validate=check_label_value)
    effect: str | None = field(default=None, validate=one_of(*_EFFECTS))

    def problem(self) -> str | None:
        """Refuse what would tolerate everything by accident."""
        if self.key is None and self.operator == "Equal":
            return "A toleration without a key tolerates every taint; say so by the operator 'Exists'."
        return None

    def covers(self, taint: Taint) -> bool:
        """Whether it is about a taint."""
        same_key = self.key in (None, taint.key)
        same_value = self.operator == "Exists" or self.value == taint.value
        return same_key and same_value and self.effect in (None, taint.effect)
