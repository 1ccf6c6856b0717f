"""Stage tune: search the fields of trainers, judged on left-out domains that will not judge in the end."""
