"""The paper's evaluation re-measured: experiments, tables, figures, verdicts on its claims, and the page."""
