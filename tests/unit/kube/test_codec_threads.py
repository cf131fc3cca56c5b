"""msgspec 0.22 segfaults when two threads make decoders of one struct at the same time; so only one ever does."""

import subprocess
import sys

STRESS = """
import sys, threading
import msgspec
from inplace.kube.codec import decode

sys.setswitchinterval(1e-6)
for n in range(400):
    class Inner(msgspec.Struct):
        allowed: "bool" = False
    class Outer(msgspec.Struct):
        status: "Inner"
    globals().update(Inner=Inner, Outer=Outer)
    barrier = threading.Barrier(8)
    def work():
        barrier.wait()
        assert decode(b'{"status": {"allowed": true}}', Outer).status.allowed
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("lived")
"""


def test_many_threads_meet_a_new_type_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", STRESS], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "lived\n"), done.stderr[-2000:]
