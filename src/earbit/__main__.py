"""Runs `earbit` as `python -m earbit`."""

from earbit.cli.main import main

if __name__ == "__main__":
    main()
