"""Remote storage: everything that fsspec opens, behind local folders."""
