"""Small wrong changes to the code that keeps relay's promises, and the command that tries whether the tests notice them.

`rooms/*.toml` holds them: each is a text that stands once in its file, and the wrong one in its place.
"""
