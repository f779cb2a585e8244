"""What names mean, topic by topic: plain tables, which say nothing of how they are shown."""
