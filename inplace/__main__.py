"""`python -m inplace` is `inplace`."""

from inplace.cli.main import main

if __name__ == "__main__":
    main()
