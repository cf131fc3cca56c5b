"""Click commands, output and the live view: the only importer of `click` and `rich`."""
