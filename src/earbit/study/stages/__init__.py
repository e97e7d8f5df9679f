"""The work of the steps of a study, a function of `Job` for each stage."""
