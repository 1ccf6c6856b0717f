"""The report of a run: one page that opens from disk, the plots in it as files, and a table for the terminal."""
