"""The review of reported values: findings as rows with history."""
