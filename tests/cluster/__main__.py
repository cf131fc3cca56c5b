"""`python -m tests.cluster`: start, use and stop an instance by hand."""

import argparse
import sys

from tests.cluster.binaries import build
from tests.cluster.cleanup import down
from tests.cluster.cluster import Cluster
from tests.cluster.paths import Instance
from tests.cluster.processes import ClusterError


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(prog="python -m tests.cluster", description="A real Kubernetes on this machine.")
    verbs = main.add_subparsers(dest="verb", required=True)
    verbs.add_parser("build", help="compile the binaries that are missing (some minutes, once)")
    up = verbs.add_parser("up", help="start an instance and print the path of its kubeconfig")
    up.add_argument("--nodes", type=int, default=2)
    up.add_argument("--index", type=int, default=0, help="picks the ports: 20000 + 100 * index")
    verbs.add_parser("down", help="stop an instance and remove what it left")
    image = verbs.add_parser("image", help="push a test image and print its full name")
    image.add_argument("ref", help="for instance app:2")
    image.add_argument(
        "version",
        help="what its page says; the same version has the same digest; crash, mute, nocommand and badcommand misbehave",
    )
    verbs.add_parser("program", help="push the project's own image and print its full name")
    verbs.add_parser("kubeconfig", help="print the path of the kubeconfig")
    for name, verb in verbs.choices.items():
        if name != "build":
            verb.add_argument("--name", default="dev")
    return main


def main() -> None:
    args = parser().parse_args()
    if args.verb == "build":
        build()
    elif args.verb == "up":
        print(Cluster.up(args.name, args.nodes, args.index).kubeconfig)
    elif args.verb == "down":
        down(Instance(args.name))
    elif args.verb == "image":
        print(Cluster.load(args.name).image(args.ref, args.version))
    elif args.verb == "program":
        print(Cluster.load(args.name).program())
    else:
        print(Cluster.load(args.name).kubeconfig)


if __name__ == "__main__":
    try:
        main()
    except (ClusterError, ValueError) as error:
        sys.exit(f"cluster: {error}")
