"""What the operator of a long-running party sees: logs, metrics, health and the audit log. No content, ever."""
