"""Who takes part: roles as actors, settings, launching, the command line."""
