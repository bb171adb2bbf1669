"""The long-running parties: what each does for the others, over links that come and go. docs/service.md."""
