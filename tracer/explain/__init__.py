"""What a name that tcptrace, ss or the kernel prints means: all terms, and how one is found."""
