"""Learning-rate schedules: one file each, with `build(learning_rate, steps)`."""
