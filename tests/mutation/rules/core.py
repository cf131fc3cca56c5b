"""Breaks of the main promises: the drain, the proof, the budget, the commit, the lock, the leader."""

from __future__ import annotations

from tests.mutation.edit import Mutant

ENGINE = "inplace/engine"

MUTANTS = (
    Mutant(
        "skip the slice check",
        "inplace/engine/pods/drain.py",
        '    return tuple(dict.fromkeys(e.service or "a Service" for e in facts.entries'
        " if e.ready and e.service not in ignored))",
        "    return ()",
        ("tests/unit/engine/pods/test_drain.py", "tests/unit/engine/pods/test_evidence.py"),
    ),
    Mutant(
        "drop the uid",
        "inplace/runtime/run/executor.py",
        'meta = {"uid": pod.uid, **({"resourceVersion": pod.resource_version} if version else {})}',
        'meta = {**({"resourceVersion": pod.resource_version} if version else {})}',
        ("tests/unit/runtime/run/test_executor.py",),
    ),
    Mutant(
        "retry an open blindly",
        "inplace/runtime/run/executor.py",
        "retries=not version or self._dry_run,",
        "retries=True,",
        ("tests/unit/runtime/run/test_executor.py",),
    ),
    Mutant(
        "take a leader's Lease over too early",
        "inplace/runtime/lease/leader_election.py",
        "now - self._seen_at >= LEASE_DURATION_SECONDS",
        "now - self._seen_at >= 9.0",
        ("tests/unit/runtime/lease/test_leader_election.py", "tests/properties/test_election.py"),
    ),
    Mutant(
        "count a leader's renewal from its answer",
        "inplace/runtime/lease/leader_election.py",
        "self._renewed_at = self._sent_at",
        "self._renewed_at = self._clock.monotonic()",
        ("tests/properties/test_election.py",),
    ),
    Mutant(
        "keep gates without leading",
        "inplace/runtime/gates/reconciler.py",
        "if self._fence is not None and not self._fence.is_safe:",
        "if False:",
        ("tests/unit/runtime/gates/test_several_rules.py",),
    ),
    Mutant(
        "write without asking the fence again",
        "inplace/kube/api.py",
        'if self.write_guard and request.method != "GET" and not self.write_guard():',
        "if False:",
        ("tests/unit/kube/test_api.py", "tests/unit/runtime/controller/test_manager.py"),
    ),
    Mutant(
        "refuse what has begun",
        "inplace/runtime/controller/admission.py",
        "case checks.Rejected(message=message) if owns_run(stored, rollout) and stored.is_active:",
        "case checks.Rejected(message=message) if False:",
        ("tests/scenarios/recovery/test_leaders.py",),
    ),
    Mutant(
        "percentages rounded up",
        "inplace/model/int_or_percent.py",
        "max(1, total * percent // 100)",
        "max(1, -(-total * percent // 100))",
        ("tests/unit/model/test_quantity.py",),
    ),
    Mutant(
        "unpause before updatedReplicas",
        "inplace/engine/workloads/template_last.py",
        "    return status.replicas > 0 and status.updated_replicas == status.replicas",
        "    return True",
        ("tests/unit/engine/workloads/test_template_last.py",),
    ),
    Mutant(
        "ignore the older twin",
        "inplace/engine/workloads/template_last.py",
        "if rs.metadata.uid != live.metadata.uid and same_template(rs.spec.template, wanted):",
        "if False and same_template(rs.spec.template, wanted):",
        ("tests/unit/engine/workloads/test_template_last.py", "tests/scenarios/workloads/test_commit.py"),
    ),
    Mutant(
        "no settled view",
        "inplace/engine/planning/scheduling.py",
        "    if agrees_since is None:",
        "    if agrees_since is None or timers.now < agrees_since + SETTLED_VIEW_SECONDS:\n"
        '        return ""\n    if agrees_since is None:',
        ("tests/unit/engine/planning/test_scheduling.py",),
    ),
    Mutant(
        "open on imageID",
        "inplace/engine/pods/proof.py",
        "not status.container_id or status.container_id == before.container_id:",
        "not status.image_id or status.image_id == before.image_id:",
        ("tests/unit/engine/pods/test_proof.py",),
    ),
    Mutant(
        "budget ignores unready pods",
        "inplace/engine/availability/budget.py",
        "    unavailable = max(0, max(desired, living) - unschedulable - available)",
        "    unavailable = in_flight",
        ("tests/unit/engine/availability/test_budget.py",),
    ),
    Mutant(
        "resume forgets the record",
        "inplace/engine/snapshot.py",
        "return ObservedPod(pod, read_record(pod), entries,",
        "return ObservedPod(pod, None, entries,",
        ("tests/unit/engine/pods/test_stages.py", "tests/simulation/test_upgrades.py"),
    ),
    Mutant(
        "give the strategy back before the controller counts every pod",
        "inplace/engine/workloads/template_first.py",
        "    if not run.keeps_template and kind.updated_replicas() < to_update - kind.blocked_replicas():",
        "    if False:",
        ("tests/unit/engine/workloads/test_template_first.py",),
    ),
    Mutant(
        "lower the partition before the controller counts the pods",
        "inplace/engine/kinds/stateful_set.py",
        "if not workload.is_observed or workload.status.updated_replicas < labelled:",
        "if not workload.is_observed:",
        ("tests/unit/engine/workloads/test_template_first.py",),
    ),
    Mutant(
        "take another run's Lease for one's own under a controller",
        "inplace/runtime/lease/lock.py",
        "return lease.spec.holder_identity == self.identity and read_run_id(lease) == run_id",
        "return lease.spec.holder_identity == self.identity",
        ("tests/unit/runtime/lease/test_lock.py",),
    ),
    Mutant(
        "forget what was asked of the leader before",
        "inplace/runtime/controller/reconciler.py",
        "                    if (request := read_request(lease)) is not None:",
        "                    if (request := None) is not None:",
        ("tests/scenarios/recovery/test_leaders.py",),
    ),
    Mutant(
        "change a template that nothing holds back",
        "inplace/engine/workloads/template_first.py",
        'HOLDABLE = ("RollingUpdate", "OnDelete")',
        'HOLDABLE = ("RollingUpdate", "OnDelete", "Recreate")',
        ("tests/unit/engine/workloads/test_template_first.py",),
    ),
    Mutant(
        "say only in the query that a delete is a dry run",
        "inplace/kube/api.py",
        '            options["dryRun"] = ["All"]',
        "            pass",
        ("tests/unit/kube/test_api.py",),
    ),
)
