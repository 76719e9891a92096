"""What the operator is told: the log and the metrics."""
