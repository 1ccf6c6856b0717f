"""Stage compare: two runs judged on the prompts that both have."""
