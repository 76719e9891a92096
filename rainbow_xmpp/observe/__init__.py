"""What the operator is told: log, metrics, traces, the audit log, and the socket that `status` asks."""
