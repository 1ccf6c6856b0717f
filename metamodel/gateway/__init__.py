"""An OpenAI-compatible API in front of an endpoint, with a pre-screen between the two."""
