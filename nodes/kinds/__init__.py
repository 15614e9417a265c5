"""The node kinds, one file each. A new kind is a new file in this folder."""
