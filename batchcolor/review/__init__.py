"""`batchcolor review`: a local page to look through results and to correct them."""
