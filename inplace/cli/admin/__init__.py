"""The commands that are about no target: controller, gate, install, uninstall, version, completion."""
