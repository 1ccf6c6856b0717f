"""The decision of a pre-screen: which prompts to let through, what that promises, and what it saves."""
