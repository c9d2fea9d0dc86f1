"""Tells people why something is where it is: a decision as tables and sentences, a history as a table. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from rok import cells
from rok.cells import Object, dig
from rok.output import BAD, GOOD, RESET, Screen
from rok.table import Paint, draw

ROOMY = 100
"""Columns of a screen on which bars get a column of their own."""
LONG_BAR, SHORT_BAR = 20, 8
FEW = 3
"""So many refused by one rule are listed one by one."""
NAMED = 5
"""So many of more are named."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def explain(subject: str, decision: Object, screen: Screen, *, remark: str | None = None) -> str:
    """Return what is to be said about a decision.

    :param subject: how the reader calls what was decided about.
    :param remark: what has come of the decision.
    """
    candidates = _mappings(decision.get("candidates"))
    fitting = sorted((each for each in candidates if not each.get("rule")), key=lambda each: _rank(each, decision))
    refused = [each for each in candidates if each.get("rule")]
    parts = [
        "\n".join([*_introduce(subject, decision), *([remark] if remark else [])]),
        _draw_fitting(fitting, decision, screen) if fitting else "",
        "\n".join([*_count_untold(decision, fitting), *_tell_notes(fitting)]),
        _draw_refused(refused, decision, screen) if refused else "",
        "\n".join(_tell_counterfactuals(decision)),
    ]
    return "\n\n".join(part for part in parts if part)


def tell_history(decisions: Sequence[Object], screen: Screen) -> str:
    """Return a table of decisions, the latest last.

    :param decisions: the latest first.
    """
    header = ("since", "from", "to", "why", "fitting")
    rows = [
        (
            cells.time(each.get("since")),
            _name(each.get("former")),
            _name(each.get("choice")) if _moves(each) else "(stays)",
            _tell_why(each),
            f"{_number_fitting(each)} of {each.get('considered') or 0}",
        )
        for each in reversed(decisions)
    ]
    return draw(rows, header=header, limit=screen.width)


def _tell_why(decision: Object) -> str:
    why = str(decision.get("cause") or decision.get("message") or "")
    return f"{why} (Waits: {decision['waits']})" if decision.get("waits") else why


def _introduce(subject: str, decision: Object) -> Iterator[str]:
    choice, former = decision.get("choice"), decision.get("former")
    message = str(decision.get("message") or "")
    waits = decision.get("waits")
    if waits and choice is not None:
        yield f"{subject} is to go to {_kind(choice)} {_name(choice)}: {message}"
    elif choice is not None:
        yield f"{subject} is placed on {_kind(choice)} {_name(choice)}: {message}"
    elif not _moves(decision):
        yield f"{subject} stays on {_kind(former)} {_name(former)}: {message}"
    else:
        yield f"{subject} is placed nowhere: {message}"
    if decision.get("concern"):
        yield f"It had better leave: {decision['concern']}"
    if waits:
        yield f"It is not carried out yet: {waits}"
    if decision.get("cause") and former is not None:
        yield f"It {'leaves' if waits else 'left'} {_kind(former)} {_name(former)}: {decision['cause']}"
    yield f"Decided on {cells.time(decision.get('since'))}, with the numbers of {cells.time(decision.get('time'))} (UTC)."


def _moves(decision: Object) -> bool:
    """Whether something went elsewhere by a decision, or nowhere, or came."""
    choice, former = decision.get("choice"), decision.get("former")
    return former is None or (choice != former and (choice is not None or decision.get("ground") == "LOST"))


def _rank(candidate: Object, decision: Object) -> tuple[Any, ...]:
    """Return what the best candidates have the least of; of equal ones the choice comes first."""
    score = candidate.get("score")
    return (
        candidate.get("avoided") or 0,
        not candidate.get("measured"),
        -score if isinstance(score, (int, float)) else 0.0,
        candidate.get("place") != decision.get("choice"),
        _name(candidate.get("place")),
    )


def _draw_fitting(fitting: Sequence[Object], decision: Object, screen: Screen) -> str:
    roomy = screen.width is None or screen.width >= ROOMY
    longest = max(1.0, *(float(each.get("score") or 0.0) for each in fitting))
    rows: list[list[str]] = []
    chosen: set[int] = set()
    for each in fitting:
        share = float(each.get("score") or 0.0) / longest
        bar = _bar(share, LONG_BAR if roomy else SHORT_BAR, plain=screen.width is None)
        more = [list(row) for row in _fitting_rows(each, decision, bar, roomy=roomy)]
        if each.get("place") == decision.get("choice"):
            chosen = set(range(len(rows), len(rows) + len(more)))
        rows += more
    header = [_kind(fitting[0].get("place")), "score", *(["bar"] if roomy else []), "metric", "raw", "value", "weight", "age"]
    return draw(rows, header=header, limit=screen.width, paint=_paint_rows(chosen, GOOD) if screen.colours else None)


