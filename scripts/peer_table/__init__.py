"""Other systems beside ours: their environments, their runs on the testbed, and one table."""
