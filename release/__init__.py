"""The making of what is given out: the program for machines without Python, and the Debian package of it."""
