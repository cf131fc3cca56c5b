"""Image references, for all who judge them: such as a runtime could pull, and such as none could, with what is said of them."""

DIGEST = "sha256:" + "a" * 64
GOOD = [
    "app",
    "app:1",
    "App/app:1",  # a first part with capitals is a registry
    "localhost/app:1.5_x-y",
    "127.0.0.1:5055/team/app__x:2",
    "[::1]:5000/app:1",
    "reg.example/a-b/c.d--e@" + DIGEST,
    "reg.example/app:1@" + DIGEST,
    "app@sha512:" + "0" * 128,
    "app:" + "t" * 128,
]
BAD = [
    ("", "is empty"),
    ("127.0.0.1:5055/APP:2", "did you mean 127.0.0.1:5055/app:2?"),
    ("APP:2", "did you mean app:2?"),
    ("Reg/APP:2", "did you mean Reg/app:2?"),
    ("app@sha256:abc", "not 64 hexadecimal digits"),
    ("app@" + DIGEST.upper(), "has a digest of no kind that runtimes know"),
    ("app@sha256:" + "A" * 64, "not 64 hexadecimal digits in lower case"),
    ("app@md5:" + "a" * 32, "has a digest of no kind that runtimes know"),
    ("app@", "has a digest of no kind"),
    ("app:", "has no valid tag after the colon"),
    ("app:-x", "has no valid tag after the colon"),
    ("app:" + "t" * 129, "has no valid tag after the colon"),
    ("repo/app:2=3", "has no valid tag after the colon"),
    ("https://reg.example/app:1", "has no valid registry before the first slash"),
    ("-reg.example/app:1", "has no valid registry"),
    ("reg.example/:1", "has no valid repository"),
    ("reg.example/a//b:1", "has no valid repository"),
    ("reg.example/a/:1", "has no valid repository"),
    ("a___b:1", "has no valid repository"),
    ("app:1 ", "characters that no image has"),
    ("app:1\n", "characters that no image has"),
    ("app:\u00fc", "characters that no image has"),
    ("a" * 256, "more than 255 characters"),
    ("a" * 1025, "longer than 1024"),
    ("a" * 64, "is the id of an image"),
]
