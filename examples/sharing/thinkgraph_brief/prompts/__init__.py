"""The prompts of this package: every YAML file beside this one."""
