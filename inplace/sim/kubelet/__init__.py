"""The kubelet's model: from a pod's spec to running containers, probes and status, with the delays of a real one.

The shape is that of the real kubelet, since its delays come from its shape: one worker per pod, which takes the newest pod
object, waits for a container list (relist, every second) that is newer than its own last sync, writes the status as that
list shows it, and only then acts. So a change that comes right after a sync waits for up to a second, and one that comes
while another waits already, for two (measured: design, section 4).
"""
