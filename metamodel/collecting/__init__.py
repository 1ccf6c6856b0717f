"""How collect gets what a run lacks: by drawing, or from records; and how it knows what that is."""
