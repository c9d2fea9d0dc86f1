"""Tells people what the scheduler would do: a plan as tables. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rok.cells import Object, dig
from rok.explanation import explain
from rok.output import Screen
from rok.table import draw


def predict(status: Object, screen: Screen) -> str:
    """Return what is to be said about the status of a plan."""
    parts = [
        "\n".join(_summarize(status)),
        _draw_moves(status, screen),
        _draw_misfits(status, screen),
        _draw_totals(status, screen),
        *(explain(f"application {name}", each, screen) for name, each in (status.get("decisions") or {}).items()),
    ]
    return "\n\n".join(part for part in parts if part)


def _summarize(status: Object) -> Iterator[str]:
    unfit = status.get("unfit") or 0
    apps, clusters = _count(status.get("applications"), "application"), _count(status.get("clusters"), "cluster")
    nowhere = f"; no cluster would fit {_count(unfit, 'application')}" if unfit else ""
    yield f"Of {apps} and {clusters}: {_sum_up_moves(status)}{nowhere}."
    if not status.get("settled"):
        yield "They would never come to rest: shown is where they are after a while. Raise the stickiness of the scheduler."


def _sum_up_moves(status: Object) -> str:
    moving, moves = status.get("moving") or 0, status.get("moves") or []
    # Of moves that are not listed it is not known whether they are of newcomers.
    new = sum(1 for each in moves if each.get("former") is None) if len(moves) == moving else 0
    placed = [f"{_count(new, 'application')} would be placed"] if new else []
    moved = [f"{_count(moving - new, 'application')} would go elsewhere"] if moving > new else []
    return ", ".join([*placed, *moved]) or "nothing would move"


def _count(number: Any, what: str) -> str:
    return f"{number or 0} {what}{'' if number == 1 else 's'}"


def _draw_moves(status: Object, screen: Screen) -> str:
    moves = status.get("moves") or []
    rows = [
        (
            str(each.get("application")),
            _place(each.get("former")),
            _place(each.get("choice")),
            _after(each),
            str(each.get("why")),
        )
        for each in moves
    ]
    return _draw(("application", "from", "to", "after", "why"), rows, status.get("moving"), screen)


def _after(move: Object) -> str:
    seconds = move.get("after") or 0
    return f"{seconds:.0f} s" if seconds else "at once"


def _draw_misfits(status: Object, screen: Screen) -> str:
    misfits = status.get("misfits") or []
    rows = [(str(each.get("application")), _place(each.get("place")), str(each.get("why"))) for each in misfits]
    return _draw(("does not fit", "stays on", "why"), rows, status.get("unfit"), screen)


def _draw(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], number: Any, screen: Screen) -> str:
    if not rows:
        return ""
    table = draw(rows, header=header, limit=screen.width)
    more = (number or 0) - len(rows)
    return f"{table}\n(and {more} more)" if more > 0 else table


def _draw_totals(status: Object, screen: Screen) -> str:
    compared = dict(status.get("metrics") or {})
    rows = [(name, *_numbers(each)) for name, each in compared.items()]
    if status.get("score"):
        rows.append(("(score)", *_numbers(status["score"])))
    if not rows:
        return ""
    return draw(rows, header=("metric", "mean before", "mean after", "sum before", "sum after", "change"), limit=screen.width)


def _numbers(comparison: Mapping[str, Any]) -> tuple[str, ...]:
    before, after = dig(comparison, "before.sum") or 0.0, dig(comparison, "after.sum") or 0.0
    means = (dig(comparison, "before.mean"), dig(comparison, "after.mean"))
    share = f" ({(after - before) / abs(before):+.1%})" if before else ""
    return (
        *(f"{each:.4g}" if each is not None else "" for each in means),
        f"{before:.4g}",
        f"{after:.4g}",
        f"{after - before:+.4g}{share}",
    )


def _place(name: Any) -> str:
    return "(nowhere)" if name is None else str(name)
