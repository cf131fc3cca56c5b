"""Click commands, output and the live view: the only importer of `click` and `rich`.

The folders build on each other in this order: `output`, `common` and `progress`, `running`,
then `commands`, `admin` and `demo`.
"""
