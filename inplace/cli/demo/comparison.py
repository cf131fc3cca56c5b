"""Compares the two upgrades of the demo, side by side. Pure."""

from __future__ import annotations

import msgspec

from inplace.cli.demo.meter import Measurement, Requests
from inplace.cli.output.text import plural


class MethodResult(msgspec.Struct, frozen=True, rename="camel"):
    """What one method did. `writes`: API writes of the client that made the change, without those of the cluster itself."""

    measured: Measurement
    short: Requests
    kept_alive: Requests
    connections_closed: int
    writes: int


class DemoReport(msgspec.Struct, frozen=True, rename="camel"):
    """Schema version 1."""

    pods: int
    speed: float
    seed: int
    in_place: MethodResult
    classic: MethodResult
    v: int = 1
    simulated: bool = True


def as_lines(report: DemoReport) -> list[str]:
    rows = [("SIMULATED", "IN PLACE", "CLASSIC ROLLOUT"), *_rows(report)]
    return [*(f"{name:<30}{a:>14}{b:>18}" for name, a, b in rows), "", *_remarks(report)]


def _rows(report: DemoReport) -> list[tuple[str, str, str]]:
    a, b = report.in_place, report.classic
    x, y = a.measured, b.measured
    return [
        ("pods kept", _of(x.pods_kept, report.pods), _of(y.pods_kept, report.pods)),
        ("IPs kept", _of(x.ips_kept, report.pods), _of(y.ips_kept, report.pods)),
        ("pod-local volumes lost", str(x.volumes_lost), str(y.volumes_lost)),
        ("sidecars restarted", str(x.sidecars_restarted), str(y.sidecars_restarted)),
        ("app processes started cold", str(x.app_starts), str(y.app_starts)),
        ("failed on new connections", _failed(a.short), _failed(b.short)),
        ("failed on kept-alive ones", _failed(a.kept_alive), _failed(b.kept_alive)),
        ("time", f"{x.seconds:.1f}s", f"{y.seconds:.1f}s"),
        ("out of service, sum of pods", f"{x.out_of_service_seconds:.1f}s", f"{y.out_of_service_seconds:.1f}s"),
        ("pods at the peak", str(x.pods_at_peak), str(y.pods_at_peak)),
        ("API writes of the client", str(a.writes), str(b.writes)),
    ]


def _remarks(report: DemoReport) -> list[str]:
    x, y = report.in_place.measured, report.classic.measured
    lines = ["Either way, apps start cold and open connections end; in place, the pod stays."]
    extra = y.pods_at_peak - report.pods
    if y.seconds < x.seconds and extra > 0:
        lines.append(f"The rollout was faster: it ran {plural(extra, 'more pod')} at its peak. In place runs none.")
    lines.append("These apps lack a preStop hook: with 5s, a rollout fails no new connections.")
    return lines


def _of(count: int, total: int) -> str:
    return f"{count} of {total}"


def _failed(requests: Requests) -> str:
    return f"{requests.failed:,} of {requests.sent:,}"
