"""What is counted is exposed, under names of its own, and nothing that a caller chose is a label."""

from pathlib import Path

from gateway.server.facts import Cutoff
from gateway.sidecar.metrics import FAMILIES, Metrics, Now, table
from gateway.telemetry import metrics as gateways

PAGE = Path(__file__).parents[3] / "docs" / "classifiers" / "sidecar.md"


def test_every_family_is_exposed_and_documented() -> None:
    """Under a name that the gateway doesn't use."""
    metrics = Metrics()
    metrics.watch(lambda: Now(held=3, draining=True))
    metrics.batch(4, [0.001] * 4, 0.02, failed=1)
    metrics.cutoff(Cutoff.BODY_LATE)
    metrics.request(200)
    text = metrics.render().decode()
    for family in FAMILIES:
        assert family.name.startswith("undertone_sidecar_")
        assert f"# TYPE {family.shown_name} {family.kind}" in text
        assert f"`{family.shown_name}`" in table()
    assert not {one.name for one in FAMILIES} & {one.name for one in gateways.FAMILIES}
    assert "undertone_sidecar_held_windows 3.0" in text
    assert "undertone_sidecar_draining 1.0" in text
    assert 'undertone_sidecar_cutoffs_total{reason="body_late"} 1.0' in text
    assert "undertone_sidecar_wait_seconds_count 4.0" in text
    assert table() in PAGE.read_text(encoding="utf-8")
