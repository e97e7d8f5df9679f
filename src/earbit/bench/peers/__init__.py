"""Other engines that run models of earbit in `earbit bench`, each in its own process."""
