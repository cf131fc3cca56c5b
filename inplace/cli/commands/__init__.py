"""The commands for a target: upgrade, plan, status, list, history, watch, pause, resume, promote, abort, undo, repair."""
