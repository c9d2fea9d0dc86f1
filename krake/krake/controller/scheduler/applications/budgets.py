"""Who may not be moved for now, because too many of its like are on their way or out of order already. Pure."""

from krake.controller.scheduler.deciding.ledger import Ledger
from krake.data.kubernetes import Application


def exceed(app: Application, ledger: Ledger) -> str | None:
    """Return why it would be too much to move an application now, or nothing.

    Only those are asked that could stay as well: a lost cluster, or a user who changes the application, is no matter of choice.
    """
    budget = app.spec.constraints.disruption_budget
    if budget is None:
        return None
    group = ledger.members(app.metadata.namespace, tuple(budget.labels))
    others = sorted(tenant.key.name for tenant in group if tenant.key != app.key and not tenant.available)
    if len(others) < budget.max_unavailable:
        return None
    if not others:
        return "Its disruption budget lets it not be moved at all."
    listed = ", ".join(others[:3]) + (" …" if len(others) > 3 else "")
    return f"Its disruption budget lets {budget.max_unavailable} be unavailable at once, and {len(others)} are: {listed}."
