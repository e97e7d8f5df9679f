"""Other programs that run our models, for `earbit bench` alone; each in its own process."""
