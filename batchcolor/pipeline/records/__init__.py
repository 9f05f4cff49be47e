"""What a job leaves on record: journal entries, sidecars, contact strips, provenance, the job."""
