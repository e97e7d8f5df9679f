"""`python -m earbit` is `earbit`."""

from earbit.cli import main

if __name__ == "__main__":
    main()
