"""One job, from plan to report."""
