"""The command `inplace demo`, and the embedded cluster under traffic that it runs on."""
