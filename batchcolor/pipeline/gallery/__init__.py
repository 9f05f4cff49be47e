"""A static page of a job: each picture before and after, as a folder to send to others."""
