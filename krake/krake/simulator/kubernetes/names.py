"""Which names, labels and annotations the API accepts, and how it words what it refuses."""

import re
from typing import Any

from krake.simulator.kubernetes.kinds import Kind
from krake.simulator.kubernetes.status import Cause, invalid_value, required

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_DNS_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_QUALIFIED})?"

_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_DNS_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    f"'{_DNS_1035}')"
)
_QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{_QUALIFIED}')"
)
_MANY_PARTS_RULE = (
    "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{_QUALIFIED}') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{_VALUE}')"
)

# The names of these kinds become host names or path segments, with rules of their own.
_RULES: dict[str, tuple[str, int, str]] = {
    "namespaces": (_LABEL, 63, _LABEL_RULE),
    "services": (_DNS_1035, 63, _DNS_1035_RULE),
}
_PATH_NAMES = "rbac.authorization.k8s.io"


def check_name(kind: Kind, name: str, field: str = "metadata.name") -> list[Cause]:
    """What is wrong with the name of an object."""
    if kind.group == _PATH_NAMES:
        if name in (".", ".."):
            return [invalid_value(field, name, f"may not be '{name}'")]
        return [invalid_value(field, name, f"may not contain '{char}'") for char in "/%" if char in name]
    pattern, limit, rule = _RULES.get(kind.resource, (_SUBDOMAIN, 253, _SUBDOMAIN_RULE))
    causes = []
    if len(name) > limit:
        causes.append(invalid_value(field, name, f"must be no more than {limit} characters"))
    if not re.fullmatch(pattern, name):
        causes.append(invalid_value(field, name, rule))
    return causes


def check_part_name(name: Any, field: str) -> list[Cause]:
    """What is wrong with the name of a container or of a volume."""
    if not name:
        return [required(field)]
    if not isinstance(name, str) or not re.fullmatch(_LABEL, name):
        return [invalid_value(field, name, _LABEL_RULE)]
    return [] if len(name) <= 63 else [invalid_value(field, name, "must be no more than 63 characters")]


def check_labels(labels: Any, field: str) -> list[Cause]:
    """What is wrong with a map of labels."""
    causes: list[Cause] = []
    for key, value in (labels or {}).items():
        causes += _check_key(key, field)
        if len(value) > 63:
            causes.append(invalid_value(field, value, "must be no more than 63 characters"))
        if not re.fullmatch(_VALUE, value):
            causes.append(invalid_value(field, value, _VALUE_RULE))
    return causes


def check_annotations(annotations: Any, field: str) -> list[Cause]:
    return [cause for key in annotations or {} for cause in _check_key(key.lower(), field)]


def _check_key(key: str, field: str) -> list[Cause]:
    if key.count("/") > 1:
        return [invalid_value(field, key, _MANY_PARTS_RULE)]
    prefix, slash, name = key.rpartition("/")
    causes = []
    if slash and not re.fullmatch(_SUBDOMAIN, prefix):
        causes.append(invalid_value(field, key, f"prefix part {_SUBDOMAIN_RULE}"))
    if not name:
        causes.append(invalid_value(field, key, "name part must be non-empty"))
    elif len(name) > 63:
        causes.append(invalid_value(field, key, "name part must be no more than 63 characters"))
    elif not re.fullmatch(_QUALIFIED, name):
        causes.append(invalid_value(field, key, _QUALIFIED_RULE))
    return causes
