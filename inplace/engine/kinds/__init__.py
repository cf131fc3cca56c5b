"""Knows what each kind of target means, one page per kind: how it is prepared, committed and undone, and what it refuses.

`registry` maps a target to its page and says what a new page must provide; `strategy` is the Protocol that every page
satisfies. The other modules ask a page what holds for any kind.
"""
