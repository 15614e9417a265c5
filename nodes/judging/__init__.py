"""How candidates are judged: scales, written verdicts, knockouts, verifiers."""
