"""The command `inplace demo` and its stage: an embedded cluster under traffic."""
