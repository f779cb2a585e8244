"""`doctor --self-test`: known connections, traced as any others, and whether all were told of."""
