"""`python -m leadlog` is the same as `leadlog`."""

from leadlog.cli import main

if __name__ == "__main__":
    main()
