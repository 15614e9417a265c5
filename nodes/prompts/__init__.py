"""The built-in prompts, one YAML file each, and the sandboxed renderer of prompt templates."""
