"""The strategies of this package: every YAML file beside this one."""
