"""Everything that is wrong without asking a cluster: exit code 2, one line, no request."""

import click
import pytest

from inplace.cli.common.options import run_options
from tests.cli.fakes import Command, FakeServer

IMAGE = "app=repo/app:2"

WRONG: list[tuple[str, str]] = [
    ("lisst", "no such command 'lisst'. Did you mean list?"),
    ("stat", "no such command 'stat'. Did you mean status?"),
    ("rollback deploy/web", "no such command 'rollback'. Did you mean undo or abort?"),
    ("get", "no such command 'get'. Did you mean list or status?"),
    ("xyzzy", "no such command 'xyzzy' (see `inplace --help`)"),
    ("gate rnu", "no such command 'rnu'. Did you mean 'run'?"),
    ("upgrade", "TARGET is missing: write deploy/NAME, sts/NAME, ds/NAME, rs/NAME, pod/NAME... or pods -l SELECTOR"),
    (f"upgrade {IMAGE}", "TARGET is missing: "),
    (f"upgrade web {IMAGE}", "say which kind 'web' is, such as deploy/web: "),
    (f"upgrade job/web {IMAGE}", "a Job's pods run once and are not upgraded: "),
    (f"upgrade cronjob/web {IMAGE}", "a Job's pods run once and are not upgraded: "),
    (f"upgrade cloneset/web {IMAGE}", "OpenKruise upgrades a cloneset in place itself: change the image there "),
    (f"upgrade sts.apps.kruise.io/web {IMAGE}", "OpenKruise upgrades a sts in place itself: change the image there "),
    (f"upgrade rollout/web {IMAGE}", "Argo Rollouts manages a rollout: change the image there "),
    ("status rollouts.argoproj.io web", "Argo Rollouts manages a rollout: "),
    (f"upgrade svc/web {IMAGE}", "unknown kind 'svc'; use deploy, sts, ds, rs or pod (see"),
    (f"upgrade deplyo/web {IMAGE}", "unknown kind 'deplyo'; use deploy, sts, ds, rs or pod. Did you mean deploy?"),
    ("status statefullset web", "unknown kind 'statefullset'; use deploy, sts, ds, rs or pod. Did you mean statefulset?"),
    (f"upgrade deployments.batch/web {IMAGE}", "unknown kind 'deployments.batch'; use "),
    (f"upgrade deploy/ {IMAGE}", "'' is not the name of a Kubernetes object"),
    (f"upgrade deploy/Web_1 {IMAGE}", "'Web_1' is not the name of a Kubernetes object"),
    (f"upgrade deploy/a/b {IMAGE}", "'a/b' is not the name of a Kubernetes object"),
    (f"upgrade deploy/web deploy/api {IMAGE}", "one target at a time: 'deploy/web deploy/api' names several"),
    (f"upgrade deploy web api {IMAGE}", "one target at a time: "),
    (f"upgrade pod/a deploy/b {IMAGE}", "one target at a time: "),
    (f"upgrade pod/a b {IMAGE}", "'b' is neither TYPE/NAME nor CONTAINER=IMAGE"),
    ("upgrade deploy/web app:2", "'app:2' is not CONTAINER=IMAGE; did you mean app=REPOSITORY:2?"),
    ("upgrade deploy web app:2", "'app:2' is not CONTAINER=IMAGE; did you mean app=REPOSITORY:2?"),
    (
        "plan deploy/web reg.example/app:2",
        "'reg.example/app:2' is not CONTAINER=IMAGE; did you mean CONTAINER=reg.example/app:2?",
    ),
    ("plan deploy/web repo/app", "'repo/app' is not CONTAINER=IMAGE; did you mean CONTAINER=repo/app?"),
    (f"upgrade deploy/web {IMAGE} --dry-run", "option '--dry-run' requires an argument (see `inplace upgrade --help`)"),
    (f"upgrade pods pod/a {IMAGE}", "'pod/a': write TYPE NAME or TYPE/NAME, not both"),
    (f"upgrade pod/a pod/a {IMAGE}", "'a' is named twice"),
    (f"upgrade pods {IMAGE}", "say which pods: by name, or by label with -l"),
    (f"upgrade deploy -l app=web {IMAGE}", "say which Deployment, as deploy/NAME: one target at a time"),
    (f"upgrade deploy/web -l app=web {IMAGE}", "a selector and names cannot be combined"),
    (f"upgrade pods -l app==,, {IMAGE}", "'app==,,' is no label selector: write it like app=web,tier!=test"),
    (f"upgrade deploy/web {IMAGE} pod/a", "'pod/a' comes after an image: name the target first, then CONTAINER=IMAGE"),
    (f"upgrade deploy/web {IMAGE} app=repo/app:3", "container 'app' has two images"),
    ("upgrade deploy/web app=", "'app=': the image is empty: write it like registry.example/app:1.5"),
    ("upgrade deploy/web =repo/app:2", "'=repo/app:2' is not CONTAINER=IMAGE: '' is not a container name"),
    ("upgrade deploy/web App=repo/app:2", "'App=repo/app:2' is not CONTAINER=IMAGE: 'App' is not a container name"),
    ("upgrade deploy/web app=repo/app:2=3", "'app=repo/app:2=3': the image has no valid tag after the colon ('2=3')"),
    (
        "upgrade deploy/web app=127.0.0.1:5055/APP:2",
        "'app=127.0.0.1:5055/APP:2': the image has a repository that is not in lower",
    ),
    ("plan deploy/web app=app@sha256:abc", "'app=app@sha256:abc': the image has a digest that is not 64 hexadecimal digits"),
    (f"upgrade deploy/web {IMAGE} --foo", "no such option '--foo'"),
    (f"upgrade deploy/web {IMAGE} -n A_b", "invalid value for '-n' / '--namespace': 'A_b' is not a namespace name"),
    (f"upgrade deploy/web {IMAGE} --max-unavailable 0", "invalid value for '--max-unavailable': with 0 no pod"),
    (f"upgrade deploy/web {IMAGE} --max-unavailable 0%", "invalid value for '--max-unavailable': with 0 no pod"),
    (f"upgrade deploy/web {IMAGE} --max-unavailable 101%", "invalid value for '--max-unavailable': '101%' is neither"),
    (f"upgrade deploy/web {IMAGE} --max-unavailable -1", "invalid value for '--max-unavailable': '-1' is neither"),
    (f"upgrade deploy/web {IMAGE} --settle 5x", "invalid value for '--settle': '5x' is not a duration"),
    (f"upgrade deploy/web {IMAGE} --drain-timeout 0", "invalid value for '--drain-timeout': must be more than 0"),
    (f"upgrade deploy/web {IMAGE} --restart-timeout 0s", "invalid value for '--restart-timeout': must be more than 0"),
    (f"upgrade deploy/web {IMAGE} --timeout 0", "invalid value for '--timeout': must be more than 0"),
    (f"upgrade deploy/web {IMAGE} --min-ready soon", "invalid value for '--min-ready': 'soon' is not a duration"),
    (f"upgrade deploy/web {IMAGE} --steps 10%,50%", "invalid value for '--steps': the last step must be 100%"),
    (f"upgrade deploy/web {IMAGE} --steps 50%,10%,100%", "invalid value for '--steps': steps must grow"),
    (f"upgrade deploy/web {IMAGE} --steps 0%,100%", "invalid value for '--steps': a step of 0 does nothing"),
    (
        f"upgrade deploy/web {IMAGE} --gate a/b/c",
        "invalid value for '--gate': 'a/b/c' is not a name like example or www.example.com/feature-1",
    ),
    (f"upgrade deploy/web {IMAGE} --on-failure shrug", "invalid value for '--on-failure': 'shrug' is not one of"),
    (f"upgrade deploy/web {IMAGE} --dry-run maybe", "invalid value for '--dry-run': 'maybe' is not one of"),
    (f"upgrade deploy/web {IMAGE} -o yaml", "invalid value for '-o' / '--output': 'yaml' is not"),
    (f"upgrade deploy/web {IMAGE} --qps 0", "invalid value for '--qps': 0.0 is not in the range x>0"),
    (
        "list -s ftp://x",
        "invalid value for '-s' / '--server': 'ftp://x' is no API server address: write it like https://host:6443",
    ),
    ("list -s host:6443", "invalid value for '-s' / '--server': 'host:6443' is no API server address: write it like "),
    ("list -s https://", "invalid value for '-s' / '--server': 'https://' is no API server address: write it like "),
    ("list -s https://host:port", "invalid value for '-s' / '--server': 'https://host:port' is no API server address: "),
    ("upgrade pod/web", "say which images: CONTAINER=IMAGE"),
    ("status", "TARGET is missing: "),
    ("resume web", "say which kind 'web' is, such as deploy/web: "),
    ("list extra", "got unexpected extra argument (extra)"),
    ("controller --workers 0", "invalid value for '--workers': 0 is not in the range 1<=x<=64"),
    ("controller --gate-rule Ready=x", "invalid value for '--gate-rule': Ready belongs to Kubernetes itself"),
    ("controller --gate-rule a", "invalid value for '--gate-rule': 'a' is no rule: write it like "),
    ("controller --gate-rule a=b:maybe", "invalid value for '--gate-rule': 'a=b:maybe' is no rule: write it like "),
    ("controller --gate-rule a=b --gate-rule a=c", "two gate rules are about a: a gate follows one label"),
    ("controller --gate-rule a=b --no-gate-rules", "--gate-rule and --no-gate-rules cannot be combined"),
    ("controller --resync 10ms", "invalid value for '--resync': changes are seen at once anyway"),
    ("controller --listen 8080", "'8080' is no address to listen on: write it like :8080 or 127.0.0.1:8080"),
    ("controller --log-level loud", "invalid value for '--log-level': 'loud' is not one of"),
    ("controller --also A_b", "invalid value for '--also': 'A_b' is not a namespace name"),
    ("controller -A --also shop", "--also and all namespaces cannot be combined"),
    ("controller --config /nowhere/at/all", "/nowhere/at/all: No such file or directory"),
    ("completion tcsh", "invalid value for '{bash|zsh|fish}': 'tcsh' is not one of"),
]


@pytest.mark.parametrize(("line", "says"), WRONG, ids=[line for line, _ in WRONG])
def test_a_usage_error_is_one_line_and_code_2(command: Command, server: FakeServer, line: str, says: str) -> None:
    ran = command(*line.split())
    assert ran.code == 2
    assert ran.error.startswith(says)
    assert ran.error.endswith("--help`)")
    assert ran.stdout == ""
    assert server.requests == []


def test_a_usage_error_of_the_plugin_names_the_plugin(command: Command) -> None:
    assert command("upgrade", prog="kubectl inplace").error.endswith("(see `kubectl inplace upgrade --help`)")


def test_zero_is_a_value_and_no_flag_is_none() -> None:
    """Scar: `0.0 in (None, (), False)` is true, and `--settle 0s` was taken for not given."""
    seen: list[dict[str, object]] = []

    @click.command()
    @run_options
    def command(overrides: dict[str, object]) -> None:
        seen.append(overrides)

    command.main(["--settle", "0s"], standalone_mode=False)
    command.main(["--without-gate"], standalone_mode=False)
    assert seen == [{"settle_seconds": 0.0}, {"without_gate": True}]
