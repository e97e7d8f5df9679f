"""`python -m earbit`, and `torchrun -m earbit`."""

from earbit.cli import main

if __name__ == "__main__":
    main()
