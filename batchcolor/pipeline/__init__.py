"""A colouring job: settings, planning, execution, report."""
