"""Stage discover: slices of prompts in which metamodels are wrong in the same way, verified on prompts kept aside."""
