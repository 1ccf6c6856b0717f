"""What the primary models of a run do: how often each behavior occurs, together with which others, with examples."""
