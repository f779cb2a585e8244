"""The live session on the whole screen."""
