"""What is wrong and what helps: rules from evidence to findings, which read and do nothing."""
