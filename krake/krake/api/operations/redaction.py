"""What of a request may be written down. Pure."""

from urllib.parse import parse_qsl, quote

_HARMLESS = frozenset(
    (
        "watch",
        "heartbeat",
        "resource_version",
        "bookmarks",
        "limit",
        "continue",
        "label_selector",
        "blocking",
        "force",
        "cascade",
    )
)
_LONGEST = 1024


def redact(path: str) -> str:
    """Return a raw path whose query shows the values only of parameters that Krake knows: others may be secrets."""
    before, mark, query = path.partition("?")
    if mark:
        parameters = parse_qsl(query, keep_blank_values=True, errors="replace")
        before += "?" + "&".join(_shown(name, value) for name, value in parameters)
    return shorten(before)


def shorten(text: str, longest: int = _LONGEST) -> str:
    """Return a text that is not longer than *longest* characters and a mark."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def _shown(name: str, value: str) -> str:
    if name not in _HARMLESS:
        return f"{quote(name)}=…" if value else "…"
    return f"{name}={quote(value)}" if value else name