def _fitting_rows(candidate: Object, decision: Object, bar: str, *, roomy: bool) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a candidate, one for each term of its score; what it is stands in the first two."""
    place = candidate.get("place")
    mark = "(choice)" if place == decision.get("choice") else "(was here)" if place == decision.get("former") else ""
    score = f"{float(candidate.get('score') or 0.0):.4f}"
    heads = [(_name(place), score, bar), (mark, "", "")] if roomy else [(_name(place), score), (mark, bar)]
    terms = list(_terms(candidate))
    nothing, no_term = ("",) * len(heads[0]), ("",) * 5
    for head, term in zip_longest(heads, terms):
        row = (*(head or nothing), *(term or no_term))
        if any(row):
            yield row


def _terms(candidate: Object) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield name, raw value, normalised value, weight and age of each term of a score."""
    for metric in _mappings(candidate.get("metrics")):
        if metric.get("raw") is None:
            yield str(metric.get("name")), "-", "-", "-", "-"
        else:
            raw, value, weight = (_short(metric.get(name)) for name in ("raw", "value", "weight"))
            yield str(metric.get("name")), raw, value, weight, _age(metric.get("age"))
    if candidate.get("stickiness"):
        yield "(stickiness)", "", "1", _short(candidate.get("stickiness")), ""


def _tell_notes(fitting: Iterable[Object]) -> Iterator[str]:
    for each in fitting:
        name, metrics = _name(each.get("place")), _mappings(each.get("metrics"))
        if each.get("avoided"):
            yield f"{name}: It is to be avoided, if there is another one that fits."
        yield from (f"{name}: {metric.get('name')}: {metric['note']}" for metric in metrics if metric.get("note"))
        if each.get("note") and not any(metric.get("raw") is None and metric.get("note") for metric in metrics):
            yield f"{name}: {each['note']}"


def _count_untold(decision: Object, fitting: Sequence[Object]) -> Iterator[str]:
    untold = _number_fitting(decision) - len(fitting)
    if untold > 0:
        yield f"{untold} more fit, with lower scores."


def _draw_refused(refused: Sequence[Object], decision: Object, screen: Screen) -> str:
    rows: list[tuple[str, str, str]] = []
    for rule, number in (decision.get("refused") or {}).items():
        told = [each for each in refused if each.get("rule") == rule]
        if len(told) == number <= FEW:
            rows += [(rule, _name(each.get("place")), str(each.get("message") or "")) for each in told]
        elif told:
            named = [_name(each.get("place")) for each in told[:NAMED]]
            more = [f"and {number - len(named)} more"] if number > len(named) else []
            rows.append((rule, ", ".join([*named, *more]), f"{named[0]}: {told[0].get('message')}"))
        else:
            rows.append((rule, f"{number} of them", ""))
    paint = _paint_column(0, BAD) if screen.colours else None
    return draw(rows, header=("refused by", _kind(refused[0].get("place")), "why"), limit=screen.width, paint=paint)


def _tell_counterfactuals(decision: Object) -> Iterator[str]:
    for each in _mappings(decision.get("counterfactuals")):
        conditions = " or ".join(_tell_conditions(_mappings(each.get("conditions"))))
        if conditions:
            yield f"{_name(each.get('place'))} would win if {conditions}."


_RELATIONS = {"<=": "≤", ">=": "≥"}


def _tell_conditions(conditions: Iterable[Object]) -> Iterator[str]:
    """Yield each condition in words; whose weight is meant is not repeated where the sentence has just named the metric."""
    named = None
    for each in conditions:
        metric, relation = each.get("metric"), str(each.get("relation"))
        present = "" if each.get("present") is None else f" (it is {_short(each['present'])})"
        what = str(metric)
        if each.get("of") == "weight":
            what = "its weight" if metric == named else f"the weight of {metric}"
        named = metric
        yield f"{what} were {_RELATIONS.get(relation, relation)} {_exact(each.get('bound'))}{present}"


def _bar(share: float, width: int, *, plain: bool) -> str:
    """Return a bar that takes a share (0..1) of *width* columns."""
    share = min(max(share, 0.0), 1.0)
    if plain:
        return "#" * round(share * width)
    eighths = round(share * width * 8)
    return (_EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8]).strip()


def _paint_rows(rows: set[int], colour: str) -> Paint:
    return lambda row, column, text: f"{colour}{text}{RESET}" if row in rows and text.strip() else text


def _paint_column(which: int, colour: str) -> Paint:
    return lambda row, column, text: f"{colour}{text}{RESET}" if column == which and text.strip() else text


def _number_fitting(decision: Object) -> int:
    refused = decision.get("refused") or {}
    return int(decision.get("considered") or 0) - sum(int(number) for number in refused.values())


def _mappings(value: Any) -> list[Object]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _name(place: Any) -> str:
    return str(dig(place, "name") or "-")


def _kind(place: Any) -> str:
    return str(dig(place, "kind") or "candidate").lower()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else "-"


def _exact(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, (int, float)) else "-"


def _age(value: Any) -> str:
    return f"{value:.0f} s" if isinstance(value, (int, float)) else "-"
