"""What applications say about clusters that do not fit stays short, whatever users have written into these."""

from dataclasses import replace

from unit.scheduler.worlds import NOW, make_app, make_candidate

from krake.controller.scheduler.deciding.decide import decide
from krake.controller.scheduler.deciding.snapshot import Snapshot
from krake.controller.scheduler.explaining.explanation import reason_to_wait


def test_a_reason_can_be_stored_however_much_a_cluster_tells_of_itself() -> None:
    served = [f"resource-{number}.example.com" for number in range(1000)]
    clusters = tuple(make_candidate(f"c{number}", custom_resources=served) for number in range(20))
    app = make_app()
    cluster = replace(app.spec.constraints.cluster, custom_resources=["missing.example.com"])
    app = replace(app, spec=replace(app.spec, constraints=replace(app.spec.constraints, cluster=cluster)))
    reason = reason_to_wait(decide(app, Snapshot(NOW, clusters)))
    assert "missing.example.com" in reason.message
    assert "(and 10 more)" in reason.message
    assert len(reason.message) < 5000
